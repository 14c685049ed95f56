//! What servers, Redis, the generator and the kernel hold.

use std::io;
use std::time::Duration;

use anyhow::Context;
use tokio::time::{Instant, sleep};

use crate::cluster::Cluster;
use crate::procfs;
use crate::report::{Report, progress};
use crate::resp::RedisConnection;
use crate::workers::Workers;

/// How often memory is looked at until it stands still.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// So many looks without a change of a thousandth are standing still.
const STILL_LOOKS: u32 = 4;

/// Bytes that servers, Redis, the generator's processes and the kernel hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    /// All nodes that were started here; 0 without any.
    pub(super) nodes: u64,
    own: u64,
    redis: Option<u64>,
    kernel: u64,
}

impl Memory {
    /// Notes what came since `before`, for each of so many connections; names of results end with `ending`.
    pub(super) fn note(&self, before: Self, connections: usize, ending: &str, report: &mut Report) {
        let mut per_connection = |name: &str, before: u64, after: u64| {
            let bytes = (after as f64 - before as f64) / connections as f64;
            report.figure(format!("{name}_bytes_per_connection{ending}"), bytes);
        };
        if self.nodes > 0 {
            per_connection("node", before.nodes, self.nodes);
            per_connection("kernel", before.kernel, self.kernel);
        }
        if let (Some(before), Some(after)) = (before.redis, self.redis) {
            per_connection("redis", before, after);
        }
        per_connection("generator", before.own, self.own);
        if self.nodes > 0 {
            if ending.is_empty() {
                report.result("node_resident_bytes_before", before.nodes);
            }
            report.result(format!("node_resident_bytes_after{ending}"), self.nodes);
        }
    }
}

/// The memory once it stands still, or when `limit` has passed.
pub(super) async fn settled(cluster: &Cluster, workers: &Workers, limit: Duration) -> anyhow::Result<Memory> {
    let deadline = Instant::now() + limit;
    let mut last = memory(cluster, workers).await?;
    let mut still = 0;
    while still < STILL_LOOKS && Instant::now() < deadline {
        sleep(LOOK_EVERY).await;
        let now = memory(cluster, workers).await?;
        progress(&format!("waiting for {} KiB to stand still", now.nodes / 1024));
        still = if now.nodes.abs_diff(last.nodes) * 1_000 <= last.nodes { still + 1 } else { 0 };
        last = now;
    }
    Ok(last)
}

/// Resident bytes of all nodes that were started here.
pub(super) fn of_nodes(cluster: &Cluster) -> io::Result<u64> {
    cluster.node_pids().into_iter().map(procfs::resident_bytes).sum()
}

async fn memory(cluster: &Cluster, workers: &Workers) -> anyhow::Result<Memory> {
    let nodes = of_nodes(cluster).context("a node ended")?;
    let redis = match &cluster.redis {
        None => None,
        Some(address) => {
            let mut redis = RedisConnection::connect(address).await.context("Redis is gone")?;
            Some(redis.info("used_memory").await?.parse().context("used_memory is no number")?)
        }
    };
    let kernel = procfs::kernel_bytes().context("the kernel does not tell its memory")?;
    Ok(Memory { nodes, own: workers.resident_bytes()?, redis, kernel })
}
