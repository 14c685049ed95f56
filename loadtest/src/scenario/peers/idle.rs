//! Connections that hear nothing: how fast they come, and what servers hold for each.

use std::time::Duration;

use anyhow::Context;
use tokio::time::{Instant, sleep};

use super::{Crowd, own_topics};
use crate::cluster::Cluster;
use crate::observed::{Observed, Timeline};
use crate::options::Peers;
use crate::peers::Role;
use crate::procfs;
use crate::report::{Report, micros};
use crate::resp::RedisConnection;
use crate::traffic::Traffic;

/// How often memory is looked at until it stands still.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// So many looks without a change of a thousandth are standing still.
const STILL_LOOKS: u32 = 4;

/// And so many are enough.
const LOOKS_MAX: u32 = 30;

pub(super) async fn measure(
    crowd: &Crowd<'_>,
    options: &Peers,
    cluster: &Cluster,
    report: &mut Report,
) -> anyhow::Result<()> {
    let connections = options.clients as usize;
    let (before, redis_before) = (settled(cluster).await?, redis_bytes(cluster).await?);
    let (cpu_before, start) = (cpu(cluster)?, Instant::now());
    let callers = crowd.connect(Role::Follow, own_topics(connections), |number| number).await?;
    let (took, cpu) = (start.elapsed(), cpu(cluster)? - cpu_before);

    let timeline = Timeline::starting_now(Duration::ZERO, Duration::ZERO);
    let observed = Observed::new(timeline, 1, connections);
    let mut traffic = Traffic::new(observed.clone(), timeline, 0);
    for (number, caller) in callers.into_iter().enumerate() {
        traffic.follow(number, caller, None);
    }
    let (after, redis_after) = (settled(cluster).await?, redis_bytes(cluster).await?);
    traffic.finish(|_| 0).await;

    report.figure("connects_per_second", connections as f64 / took.as_secs_f64());
    report.figure("cpu_us_per_connect", micros(cpu) / connections as f64);
    let each = |before: u64, after: u64| (after as f64 - before as f64) / connections as f64;
    report.figure("bytes_per_connection", each(before, after));
    if let Some((before, after)) = redis_before.zip(redis_after) {
        report.figure("redis_bytes_per_connection", each(before, after));
    }
    report.result("resident_bytes_before", before);
    if let Some((errors, first)) = observed.borrow().errors() {
        report.failure(format!("{errors} errors, the first: {first}"));
    }
    Ok(())
}

/// Resident bytes of the servers, without Redis, once they stand still.
async fn settled(cluster: &Cluster) -> anyhow::Result<u64> {
    let bytes = || -> anyhow::Result<u64> {
        let each = cluster.node_pids().into_iter().map(procfs::resident_bytes);
        each.sum::<std::io::Result<u64>>().context("a server ended")
    };
    let (mut last, mut still) = (bytes()?, 0);
    for _ in 0..LOOKS_MAX {
        sleep(LOOK_EVERY).await;
        let now = bytes()?;
        still = if now.abs_diff(last) * 1_000 <= last { still + 1 } else { 0 };
        last = now;
        if still == STILL_LOOKS {
            break;
        }
    }
    Ok(last)
}

/// What Redis holds, where there is one.
async fn redis_bytes(cluster: &Cluster) -> anyhow::Result<Option<u64>> {
    let Some(address) = &cluster.redis else { return Ok(None) };
    let mut redis = RedisConnection::connect(address).await.context("Redis is gone")?;
    Ok(Some(redis.info("used_memory").await?.parse().context("used_memory is no number")?))
}

/// CPU of all servers and Redis.
fn cpu(cluster: &Cluster) -> anyhow::Result<Duration> {
    let each =
        cluster.processes().map(|(name, pid)| procfs::cpu_time(pid).with_context(|| format!("{name} ended")));
    each.sum()
}
