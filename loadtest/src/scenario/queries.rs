//! Vehicles that ask who waits near them: an open loop of `vehicle:query_commuters`, or of GET over HTTP.

mod asked;
mod judge;
mod kept;
mod question;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::asked::{Asked, Shared};
use self::judge::judge;
use self::kept::Kept;
use self::question::{Route, vehicle_share};
use super::{new_report, run_name};
use crate::asking::{Asker, connect_askers};
use crate::cluster::Cluster;
use crate::crew;
use crate::http;
use crate::meter::measure;
use crate::observed::Timeline;
use crate::options::Queries;
use crate::pace::Pacer;
use crate::plant::Plant;
use crate::processes::check_open_files;
use crate::procfs;
use crate::report::Report;

/// Passengers that are created with one request.
const BATCH: u32 = 1_000;
/// Questions of one vehicle that may be due and not yet asked.
const DUE_MAX: usize = 64;
/// Vehicles that were told to stop end within this time.
const END_WITHIN: Duration = Duration::from_secs(15);

pub(crate) async fn run(options: &Queries, cluster: &Cluster) -> anyhow::Result<Report> {
    let mut report = new_report("queries", cluster).await;
    note_settings(&mut report, options);
    check_open_files(options.vehicles as usize)?;
    let routes: Rc<[Route]> = routes(options).into();
    create(options, cluster, &routes).await.context("the passengers can't be created")?;
    let askers = connect(options, cluster).await?;

    let timeline = Timeline::starting_now(options.run.warm_up_seconds, options.run.seconds);
    let asked: Shared = Rc::new(RefCell::new(Asked::new(timeline, Plant::new(options.planted.plant))));
    let stop = CancellationToken::new();
    let (mut vehicles, mut due) = (JoinSet::new(), Vec::new());
    for (number, asker) in (0..).zip(askers) {
        let (tell, told) = mpsc::channel(DUE_MAX);
        due.push(tell);
        let vehicle = Vehicle { number, routes: Rc::clone(&routes), waiting: waiting(options) };
        vehicles.spawn_local(vehicle.ask_when_due(asker, told, Rc::clone(&asked)));
    }
    let memory = async {
        tokio::time::sleep_until(timeline.measured_from()).await;
        resident(cluster)
    };
    let (paced, spent, before) =
        tokio::join!(pace(options, timeline, due, &asked), measure(cluster, timeline, &asked), memory);
    let after = resident(cluster);
    crew::finish(vehicles, END_WITHIN, &stop, &mut report).await;
    paced?;
    let spent = spent.context("the servers can't be measured")?;
    spent.note(&mut report, "query", "queries");
    asked.borrow().note(&mut report);
    note_memory(&mut report, before, after);
    let lag = asked.borrow().lag();
    spent.judge(&mut report, lag);
    Ok(report)
}

fn note_settings(report: &mut Report, options: &Queries) {
    report.setting("vehicles", options.vehicles);
    report.setting("rate_per_second", options.rate.per_second());
    report.setting("passengers", options.passengers);
    report.setting("pools", options.pools);
    report.setting("length_km", options.length_km);
    report.setting("radius_km", options.radius_km);
    report.setting("max_results", options.max_results);
    report.setting("over", if options.http { "http" } else { "websocket" });
    report.setting("seconds", options.run.seconds.as_secs_f64());
}

fn routes(options: &Queries) -> Vec<Route> {
    let name = run_name();
    let route = |number| Route {
        id: format!("{name}-{number}"),
        length_km: options.length_km,
        radius_km: options.radius_km,
        max_results: options.max_results,
    };
    (0..options.pools).map(route).collect()
}

/// How many wait on each route.
fn waiting(options: &Queries) -> u32 {
    options.passengers / options.pools
}

/// Lets passengers wait, evenly along each route.
async fn create(options: &Queries, cluster: &Cluster, routes: &[Route]) -> anyhow::Result<()> {
    let each = waiting(options);
    for route in routes {
        for first in (0..each).step_by(BATCH as usize) {
            let numbers = first..(first + BATCH).min(each);
            let list: Vec<Value> = numbers.map(|number| route.passenger(number, each)).collect();
            let (status, body) = http::send(
                &cluster.nodes[0].address,
                "POST",
                "/api/passengers?tenant=load",
                &json!(list).to_string(),
            )
            .await?;
            ensure!(status == 201, "{status} {body}");
        }
    }
    Ok(())
}

/// One who asks, either way.
enum Client {
    Socket(Box<Asker>),
    Http(Kept),
}

async fn connect(options: &Queries, cluster: &Cluster) -> anyhow::Result<Vec<Client>> {
    if !options.http {
        let run = run_name();
        let askers = connect_askers(cluster, options.vehicles, 0, |number| format!("{run}-{number}")).await?;
        return Ok(askers.into_iter().map(|asker| Client::Socket(Box::new(asker))).collect());
    }
    let mut clients = Vec::new();
    for number in 0..options.vehicles as usize {
        let node = &cluster.nodes[number % cluster.nodes.len()];
        clients.push(Client::Http(Kept::connect(&node.address).await?));
    }
    Ok(clients)
}

/// One who asks.
struct Vehicle {
    number: u32,
    routes: Rc<[Route]>,
    /// On each of them.
    waiting: u32,
}

impl Vehicle {
    /// Asks whenever a question is due, one after the other, until there are no more.
    async fn ask_when_due(
        self,
        mut client: Client,
        mut due: mpsc::Receiver<(u64, Instant)>,
        asked: Shared,
    ) -> anyhow::Result<()> {
        let route = &self.routes[self.number as usize % self.routes.len()];
        loop {
            let next = match &mut client {
                Client::Socket(asker) => asker.meanwhile(due.recv()).await,
                Client::Http(_) => due.recv().await,
            };
            let Some((question, due)) = next else { break };
            let sent = Instant::now();
            let found = match &mut client {
                Client::Socket(asker) => question::ask(asker, route, self.number, question).await?,
                Client::Http(kept) => question::get(kept, route, self.number, question).await?,
            };
            let share = vehicle_share(self.number, question);
            asked.borrow_mut().answered(due, sent, found, |near| judge(route, self.waiting, share, near));
        }
        if let Client::Socket(asker) = client {
            asker.close().await;
        }
        Ok(())
    }
}

/// Tells the vehicles in turn when a question is due.
async fn pace(
    options: &Queries,
    timeline: Timeline,
    vehicles: Vec<mpsc::Sender<(u64, Instant)>>,
    asked: &Shared,
) -> anyhow::Result<()> {
    let mut pacer = Pacer::new()?;
    for number in 0..options.rate.arrivals_before(timeline.end()) {
        let due = timeline.began + options.rate.due(number);
        pacer.until(due).await?;
        let vehicle = &vehicles[(number % vehicles.len() as u64) as usize];
        if vehicle.try_send((number, due)).is_err() {
            asked.borrow_mut().not_asked += 1;
        }
    }
    Ok(())
}

fn resident(cluster: &Cluster) -> Vec<u64> {
    cluster.node_pids().into_iter().filter_map(|pid| procfs::resident_bytes(pid).ok()).collect()
}

fn note_memory(report: &mut Report, before: Vec<u64>, after: Vec<u64>) {
    for (number, (before, after)) in before.into_iter().zip(after).enumerate() {
        report.result(format!("resident_bytes_before_node_{}", number + 1), before);
        report.result(format!("resident_bytes_after_node_{}", number + 1), after);
    }
}
