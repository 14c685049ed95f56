//! Many connections that do nothing: what each of them costs in memory, and how fast they come. If it is wanted each gets
//! messages when all are in, and is weighed again.

mod beside;
mod memory;
mod messages;
mod presence;

use std::cell::{Cell, RefCell};
use std::time::Duration;

use self::memory::settled;
use super::arrival::{arrive, leave};
use super::{new_report, run_name};
use crate::cluster::Cluster;
use crate::crowd::AGENT_TYPE;
use crate::options::Idle;
use crate::report::{Over, Points, Report, progress};
use crate::workers::{Plan, Workers};

/// While they come, memory is looked at so many times, for a plot.
const LOOKS: usize = 50;

pub(crate) async fn run(options: &Idle, cluster: &Cluster) -> anyhow::Result<Report> {
    let mut report = new_report("idle", cluster).await;
    let connections = options.connections.max(1);
    let processes = (options.processes as usize).min(connections);
    report.setting("connections", connections);
    report.setting("processes", processes);
    report.setting("at_once", options.at_once);
    let plan = Plan { connections, processes, cluster };
    plan.check()?;
    let limit = Duration::from_secs(options.settle_seconds);
    let measurable = !cluster.node_pids().is_empty();

    let mut workers = Workers::start(processes)?;
    let before = settled(cluster, &workers, limit).await?;
    let growth = Growth::from(before.nodes);
    let mut shares = plan.shares(&run_name(), options.at_once);
    shares[0].loses_one = options.planted.plant_loss;
    let arrival =
        arrive(cluster, &mut workers, &shares, |more| growth.look(cluster, more, connections)).await?;
    arrival.note(&mut report);

    let after = settled(cluster, &workers, limit).await?;
    after.note(before, connections, "", &mut report);
    if measurable {
        report.series("node_resident_bytes", Over::Connections, growth.to(connections, after.nodes));
    } else {
        report.warning("the nodes were not started by this run: their memory is not measured");
    }
    if options.messages > 0 {
        messages::send(options, cluster, &mut workers, &shares, &mut report).await?;
        settled(cluster, &workers, limit).await?.note(before, connections, "_messaged", &mut report);
    }
    // Late: to count them a node holds them all in its memory for a moment.
    let registered = presence::registered(cluster, AGENT_TYPE).await?;
    report.result("registered_connections", registered);
    if measurable && registered != connections as u64 {
        report.failure(format!("Redis knows {registered} of {connections} connections"));
    }
    let lost = leave(&mut workers).await?;
    workers.stop().await;
    report.result("lost_connections", lost);
    if lost > 0 {
        report.failure(format!("{lost} connections ended by themselves"));
    }
    if measurable && !options.bare.bare_seconds.is_zero() {
        beside::compare(options, &arrival, &mut report).await?;
    }
    progress("");
    Ok(report)
}

/// The nodes' memory on the way to all connections.
#[derive(Debug)]
struct Growth {
    connected: Cell<usize>,
    points: RefCell<Points>,
}

impl Growth {
    fn from(bytes: u64) -> Self {
        Self { connected: Cell::new(0), points: RefCell::new(vec![(0.0, bytes as f64)]) }
    }

    /// Looks now and then: so many more of all are connected.
    fn look(&self, cluster: &Cluster, more: u64, all: usize) {
        let last = self.connected.get();
        let now = last + more as usize;
        self.connected.set(now);
        progress(&format!("{now} of {all} connected"));
        if last * LOOKS / all != now * LOOKS / all
            && now < all
            && let Ok(bytes) = memory::of_nodes(cluster)
        {
            self.points.borrow_mut().push((now as f64, bytes as f64));
        }
    }

    fn to(self, connections: usize, bytes: u64) -> Points {
        let mut points = self.points.into_inner();
        points.push((connections as f64, bytes as f64));
        points
    }
}
