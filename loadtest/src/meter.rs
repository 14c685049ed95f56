//! What a run costs: CPU of each process and batches on the bus, over the measured part.

mod watched;

use std::io;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

pub(crate) use self::watched::{Watched, watch};
use crate::cluster::Cluster;
use crate::http;
use crate::observed::Timeline;
use crate::procfs;
use crate::report::{Over, Points, Report, micros};

/// A generator busier than this share of its core is itself what is measured.
const OWN_CPU_SHARE_MAX: f64 = 0.9;

/// A generator that sends later than this, in one of a hundred cases, adds to the latencies.
const SEND_LAG_MAX: Duration = Duration::from_millis(2);

/// Processes that have nothing to do with the run and use more than this share of a core disturb it; so does a host.
const OTHERS_CPU_SHARE_MAX: f64 = 0.05;

/// What was spent in the measured part of a run.
#[derive(Debug)]
pub(crate) struct Spent {
    pub(crate) wall: Duration,
    pub(crate) done: u64,
    pub(crate) own_cpu: Duration,
    /// Cores that the generator can fill.
    own_cores: f64,
    /// Of each process that can be measured.
    pub(crate) cpu: Vec<(String, Duration)>,
    /// Of all other processes of the machine.
    others_cpu: Duration,
    /// In which the machine was kept from running.
    stolen: Duration,
    bus: Option<Bus>,
    /// What was done per second, second by second, if somebody watched.
    pub(crate) rates: Points,
}

/// What all nodes together sent on the bus.
#[derive(Debug, Clone, Copy)]
struct Bus {
    parcels: f64,
    batches: f64,
}

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
    sleep_until(timeline.measured_from()).await;
    let meter = Meter::start(cluster, watched.done()).await?;
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

    /// What was done per second.
    pub(crate) fn rate(&self) -> f64 {
        self.done as f64 / self.wall.as_secs_f64()
    }

    /// CPU of all servers for each thing that was done; `None` if nothing was, or they can't be measured.
    pub(crate) fn cpu_us_each(&self) -> Option<f64> {
        let cpu: Duration = self.cpu.iter().map(|(_, cpu)| *cpu).sum();
        (self.done > 0 && !self.cpu.is_empty()).then(|| micros(cpu) / self.done as f64)
    }

    /// Notes rate and cost; one of it is a `what`, e.g. `message`, several of which are `whats`.
    pub(crate) fn note(&self, report: &mut Report, what: &str, whats: &str) {
        report.figure(format!("{whats}_per_second"), self.rate());
        if !self.rates.is_empty() {
            report.series(format!("{whats}_per_second"), Over::Seconds, self.rates.clone());
        }
        if let Some(cpu_us) = self.cpu_us_each() {
            report.figure(format!("cpu_us_per_{what}"), cpu_us);
            for (name, cpu) in &self.cpu {
                report.figure(format!("cpu_us_per_{what}_{name}"), micros(*cpu) / self.done as f64);
            }
        }
        for (name, cpu) in &self.cpu {
            report.figure(format!("cpu_percent_{name}"), 100.0 * self.share(*cpu));
        }
        if let Some(Bus { parcels, batches }) = self.bus.filter(|bus| bus.batches > 0.0) {
            report.figure("messages_per_publish", parcels / batches);
        }
        report.figure("cpu_percent_generator", 100.0 * self.share(self.own_cpu));
    }

    /// Warns where something else than the servers was measured.
    pub(crate) fn judge(&self, report: &mut Report, send_lag_p99: Duration) {
        self.judge_others(report);
        let share = self.share(self.own_cpu) / self.own_cores;
        if share > OWN_CPU_SHARE_MAX {
            let (percent, cores) = (100.0 * share, if self.own_cores > 1.0 { "cores" } else { "core" });
            report.warning(format!(
                "the generator used {percent:.0} % of its {cores}: it is what was measured"
            ));
        }
        if send_lag_p99 > SEND_LAG_MAX {
            let ms = send_lag_p99.as_secs_f64() * 1e3;
            report.warning(format!(
                "one message in a hundred was sent {ms:.1} ms late or more: the latencies contain that"
            ));
        }
    }

    /// Warns where the machine was busy with something else. Only where all servers can be measured.
    fn judge_others(&self, report: &mut Report) {
        if self.cpu.is_empty() {
            return;
        }
        let (others, stolen) = (self.share(self.others_cpu), self.share(self.stolen));
        report.figure("cpu_percent_others", 100.0 * others);
        report.figure("cpu_percent_stolen", 100.0 * stolen);
        if others > OTHERS_CPU_SHARE_MAX {
            report.warning("other processes were busy on this machine: run it on a quiet one");
        }
        if stolen > OTHERS_CPU_SHARE_MAX {
            report.warning("the host of this virtual machine kept it from running: run it on a quiet one");
        }
    }

    fn share(&self, cpu: Duration) -> f64 {
        cpu.as_secs_f64() / self.wall.as_secs_f64()
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

    fn spent(done: u64, own_cpu_ms: u64, others_cpu_ms: u64) -> Spent {
        let ms = Duration::from_millis;
        Spent {
            wall: ms(10_000),
            done,
            own_cpu: ms(own_cpu_ms),
            own_cores: 1.0,
            cpu: vec![("node_1".to_owned(), ms(200)), ("redis".to_owned(), ms(100))],
            others_cpu: ms(others_cpu_ms),
            stolen: ms(others_cpu_ms / 2),
            bus: Some(Bus { parcels: 500.0, batches: 100.0 }),
            rates: vec![(1.0, 900.0), (2.0, 1_100.0)],
        }
    }

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

    #[test]
    fn cost_is_told_in_all_and_by_process() {
        let mut report = Report::new("unicast", String::new());
        spent(10_000, 1_000, 0).note(&mut report, "message", "messages");
        let results = &report.json()["results"];
        for (name, expected) in [
            ("messages_per_second", 1_000.0),
            ("cpu_us_per_message", 30.0),
            ("cpu_us_per_message_node_1", 20.0),
            ("cpu_us_per_message_redis", 10.0),
            ("cpu_percent_node_1", 2.0),
            ("cpu_percent_generator", 10.0),
            ("messages_per_publish", 5.0),
        ] {
            assert_eq!(results[name].as_f64(), Some(expected), "{name}");
        }
        assert_eq!(report.json()["series"]["messages_per_second"][1][1], 1_100.0);
    }

    #[test]
    fn what_disturbs_the_figures_is_named() {
        let warnings = |own_cpu_ms, others_cpu_ms, lag_ms| {
            let mut report = Report::new("unicast", String::new());
            spent(1, own_cpu_ms, others_cpu_ms).judge(&mut report, Duration::from_millis(lag_ms));
            report.json()["warnings"].as_array().expect("it is a list").len()
        };
        assert_eq!(warnings(8_900, 400, 1), 0);
        assert_eq!(warnings(9_100, 400, 1), 1);
        assert_eq!(warnings(100, 600, 1), 1);
        assert_eq!(warnings(100, 0, 3), 1);
        assert_eq!(warnings(9_900, 1_000, 3), 3);
        // Half as much was stolen.
        assert_eq!(warnings(100, 1_100, 1), 2);
    }
}
