//! Histograms of latencies: a nanosecond to two minutes, three significant digits.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Longer ones are recorded as this.
const LONGEST_NS: u64 = 120_000_000_000;

/// Latencies, of which quantiles can be asked. Written as its counts: `[[nanoseconds, count], ..]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(into = "Counts", from = "Counts")]
pub(crate) struct Latencies {
    histogram: Histogram<u64>,
}

/// Latencies in nanoseconds, and how many of each there were.
type Counts = Vec<(u64, u64)>;

impl From<Latencies> for Counts {
    fn from(latencies: Latencies) -> Self {
        let recorded = latencies.histogram.iter_recorded();
        recorded.map(|step| (step.value_iterated_to(), step.count_at_value())).collect()
    }
}

impl From<Counts> for Latencies {
    fn from(counts: Counts) -> Self {
        let mut latencies = Self::default();
        for (ns, count) in counts {
            latencies.histogram.saturating_record_n(ns.clamp(1, LONGEST_NS), count);
        }
        latencies
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self { histogram: Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("the bounds are in order") }
    }
}

impl Latencies {
    /// Records one.
    pub(crate) fn record(&mut self, latency: Duration) {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.histogram.saturating_record(ns.clamp(1, LONGEST_NS));
    }

    /// Adds all of `other`.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.histogram.add(&other.histogram).expect("all histograms have the same bounds");
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.histogram.reset();
    }

    /// How many were recorded.
    pub(crate) fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The latency that this share of all, 0 to 1, did not exceed; zero if none was recorded.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        Duration::from_nanos(self.histogram.value_at_quantile(share))
    }

    /// Shares of all and the latencies that they did not exceed, ten for each nine and the longest last: what a plot over
    /// 1 / (1 - share) needs. None if none was recorded.
    pub(crate) fn percentiles(&self) -> Vec<(f64, Duration)> {
        let count = self.count();
        if count == 0 {
            return Vec::new();
        }
        let tails = (0..).map(|tenth| 10_f64.powf(f64::from(tenth) / 10.0));
        let tails = tails.take_while(|tail| *tail < count as f64).chain([count as f64]);
        let mut shares: Vec<f64> = tails.map(|tail| 1.0 - 1.0 / tail).collect();
        shares.dedup();
        shares.into_iter().map(|share| (share, self.quantile(share))).collect()
    }

    /// The longest.
    pub(crate) fn max(&self) -> Duration {
        Duration::from_nanos(self.histogram.max())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(micros: impl IntoIterator<Item = u64>) -> Latencies {
        let mut latencies = Latencies::default();
        micros.into_iter().for_each(|us| latencies.record(Duration::from_micros(us)));
        latencies
    }

    fn about(left: Duration, right_us: f64) -> bool {
        (left.as_secs_f64() * 1e6 / right_us - 1.0).abs() < 0.002
    }

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let latencies = of(1..=10_000);
        assert_eq!(latencies.count(), 10_000);
        for (share, expected_us) in [(0.5, 5_000.0), (0.9, 9_000.0), (0.99, 9_900.0), (1.0, 10_000.0)] {
            assert!(
                about(latencies.quantile(share), expected_us),
                "{share}: {:?}",
                latencies.quantile(share)
            );
        }
        assert_eq!(Latencies::default().quantile(0.99), Duration::ZERO);
    }

    #[test]
    fn percentiles_grow_to_the_longest() {
        let percentiles = of(1..=1_000).percentiles();
        assert_eq!(percentiles.len(), 31);
        assert!(percentiles.is_sorted());
        let (share, longest) = percentiles[30];
        assert!((share - 0.999).abs() < 1e-9 && about(longest, 999.0), "{share} {longest:?}");
        assert_eq!(percentiles[10].0, 0.9);
        assert_eq!((of([7]).percentiles().len(), Latencies::default().percentiles().len()), (1, 0));
    }

    #[test]
    fn merging_is_recording_in_one() {
        let mut merged = of((1..=10_000).filter(|us| us % 3 == 0));
        merged.merge(&of((1..=10_000).filter(|us| us % 3 != 0)));
        let whole = of(1..=10_000);
        assert_eq!(merged.count(), whole.count());
        for share in [0.0, 0.1, 0.5, 0.9, 0.999, 1.0] {
            assert_eq!(merged.quantile(share), whole.quantile(share), "{share}");
        }
        merged.clear();
        assert_eq!((merged.count(), merged.max()), (0, Duration::ZERO));
    }

    #[test]
    fn what_is_written_and_read_back_is_the_same() {
        let latencies = of((1..=3_000).map(|us| us * us));
        let text = serde_json::to_string(&latencies).unwrap();
        let read: Latencies = serde_json::from_str(&text).unwrap();
        assert_eq!(read.histogram, latencies.histogram);
        assert_eq!(serde_json::to_string(&Latencies::default()).unwrap(), "[]");
    }

    #[test]
    fn what_is_out_of_bounds_is_recorded_at_the_bound() {
        let mut latencies = Latencies::default();
        latencies.record(Duration::ZERO);
        latencies.record(Duration::from_secs(100_000));
        assert_eq!(latencies.count(), 2);
        assert!(latencies.max() >= Duration::from_secs(119) && latencies.max() <= Duration::from_secs(121));
    }
}
