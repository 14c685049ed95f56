//! What a fleet has done so far, in numbers.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// Longer times count as this one.
const LONGEST: Duration = Duration::from_secs(3_600);

/// Counts of one run; every task of it adds.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) boarded: u64,
    pub(super) alighted: u64,
    /// Boardings denied because another vehicle had the passenger.
    pub(super) conflicts: u64,
    /// Boardings denied for another reason.
    pub(super) denied: u64,
    /// Answers that were lost; each was asked again.
    pub(super) unknown: u64,
    /// Boardings of which nobody knew at the end.
    pub(super) unresolved: u64,
    pub(super) queries: u64,
    pub(super) queries_failed: u64,
    pub(super) stops: u64,
    /// Requests to stop or go on that were not acknowledged.
    pub(super) unheard: u64,
    pub(super) pushed: u64,
    /// Announcements that could not be read.
    pub(super) unreadable: u64,
    pub(super) query: Times,
    pub(super) boarding: Times,
    /// From a passenger's coming to the boarding, by the gateway's clock.
    pub(super) waited: Times,
}

/// A distribution of times.
#[derive(Debug)]
pub(super) struct Times {
    micros: Histogram<u64>,
}

impl Default for Times {
    fn default() -> Self {
        Self { micros: Histogram::new(3).expect("3 digits are allowed") }
    }
}

/// What is told of it, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(super) struct Told {
    pub(super) count: u64,
    pub(super) mean_ms: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) max_ms: f64,
}

impl Times {
    pub(super) fn record(&mut self, time: Duration) {
        let micros = time.min(LONGEST).as_micros() as u64;
        self.micros.record(micros).expect("it grows, and an hour is no overflow");
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.micros.add(&other.micros).expect("both grow as they need to");
    }

    pub(super) fn told(&self) -> Told {
        let ms = |micros: f64| (micros / 10.0).round() / 100.0;
        Told {
            count: self.micros.len(),
            mean_ms: ms(self.micros.mean()),
            p50_ms: ms(self.micros.value_at_quantile(0.5) as f64),
            p99_ms: ms(self.micros.value_at_quantile(0.99) as f64),
            max_ms: ms(self.micros.max() as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_milliseconds() {
        let mut times = Times::default();
        assert_eq!(times.told(), Told::default());
        for ms in [1, 2, 6] {
            times.record(Duration::from_millis(ms));
        }
        let mut both = Times::default();
        both.add(&times);
        assert_eq!(both.told(), times.told());
        let told = times.told();
        assert_eq!((told.count, told.mean_ms), (3, 3.0));
        assert!((told.p50_ms - 2.0).abs() < 0.01, "{told:?}");
        assert!((told.max_ms - 6.0).abs() < 0.01 && (told.p99_ms - 6.0).abs() < 0.01, "{told:?}");
    }
}
