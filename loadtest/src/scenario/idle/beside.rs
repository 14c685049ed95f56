//! The same on a bare server, behind the nodes' turn: how fast it lets connections in, and what it keeps of them.

use std::time::Duration;

use super::memory::settled;
use crate::bare::{self, Manner};
use crate::options::Idle;
use crate::report::Report;
use crate::scenario::arrival::{Arrival, arrive, leave};
use crate::scenario::run_name;
use crate::workers::{Plan, Workers};

/// It is one process with one limit of open files. Its figures are those of each connection: more say nothing new.
const CONNECTIONS_MAX: usize = 10_000;

/// Notes what a bare server does and costs, and how much of that the nodes did: theirs is `arrival`, and their memory
/// is noted already.
pub(super) async fn compare(options: &Idle, arrival: &Arrival, report: &mut Report) -> anyhow::Result<()> {
    let connections = options.connections.clamp(1, CONNECTIONS_MAX);
    let limit = Duration::from_secs(options.settle_seconds);
    let run = bare::beside(&options.servers, Manner::Tungstenite, async |cluster| {
        let plan = Plan { connections, processes: 1, cluster };
        let mut workers = Workers::start(plan.processes)?;
        let before = settled(cluster, &workers, limit).await?;
        let shares = plan.shares(&run_name(), options.at_once);
        let arrival = arrive(cluster, &mut workers, &shares, |_| {}).await?;
        let after = settled(cluster, &workers, limit).await?;
        let bytes = (after.nodes as f64 - before.nodes as f64) / connections as f64;
        let lost = leave(&mut workers).await?;
        workers.stop().await;
        Ok((arrival, bytes, lost))
    });
    let (floor, bytes, lost) = run.await?;
    if lost > 0 {
        report.warning(format!("the bare server lost {lost} connections: not compared with"));
        return Ok(());
    }
    report.figure("bare_tungstenite_connects_per_second", floor.per_second);
    report.figure("bare_tungstenite_us_per_connect", floor.cpu_us_in_all());
    report.figure("bare_tungstenite_bytes_per_connection", bytes);
    report.figure("connects_in_bare_tungstenite", arrival.per_second / floor.per_second);
    report.figure("cpu_per_connect_in_bare_tungstenite", arrival.cpu_us_in_all() / floor.cpu_us_in_all());
    if let Some(ours) = report.number("node_bytes_per_connection") {
        report.figure("memory_in_bare_tungstenite", ours / bytes);
    }
    Ok(())
}
