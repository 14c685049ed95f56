//! What the conductors measured, and how it is told.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::cli::fleet::tally::{Times, Told};

/// What is told.
#[derive(Debug, Serialize)]
pub(in crate::cli::fleet) struct Report {
    pub(super) pool: String,
    pub(super) conductors: u32,
    pub(super) query_seconds: f64,
    pub(super) seconds: u64,
    pub(super) waiting: u32,
    pub(super) http: Way,
    pub(super) web_socket: Way,
}

/// One way to ask.
#[derive(Debug, Serialize)]
pub(super) struct Way {
    cached: Told,
    missed: Told,
    /// There is no cache, or it could not be asked.
    bypassed: Told,
    pub(super) failed: u64,
    /// Of those that asked the cache.
    hit_rate: Option<f64>,
}

/// Where an answer came from, as it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    Cache,
    Store,
    StoreAlone,
}

/// What one conductor, or all of one way, measured.
#[derive(Debug, Default)]
pub(super) struct Measured {
    cached: Times,
    missed: Times,
    bypassed: Times,
    pub(super) failed: u64,
}

impl Measured {
    pub(super) fn record(&mut self, from: From, time: Duration) {
        match from {
            From::Cache => self.cached.record(time),
            From::Store => self.missed.record(time),
            From::StoreAlone => self.bypassed.record(time),
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.cached.add(&other.cached);
        self.missed.add(&other.missed);
        self.bypassed.add(&other.bypassed);
        self.failed += other.failed;
    }

    pub(super) fn told(&self) -> Way {
        let [cached, missed, bypassed] = [&self.cached, &self.missed, &self.bypassed].map(Times::told);
        let asked = cached.count + missed.count;
        let hit_rate = (asked > 0).then(|| cached.count as f64 / asked as f64);
        Way { cached, missed, bypassed, failed: self.failed, hit_rate }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} conductors in one place poll {} every {} s, each way for {} s; {} were pushed to wait there",
            self.conductors, self.pool, self.query_seconds, self.seconds, self.waiting
        )?;
        writeln!(
            f,
            "{:<12}{:<8}{:>8}{:>10}{:>10}{:>10}{:>10}",
            "", "", "queries", "mean ms", "p50 ms", "p99 ms", "max ms"
        )?;
        // Whoever waits for a load that another began is a hit, and as slow as that load.
        // Over a WebSocket a miss can't be told from an answer without a cache.
        let ways = [("http", &self.http, "miss"), ("web socket", &self.web_socket, "other")];
        for (name, way, missed) in ways {
            for (from, told) in [("hit", way.cached), (missed, way.missed), ("bypass", way.bypassed)] {
                if told.count > 0 {
                    let Told { count, mean_ms, p50_ms, p99_ms, max_ms } = told;
                    writeln!(
                        f,
                        "{name:<12}{from:<8}{count:>8}{mean_ms:>10.2}{p50_ms:>10.2}{p99_ms:>10.2}{max_ms:>10.2}"
                    )?;
                }
            }
            let rate = match way.hit_rate {
                Some(rate) if way.cached.count > 0 => format!("hit rate {:.1} %", rate * 100.0),
                _ => "nothing came from a cache".to_owned(),
            };
            writeln!(f, "{name:<12}{rate}, failed {}", way.failed)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hit_rate_is_of_those_who_asked_the_cache() {
        let mut measured = Measured::default();
        assert_eq!(measured.told().hit_rate, None);
        for from in [From::Cache, From::Cache, From::Cache, From::Store, From::StoreAlone] {
            let mut one = Measured::default();
            one.record(from, Duration::from_millis(2));
            measured.add(&one);
        }
        let way = measured.told();
        assert_eq!(
            (way.hit_rate, way.cached.count, way.missed.count, way.bypassed.count),
            (Some(0.75), 3, 1, 1)
        );
        assert_eq!(way.cached.mean_ms, 2.0);
    }
}
