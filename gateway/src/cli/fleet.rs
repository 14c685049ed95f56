//! `signalbox fleet`: vehicles with conductors drive their routes against a running cluster, as any clients would.
//!
//! It asks for passengers, boards them, lets them off, and holds everything that the cluster says against
//! itself. `--conductors` is another run: some conductors poll one pool and tell how fast it answers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, ensure};
use clap::Args;
use signalbox_protocol::fleet::Pool;

use self::nodes::Nodes;
use super::api::{base, period};
use super::road::CaArgs;
use super::seed::factor;
use super::{Failure, say, small_runtime};
use crate::outbound::{Address, Server};

mod audit;
mod bench;
mod conductor;
mod display;
mod link;
mod listener;
mod nodes;
mod run;
mod shared;
mod spawner;
mod summary;
mod tally;
mod vehicle;

#[derive(Debug, Args)]
pub(super) struct FleetArgs {
    /// A node; may be repeated. Each client starts at another one, and goes to the next when its node goes away
    #[arg(long = "url", value_name = "URL", default_value = "http://127.0.0.1:8080", value_parser = base)]
    urls: Vec<Address>,
    #[command(flatten)]
    ca: CaArgs,
    /// The tenant to act for
    #[arg(long, value_name = "TENANT", default_value = "default")]
    tenant: String,
    /// How many vehicles, spread over the routes
    #[arg(long, value_name = "NUMBER", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    vehicles: u32,
    /// The routes, with commas between; all of the network if absent
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    routes: Vec<String>,
    /// Take the routes from this GeoJSON file instead of the built-in network
    #[arg(long, value_name = "FILE")]
    geojson: Option<PathBuf>,
    /// Seats of each vehicle
    #[arg(long, value_name = "NUMBER", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    capacity: u32,
    /// How long, in minutes; 2 if neither this nor --seconds is given
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    minutes: Option<u32>,
    /// How long, in seconds; added to --minutes
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=600_000))]
    seconds: Option<u32>,
    /// How many times faster than 30 km/h the vehicles drive, and than 3 s somebody gets on or off
    #[arg(long, value_name = "FACTOR", default_value_t = 10.0, value_parser = factor)]
    speed: f64,
    /// Where chance starts: places of vehicles and passengers
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Passengers who come while it runs, per minute
    #[arg(long, value_name = "NUMBER", default_value_t = 60.0, value_parser = per_minute)]
    spawn_rate: f64,
    /// Passengers who wait when it starts; none if absent, 100 with --conductors
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    waiting: Option<u32>,
    /// Between two queries of a vehicle
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0, value_parser = seconds)]
    query_seconds: f64,
    /// How far around itself a vehicle looks; if absent 0.2, or what it drives between two queries if that is more
    #[arg(long, value_name = "KM", value_parser = kilometres)]
    radius_km: Option<f64>,
    /// Give an answer up after this time
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = period)]
    timeout: Duration,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
    /// Drive nowhere: so many conductors poll one pool, first over HTTP, then over WebSockets, each for the time
    /// given; how fast it answers, and how often from the cache
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_000),
        conflicts_with_all = ["vehicles", "routes", "capacity", "speed", "spawn_rate"])]
    conductors: Option<u32>,
    /// The pool that they poll
    #[arg(long, value_name = "POOL", default_value = "depot:4", value_parser = Pool::try_new, requires = "conductors")]
    pool: Pool,
}

pub(super) fn run(args: &FleetArgs) -> Result<(), Failure> {
    let routes = routes(args).map_err(Failure::Usage)?;
    let nodes = Arc::new(args.nodes().map_err(Failure::Usage)?);
    let runtime = small_runtime()?;
    if let Some(conductors) = args.conductors {
        let report = runtime.block_on(bench::run(args, nodes, conductors))?;
        say(&if args.json {
            serde_json::to_string(&report).map_err(anyhow::Error::from)?
        } else {
            report.to_string()
        })?;
        return Ok(());
    }
    let summary = runtime.block_on(run::run(args, nodes, routes))?;
    let told = if args.json {
        serde_json::to_string(&summary).map_err(anyhow::Error::from)?
    } else {
        summary.to_string()
    };
    say(&told)?;
    match summary.failure() {
        Some(failure) => Err(anyhow!(failure).into()),
        None => Ok(()),
    }
}

impl FleetArgs {
    /// How long it runs.
    fn duration(&self) -> Duration {
        let seconds = u64::from(self.seconds.unwrap_or(0)) + 60 * u64::from(self.minutes.unwrap_or(0));
        Duration::from_secs(if seconds == 0 { 120 } else { seconds })
    }

    fn nodes(&self) -> anyhow::Result<Nodes> {
        let encrypted = self.urls.iter().filter(|url| url.is_encrypted()).count();
        ensure!(
            encrypted == 0 || encrypted == self.urls.len(),
            "either all of --url are https:// or none is"
        );
        let server = |url: &Address| Server::try_new(url.clone(), || self.ca.trusted());
        let servers = self.urls.iter().map(server).collect::<Result<_, _>>()?;
        Ok(Nodes::new(servers, self.tenant.clone(), self.timeout))
    }

    fn query_every(&self) -> Duration {
        Duration::from_secs_f64(self.query_seconds)
    }
}

fn routes(args: &FleetArgs) -> anyhow::Result<Vec<super::world::Route>> {
    let network = super::seed::network(args.geojson.as_ref())?;
    let ids: Vec<&str> = if args.routes.is_empty() {
        network.route_ids()
    } else {
        args.routes.iter().map(String::as_str).collect()
    };
    if ids.is_empty() {
        return Err(anyhow!("the file names no route: say --routes ID"));
    }
    ids.into_iter().map(|id| network.route(id)).collect()
}

fn per_minute(text: &str) -> Result<f64, String> {
    number(text, 0.0, 1_000_000.0)
}

fn seconds(text: &str) -> Result<f64, String> {
    number(text, 0.05, 3_600.0)
}

fn kilometres(text: &str) -> Result<f64, String> {
    number(text, 0.001, signalbox_protocol::limits::QUERY_RADIUS_KM_MAX)
}

fn number(text: &str, min: f64, max: f64) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| format!("it has to be a number from {min} to {max}"))
}
