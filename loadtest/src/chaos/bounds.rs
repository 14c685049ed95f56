//! How much time, or what else, a fault may cost at most: figures of the report, each with its limit.
//!
//! The limits are those of a machine that can carry the load. Where it can't, or does other work, they say nothing.

use std::time::Duration;

use signalbox_client::protocol::limits::OUTBOX_BYTES_MAX;

use super::faults::LEASE;
use crate::options::{CLOSES_PER_SECOND, Chaos, FAREWELL, Fault, HEARTBEAT};
use crate::report::Report;

/// Whether a node is listed is asked again and again: an answer is so old at most.
const LOOKED_AT_WITHIN: Duration = Duration::from_millis(100);

/// The longest that a client waits before it tries again, by default, and a second for coming back.
const BACK_OFF: Duration = Duration::from_secs(5 + 1);

/// The latency beside slow readers may be so many times that without them, and so much.
const NOISE: (f64, Duration) = (1.5, Duration::from_millis(5));

/// What nodes may grow by besides the outboxes of slow readers.
const GROWTH_BYTES: usize = 64 * 1024 * 1024;

/// A limit of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bound {
    figure: &'static str,
    most: f64,
}

/// Adds a failure for each figure of this fault's that is beyond its limit, or is missing; notes the limits.
pub(crate) fn check(options: &Chaos, report: &mut Report) {
    for Bound { figure, most } in bounds(options, report) {
        report.figure(format!("{figure}_allowed"), most);
        match report.number(figure) {
            Some(value) if value <= most => {}
            Some(value) => report.failure(format!("{figure} is {value}, allowed are {most}")),
            None => report.failure(format!("{figure} is not known, allowed are {most}")),
        }
    }
}

fn bounds(options: &Chaos, report: &Report) -> Vec<Bound> {
    match options.fault {
        Fault::RollingRestart => vec![
            Bound::time("blackout_p99_ms", Duration::from_secs(2)),
            Bound { figure: "handshakes_per_second_peak", most: f64::from(CLOSES_PER_SECOND) },
        ],
        Fault::KillNode => vec![Bound::time("blackout_p99_ms", BACK_OFF)],
        Fault::PauseNode => vec![Bound::time("node_unlisted_after_ms", LEASE + LOOKED_AT_WITHIN)],
        Fault::RedisBlackHole => vec![Bound::time("flows_again_ms", Duration::from_secs(3))],
        Fault::HalfOpen | Fault::Trickle => {
            let (interval, timeout) = HEARTBEAT;
            // It is looked at so often, and counted when the socket is gone.
            vec![Bound::time("links_noticed_after_ms", timeout + interval + FAREWELL)]
        }
        Fault::SlowReaders => {
            let (times, more) = NOISE;
            let before = report.number("latency_before_p99_us").unwrap_or(0.0);
            let outboxes = options.slow_readers * OUTBOX_BYTES_MAX;
            vec![
                Bound { figure: "latency_p99_us", most: before * times + more.as_micros() as f64 },
                Bound { figure: "nodes_grown_bytes", most: (outboxes + GROWTH_BYTES) as f64 },
            ]
        }
        Fault::None
        | Fault::KillPubsub
        | Fault::RedisJitter
        | Fault::RedisCut
        | Fault::RedisRestartEmpty
        | Fault::RedisRestartData
        | Fault::RedisFlushall
        | Fault::RedisFailover => Vec::new(),
    }
}

impl Bound {
    fn time(figure: &'static str, most: Duration) -> Self {
        Self { figure, most: most.as_secs_f64() * 1e3 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Command, Options, Scenario};
    use clap::Parser;

    /// The failures of a run under `fault` with these figures.
    fn failures(fault: &str, figures: &[(&'static str, f64)]) -> Vec<String> {
        let options = Options::parse_from(["signalbox-load", "chaos", "--fault", fault]);
        let Command::Measure(scenario) = options.command else { panic!("it is a scenario") };
        let Scenario::Chaos(options) = *scenario else { panic!("it is chaos") };
        let mut report = Report::new("chaos", String::new());
        figures.iter().for_each(|(name, value)| report.figure(*name, *value));
        check(&options, &mut report);
        report.failures().to_vec()
    }

    #[test]
    fn a_figure_beyond_its_limit_is_a_failure_and_a_missing_one_too() {
        let fine = [("blackout_p99_ms", 2_000.0), ("handshakes_per_second_peak", 500.0)];
        assert_eq!(failures("rolling-restart", &fine), Vec::<String>::new());
        for (figure, value) in [("blackout_p99_ms", 2_001.0), ("handshakes_per_second_peak", 501.0)] {
            let figures = fine.map(|(name, fine)| (name, if name == figure { value } else { fine }));
            let failures = failures("rolling-restart", &figures);
            assert!(failures.len() == 1 && failures[0].starts_with(figure), "{failures:?}");
        }
        assert_eq!(failures("rolling-restart", &fine[..1]).len(), 1);
        assert_eq!(failures("none", &[]), Vec::<String>::new());
    }

    #[test]
    fn every_fault_has_its_own_limits() {
        for (fault, figure, most) in [
            ("kill-node", "blackout_p99_ms", 6_000.0),
            ("pause-node", "node_unlisted_after_ms", 5_100.0),
            ("redis-black-hole", "flows_again_ms", 3_000.0),
            ("half-open", "links_noticed_after_ms", 6_000.0),
            ("trickle", "links_noticed_after_ms", 6_000.0),
        ] {
            assert_eq!(failures(fault, &[(figure, most)]).len(), 0, "{fault}");
            assert_eq!(failures(fault, &[(figure, most + 1.0)]).len(), 1, "{fault}");
        }
    }

    #[test]
    fn the_others_latency_is_measured_by_that_without_slow_readers() {
        let with = |latency| {
            let grown = ("nodes_grown_bytes", 1e6);
            failures(
                "slow-readers",
                &[("latency_before_p99_us", 10_000.0), ("latency_p99_us", latency), grown],
            )
        };
        assert_eq!((with(20_000.0).len(), with(20_010.0).len()), (0, 1));
    }
}
