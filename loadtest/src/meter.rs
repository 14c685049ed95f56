//! What a run costs: CPU of each process and batches on the bus, over the measured part.

mod spent;
mod watched;

use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use self::spent::Bus;
pub(crate) use self::spent::Spent;
pub(crate) use self::watched::{Watched, watch};
use crate::cluster::Cluster;
use crate::http;
use crate::observed::Timeline;
use crate::procfs;
use crate::report::Points;

#[derive(Debug)]
struct Reading {
    at: Instant,
    done: u64,
    own_cpu: Duration,
    cpu: Vec<(String, Duration)>,
    others_cpu: Duration,
    stolen: Duration,
}

impl Reading {
    fn take(cluster: &Cluster, generators: &[u32], done: u64) -> io::Result<Self> {
        let cpu = cluster
            .processes()
            .map(|(name, pid)| procfs::cpu_time(pid).map(|cpu| (name.to_owned(), cpu)))
            .collect::<io::Result<_>>()?;
        let own_cpu = generators.iter().map(|pid| procfs::cpu_time(*pid)).sum::<io::Result<_>>()?;
        let servers = cluster.processes().map(|(_, pid)| pid);
        let known: Vec<u32> = servers.chain(generators.iter().copied()).chain([std::process::id()]).collect();
        let others_cpu = procfs::cpu_time_of_all_but(&known)?;
        Ok(Self { at: Instant::now(), done, own_cpu, cpu, others_cpu, stolen: procfs::stolen_time()? })
    }
}

/// Measures `cluster` from the end of the warm-up to the end of the measured part.
pub(crate) async fn measure(
    cluster: &Cluster,
    timeline: Timeline,
    watched: &impl Watched,
) -> io::Result<Spent> {
    measure_with(cluster, vec![std::process::id()], timeline, watched).await
}

/// The same where the load comes from these processes, one thread each.
pub(crate) async fn measure_with(
    cluster: &Cluster,
    generators: Vec<u32>,
    timeline: Timeline,
    watched: &impl Watched,
) -> io::Result<Spent> {
    sleep_until(timeline.measured_from()).await;
    let meter = Meter::start_with(cluster, generators, watched.done()).await?;
    let rates = watch(timeline, watched).await;
    Ok(Spent { rates, ..meter.stop(watched.done()).await? })
}

/// Measures a cluster until it is stopped.
#[derive(Debug)]
pub(crate) struct Meter<'a> {
    cluster: &'a Cluster,
    /// The processes that make the load.
    generators: Vec<u32>,
    before: Reading,
    bus_before: Option<Bus>,
}

impl<'a> Meter<'a> {
    /// Begins when so much was done.
    pub(crate) async fn start(cluster: &'a Cluster, done: u64) -> io::Result<Self> {
        Self::start_with(cluster, vec![std::process::id()], done).await
    }

    /// The same where the load comes from these processes, one thread each.
    pub(crate) async fn start_with(
        cluster: &'a Cluster,
        generators: Vec<u32>,
        done: u64,
    ) -> io::Result<Self> {
        let bus_before = bus(cluster).await;
        let before = Reading::take(cluster, &generators, done)?;
        Ok(Self { cluster, generators, before, bus_before })
    }

    /// Ends when so much was done.
    pub(crate) async fn stop(self, done: u64) -> io::Result<Spent> {
        let after = Reading::take(self.cluster, &self.generators, done)?;
        let bus_after = bus(self.cluster).await;
        let bus = self.bus_before.zip(bus_after).map(|(before, after)| Bus {
            parcels: after.parcels - before.parcels,
            batches: after.batches - before.batches,
        });
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let own_cores = self.generators.len().min(cores) as f64;
        Ok(Spent { own_cores, ..Spent::between(self.before, after, bus) })
    }
}

impl Spent {
    fn between(before: Reading, after: Reading, bus: Option<Bus>) -> Self {
        let cpu = after.cpu.into_iter().zip(before.cpu);
        Self {
            wall: after.at - before.at,
            done: after.done - before.done,
            own_cpu: after.own_cpu - before.own_cpu,
            own_cores: 1.0,
            cpu: cpu.map(|((name, after), (_, before))| (name, after - before)).collect(),
            // Whoever ended without being waited for is missing in the second reading.
            others_cpu: after.others_cpu.saturating_sub(before.others_cpu),
            stolen: after.stolen.saturating_sub(before.stolen),
            bus,
            rates: Points::new(),
        }
    }
}

/// `None` if a node does not tell. Other servers are not asked: a busy one takes its time, and the run goes on.
async fn bus(cluster: &Cluster) -> Option<Bus> {
    if !cluster.of_nodes {
        return None;
    }
    let mut sum = Bus { parcels: 0.0, batches: 0.0 };
    for node in &cluster.nodes {
        let (_, text) = http::get(&node.address, "/metrics").await.ok()?;
        sum.parcels += http::metric(&text, "signalbox_bus_parcels_sent_total")?;
        sum.batches += http::metric(&text, "signalbox_bus_batches_sent_total")?;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_spent_is_the_difference_of_two_readings() {
        let ms = Duration::from_millis;
        let start = Instant::now();
        let reading = |at, done, cpu| Reading {
            at: start + at,
            done,
            own_cpu: cpu,
            cpu: vec![("node_1".to_owned(), 2 * cpu)],
            others_cpu: 4 * cpu,
            stolen: cpu,
        };
        let spent = Spent::between(reading(ms(500), 100, ms(70)), reading(ms(2_500), 1_100, ms(100)), None);
        assert_eq!((spent.wall, spent.done, spent.own_cpu), (ms(2_000), 1_000, ms(30)));
        assert_eq!(spent.cpu, [("node_1".to_owned(), ms(60))]);
        assert_eq!((spent.others_cpu, spent.stolen), (ms(120), ms(30)));
        assert!((spent.rate() - 500.0).abs() < 1e-9);
    }
}
