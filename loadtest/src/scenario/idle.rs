//! Many connections that do nothing: what each of them costs in memory, and how fast they come.

mod beside;

use std::time::Duration;

use anyhow::Context;
use signalbox_client::Wire;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{new_report, run_name};
use crate::cluster::Cluster;
use crate::latency::Latencies;
use crate::options::Idle;
use crate::processes::check_open_files;
use crate::procfs;
use crate::report::{Over, Points, Report, micros, progress};
use crate::resp::RedisConnection;
use crate::traffic::connect_all;

/// How often memory is looked at until it stands still.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// So many looks without a change of a thousandth are standing still.
const STILL_LOOKS: u32 = 4;

/// While they come, memory is looked at so many times, for a plot.
const LOOKS: usize = 50;

/// Connections from one source address; it has about 28,000 ports.
const CONNECTIONS_PER_ADDRESS: usize = 20_000;

/// Bytes that servers, Redis, the tester itself and the kernel hold.
#[derive(Debug, Clone, Copy)]
struct Memory {
    nodes: u64,
    own: u64,
    redis: Option<u64>,
    kernel: u64,
}

pub(crate) async fn run(options: &Idle, cluster: &Cluster) -> anyhow::Result<Report> {
    let mut report = new_report("idle", cluster).await;
    report.setting("connections", options.connections);
    report.setting("at_once", options.at_once);
    let connections = options.connections.max(1);
    check_open_files(connections)?;
    let limit = Duration::from_secs(options.settle_seconds);
    let measurable = !cluster.node_pids().is_empty();

    let before = settled(cluster, limit).await?;
    let mut growth = vec![(0.0, before.nodes as f64)];
    let (arrival, wires) = arrive(cluster, connections, options.at_once, |connected| {
        look(cluster, connected, connections, &mut growth);
    })
    .await?;
    arrival.note(&mut report);

    let holding = Holding::start(wires);
    let after = settled(cluster, limit).await?;
    note_memory(&mut report, before, after, connections, measurable);
    if measurable {
        growth.push((connections as f64, after.nodes as f64));
        report.series("node_resident_bytes", Over::Connections, growth);
    }
    let lost = holding.stop().await;
    report.result("lost_connections", lost);
    if lost > 0 {
        report.failure(format!("{lost} connections ended by themselves"));
    }
    // Last: what this process keeps of it would be missing in its own memory.
    if measurable && !options.bare.bare_seconds.is_zero() {
        beside::compare(options, &arrival, &mut report).await?;
    }
    progress("");
    Ok(report)
}

/// How connections came.
#[derive(Debug)]
struct Arrival {
    per_second: f64,
    handshakes: Latencies,
    /// CPU of each server for each connection, as far as they can be measured.
    cpu_us: Vec<(String, f64)>,
}

/// Opens so many connections, so many at once; tells each time how many there are.
async fn arrive(
    cluster: &Cluster,
    connections: usize,
    at_once: usize,
    mut connected: impl FnMut(u64),
) -> anyhow::Result<(Arrival, Vec<Wire>)> {
    let run = run_name();
    let config = |number: usize| {
        let mut config = cluster.connect_as(number, "passenger", &format!("{run}-{number}"));
        config.local_address = source_address(&config.url, number);
        config
    };
    let mut handshakes = Latencies::default();
    let (cpu_before, start) = (cpu(cluster)?, Instant::now());
    let wires = connect_all((0..connections).map(config).collect(), at_once, |took| {
        handshakes.record(took);
        connected(handshakes.count());
    })
    .await?;
    let per_second = connections as f64 / start.elapsed().as_secs_f64();
    let cpu = cpu_before.into_iter().zip(cpu(cluster)?);
    let cpu_us = cpu.map(|((name, before), (_, after))| (name, micros(after - before) / connections as f64));
    Ok((Arrival { per_second, handshakes, cpu_us: cpu_us.collect() }, wires))
}

impl Arrival {
    fn note(&self, report: &mut Report) {
        report.figure("connects_per_second", self.per_second);
        report.latencies("handshake", &self.handshakes);
        if !self.cpu_us.is_empty() {
            report.figure("cpu_us_per_connect", self.cpu_us_in_all());
        }
        for (name, cpu_us) in &self.cpu_us {
            report.figure(format!("cpu_us_per_connect_{name}"), *cpu_us);
        }
    }

    fn cpu_us_in_all(&self) -> f64 {
        self.cpu_us.iter().map(|(_, cpu_us)| cpu_us).sum()
    }
}

fn note_memory(report: &mut Report, before: Memory, after: Memory, connections: usize, measurable: bool) {
    let per_connection = |before: u64, after: u64| (after as f64 - before as f64) / connections as f64;
    if measurable {
        report.result("node_resident_bytes_before", before.nodes);
        report.result("node_resident_bytes_after", after.nodes);
        report.figure("node_bytes_per_connection", per_connection(before.nodes, after.nodes));
        report.figure("kernel_bytes_per_connection", per_connection(before.kernel, after.kernel));
    } else {
        report.warning("the nodes were not started by this run: their memory is not measured");
    }
    if let (Some(before), Some(after)) = (before.redis, after.redis) {
        report.figure("redis_bytes_per_connection", per_connection(before, after));
    }
    report.figure("generator_bytes_per_connection", per_connection(before.own, after.own));
}

/// Looks at the nodes' memory now and then on the way to all connections.
fn look(cluster: &Cluster, connected: u64, connections: usize, growth: &mut Points) {
    if connected.is_multiple_of((connections / LOOKS).max(1) as u64) && (connected as usize) < connections {
        let nodes: Result<Vec<u64>, _> =
            cluster.node_pids().into_iter().map(procfs::resident_bytes).collect();
        growth.extend(nodes.map(|bytes| (connected as f64, bytes.iter().sum::<u64>() as f64)).ok());
    }
}

/// Loopback has many addresses to connect from, and needs them beyond one's ports.
fn source_address(url: &str, number: usize) -> Option<std::net::IpAddr> {
    let block = u8::try_from(number / CONNECTIONS_PER_ADDRESS).unwrap_or(u8::MAX);
    let on_loopback = url.starts_with("ws://127.");
    (on_loopback && block > 0).then(|| [127, 0, 0, 1 + block].into())
}

/// The memory once it stands still, or when `limit` has passed.
async fn settled(cluster: &Cluster, limit: Duration) -> anyhow::Result<Memory> {
    let deadline = Instant::now() + limit;
    let mut last = memory(cluster).await?;
    let mut still = 0;
    while still < STILL_LOOKS && Instant::now() < deadline {
        sleep(LOOK_EVERY).await;
        let now = memory(cluster).await?;
        progress(&format!("waiting for {} KiB to stand still", now.nodes / 1024));
        still = if now.nodes.abs_diff(last.nodes) * 1_000 <= last.nodes { still + 1 } else { 0 };
        last = now;
    }
    Ok(last)
}

async fn memory(cluster: &Cluster) -> anyhow::Result<Memory> {
    let mut nodes = 0;
    for pid in cluster.node_pids() {
        nodes += procfs::resident_bytes(pid).context("a node ended")?;
    }
    let redis = match &cluster.redis {
        None => None,
        Some(address) => {
            let mut redis = RedisConnection::connect(address).await.context("Redis is gone")?;
            Some(redis.info("used_memory").await?.parse().context("used_memory is no number")?)
        }
    };
    let own = procfs::resident_bytes(std::process::id())?;
    let kernel = procfs::kernel_bytes().context("the kernel does not tell its memory")?;
    Ok(Memory { nodes, own, redis, kernel })
}

fn cpu(cluster: &Cluster) -> anyhow::Result<Vec<(String, Duration)>> {
    let read = |(name, pid): (&str, u32)| Ok((name.to_owned(), procfs::cpu_time(pid)?));
    cluster.processes().map(read).collect()
}

/// Connections that are kept open, answering pings.
#[derive(Debug)]
pub(super) struct Holding {
    tasks: JoinSet<bool>,
    stop: CancellationToken,
}

impl Holding {
    pub(super) fn start(wires: Vec<Wire>) -> Self {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        for mut wire in wires {
            let stop = stop.clone();
            tasks.spawn_local(async move {
                let reading = async { while wire.next().await.is_ok() {} };
                let ended = stop.run_until_cancelled(reading).await.is_some();
                wire.close().await;
                ended
            });
        }
        Self { tasks, stop }
    }

    /// Closes them all; answers how many had ended by themselves.
    pub(super) async fn stop(mut self) -> usize {
        self.stop.cancel();
        let mut lost = 0;
        while let Some(ended) = self.tasks.join_next().await {
            lost += usize::from(ended.unwrap_or(true));
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_one_address_s_ports_others_are_used() {
        let loopback = "ws://127.0.0.1:8080/ws";
        assert_eq!(source_address(loopback, 0), None);
        assert_eq!(source_address(loopback, 19_999), None);
        assert_eq!(source_address(loopback, 20_000), Some([127, 0, 0, 2].into()));
        assert_eq!(source_address(loopback, 61_000), Some([127, 0, 0, 4].into()));
        assert_eq!(source_address("ws://node:80/ws", 61_000), None);
    }
}
