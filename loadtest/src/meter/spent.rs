//! What a run cost, how it is told, and when it is not to be believed.

use std::time::Duration;

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
    pub(super) own_cores: f64,
    /// Of each process that can be measured.
    pub(crate) cpu: Vec<(String, Duration)>,
    /// Of all other processes of the machine.
    pub(super) others_cpu: Duration,
    /// In which the machine was kept from running.
    pub(super) stolen: Duration,
    pub(super) bus: Option<Bus>,
    /// What was done per second, second by second, if somebody watched.
    pub(crate) rates: Points,
}

/// What all nodes together sent on the bus.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bus {
    pub(super) parcels: f64,
    pub(super) batches: f64,
}

impl Spent {
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
