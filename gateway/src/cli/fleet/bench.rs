//! Some conductors in one place poll one pool: how fast does it answer, and how often from the cache?

use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, bail};
use fastrand::Rng;
use signalbox_protocol::control::{CommutersFound, QueryCommuters};
use signalbox_protocol::fleet::{GeoPoint, NewPassenger, PoolKind};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

pub(super) use self::report::Report;
use self::report::{From, Measured, Way};
use super::FleetArgs;
use super::link::{Asked, Link};
use super::nodes::Nodes;
use super::run::name;
use crate::cli::http::Http;
use crate::cli::seed::{Outcome, network, push};
use crate::cli::world::{Crowd, Ground, Profile};

mod report;

/// Passengers who wait in the pool unless --waiting says otherwise.
const WAITING: u32 = 100;
/// Most passengers of one request.
const BATCH_MAX: usize = 1_000;

/// Asks for those who wait around a place, by one of the ways.
#[derive(Debug)]
enum Asker {
    Http(Http),
    WebSocket(Link),
}

pub(super) async fn run(args: &FleetArgs, nodes: Arc<Nodes>, conductors: u32) -> anyhow::Result<Report> {
    nodes.check().await?;
    let name = name()?;
    let waiting = args.waiting.unwrap_or(WAITING);
    let position = fill(args, &name, &mut nodes.http(), waiting as usize).await?;
    let query = query(args, position);
    let mut ways = Vec::new();
    for over_http in [true, false] {
        let mut polling = JoinSet::new();
        for number in 0..conductors {
            let asker = if over_http {
                Asker::Http(nodes.http_from(number as usize))
            } else {
                let id = format!("{name}-{number}");
                let agent = ("conductor", id.as_str());
                let mut link =
                    Link::new(Arc::clone(&nodes), agent, None, number as usize, CancellationToken::new());
                link.client().await?;
                Asker::WebSocket(link)
            };
            // They don't all ask at the same moment, and always at the same moments.
            let phase = args.query_every().mul_f64(Rng::with_seed(args.seed ^ u64::from(number)).f64());
            polling.spawn(poll(asker, query.clone(), (phase, args.query_every(), args.duration())));
        }
        let mut all = Measured::default();
        for measured in polling.join_all().await {
            all.add(&measured?);
        }
        ways.push(all.told());
    }
    let [http, web_socket] = <[Way; 2]>::try_from(ways).map_err(|_| anyhow!("there are two ways"))?;
    Ok(Report {
        pool: args.pool.to_string(),
        conductors,
        query_seconds: args.query_seconds,
        seconds: args.duration().as_secs(),
        waiting,
        http,
        web_socket,
    })
}

/// Lets passengers wait in the pool. The answer is where the conductors stand.
async fn fill(args: &FleetArgs, name: &str, http: &mut Http, count: usize) -> anyhow::Result<GeoPoint> {
    let network = network(args.geojson.as_ref())?;
    let (ground, position) = match args.pool.kind() {
        PoolKind::Route => {
            let route = network.route(args.pool.id())?;
            let start = route.line.at(0.0);
            (Ground::Route(route), start)
        }
        PoolKind::Depot => {
            let depot = network.depot(args.pool.id())?;
            let lines = network.lines_from(&depot);
            (Ground::Depot { pool: depot.pool, position: depot.position, lines }, depot.position)
        }
    };
    let crowd = Crowd::new(vec![ground], Profile::Flat, name.to_owned());
    let mut rng = Rng::with_seed(args.seed);
    let passengers: Result<Vec<NewPassenger>, _> =
        (0..count).map(|number| crowd.passenger(number, None, &mut rng)).collect();
    for batch in passengers?.chunks(BATCH_MAX) {
        if let Outcome::Exists(told) = push(http, batch).await? {
            bail!("passengers of this run exist already: {told}");
        }
    }
    Ok(position)
}

fn query(args: &FleetArgs, position: GeoPoint) -> QueryCommuters {
    let id = |kind| (args.pool.kind() == kind).then(|| args.pool.id().to_owned());
    QueryCommuters {
        route_id: id(PoolKind::Route),
        depot_id: id(PoolKind::Depot),
        position,
        radius_km: args.radius_km.unwrap_or(signalbox_protocol::limits::QUERY_RADIUS_KM),
        max_results: args.capacity,
    }
}

/// Asks every so often, from `phase` on, until the time is over.
async fn poll(
    mut asker: Asker,
    query: QueryCommuters,
    (phase, every, duration): (Duration, Duration, Duration),
) -> anyhow::Result<Measured> {
    let begun = Instant::now();
    let mut ticks = interval_at(begun + phase, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut measured = Measured::default();
    while ticks.tick().await < begun + duration {
        let asked_at = Instant::now();
        match asker.ask(&query).await? {
            Some(from) => measured.record(from, asked_at.elapsed()),
            None => measured.failed += 1,
        }
    }
    Ok(measured)
}

impl Asker {
    /// Where the answer came from; nothing if there was none, but there may be one later.
    async fn ask(&mut self, query: &QueryCommuters) -> anyhow::Result<Option<From>> {
        match self {
            Self::Http(http) => {
                let pool = query.pool()?;
                let path = format!("/api/reservoirs/{}/{}/query", pool.kind().as_str(), pool.id());
                let numbers =
                    [query.position.lat(), query.position.lon(), query.radius_km].map(|n| n.to_string());
                let max_results = query.max_results.to_string();
                let fields = [
                    ("lat", numbers[0].as_str()),
                    ("lon", &numbers[1]),
                    ("radius_km", &numbers[2]),
                    ("max_results", &max_results),
                ];
                let Ok(answer) = http.get(&path, &fields).await else { return Ok(None) };
                if answer.is_from_a_node_in_trouble() {
                    return Ok(None);
                }
                answer.success()?;
                from_header(answer.headers.get("x-cache").map(hyper::header::HeaderValue::as_bytes)).map(Some)
            }
            Self::WebSocket(link) => match link.ask("vehicle:query_commuters", query).await? {
                Asked::Answered(answer) => {
                    let found: CommutersFound = answer.data()?;
                    Ok(Some(if found.cached { From::Cache } else { From::Store }))
                }
                Asked::Refused(fault) if !fault.code.retryable() => {
                    Err(anyhow!("{} ({})", fault.message, fault.code))
                }
                Asked::Refused(_) | Asked::Unknown | Asked::NotSent => Ok(None),
            },
        }
    }
}

fn from_header(x_cache: Option<&[u8]>) -> anyhow::Result<From> {
    Ok(match x_cache {
        Some(b"hit") => From::Cache,
        Some(b"miss") => From::Store,
        Some(b"bypass") => From::StoreAlone,
        _ => bail!("the answer has no X-Cache of hit, miss or bypass"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_where_it_came_from() {
        for (header, from) in [("hit", From::Cache), ("miss", From::Store), ("bypass", From::StoreAlone)] {
            assert_eq!(from_header(Some(header.as_bytes())).unwrap(), from);
        }
        assert!(from_header(None).is_err() && from_header(Some(b"HIT?")).is_err());
    }
}
