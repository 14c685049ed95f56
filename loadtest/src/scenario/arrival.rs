//! Connections that processes of the generator open and close.

use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::latency::Latencies;
use crate::procfs;
use crate::report::{Report, micros};
use crate::workers::{Order, Share, Told, Workers};

/// Connections that take longer than this on average are no load that can be measured.
const EACH_WITHIN: Duration = Duration::from_millis(20);

/// They may take so much longer, however few they are.
const ANY_WITHIN: Duration = Duration::from_secs(10);

/// They are closed within this time.
const LEAVE_WITHIN: Duration = Duration::from_secs(60);

/// How connections came.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) per_second: f64,
    handshakes: Latencies,
    /// CPU of each server for each connection, as far as they can be measured.
    cpu_us: Vec<(String, f64)>,
}

/// Has the processes open their shares; tells now and then how many more there are.
pub(super) async fn arrive(
    cluster: &Cluster,
    workers: &mut Workers,
    shares: &[Share],
    more: impl Fn(u64),
) -> anyhow::Result<Arrival> {
    let connections: usize = shares.iter().map(|share| share.count).sum();
    let orders = shares.iter().cloned().map(Order::Connect).collect();
    let within = ANY_WITHIN + EACH_WITHIN * u32::try_from(connections).unwrap_or(u32::MAX);
    let (cpu_before, start) = (cpu(cluster)?, Instant::now());
    let told = workers.ask(orders, within, more).await?;
    let per_second = connections as f64 / start.elapsed().as_secs_f64();
    let cpu = cpu_before.into_iter().zip(cpu(cluster)?);
    let cpu_us = cpu.map(|((name, before), (_, after))| (name, micros(after - before) / connections as f64));
    let mut arrival = Arrival { per_second, handshakes: Latencies::default(), cpu_us: cpu_us.collect() };
    for told in told {
        let Told::Connected { handshakes } = told else { bail!("a process did not tell its handshakes") };
        arrival.handshakes.merge(&handshakes);
    }
    Ok(arrival)
}

/// Has them close all; answers how many had ended by themselves.
pub(super) async fn leave(workers: &mut Workers) -> anyhow::Result<usize> {
    let orders = workers.pids().iter().map(|_| Order::Leave).collect();
    let mut lost = 0;
    for told in workers.ask(orders, LEAVE_WITHIN, |_| {}).await? {
        let Told::Left { lost: share } = told else { bail!("a process did not tell how many ended") };
        lost += share;
    }
    Ok(lost)
}

impl Arrival {
    pub(super) fn note(&self, report: &mut Report) {
        report.figure("connects_per_second", self.per_second);
        report.latencies("handshake", &self.handshakes);
        if !self.cpu_us.is_empty() {
            report.figure("cpu_us_per_connect", self.cpu_us_in_all());
        }
        for (name, cpu_us) in &self.cpu_us {
            report.figure(format!("cpu_us_per_connect_{name}"), *cpu_us);
        }
    }

    pub(super) fn cpu_us_in_all(&self) -> f64 {
        self.cpu_us.iter().map(|(_, cpu_us)| cpu_us).sum()
    }
}

fn cpu(cluster: &Cluster) -> anyhow::Result<Vec<(String, Duration)>> {
    let read = |(name, pid): (&str, u32)| {
        Ok((name.to_owned(), procfs::cpu_time(pid).with_context(|| format!("{name} ended"))?))
    };
    cluster.processes().map(read).collect()
}
