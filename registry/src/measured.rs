//! What this crate measures while it works, for whoever watches a node: counts that only grow, without a lock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper ends of the buckets of a time, in microseconds; the longest wait for Redis is half a second by default.
const TIMES: &[u64] =
    &[100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000];
/// Upper ends of the buckets of a number of parcels.
const PARCELS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/// The commands that are told apart, those that are asked most first; `pipeline` is several at once, and
/// `other` whatever else.
const COMMANDS: [&str; 34] = [
    "evalsha",
    "publish",
    "pipeline",
    "ping",
    "hgetall",
    "hget",
    "hmget",
    "hset",
    "sadd",
    "get",
    "mget",
    "zrange",
    "time",
    "info",
    "geosearch",
    "scard",
    "hscan",
    "sscan",
    "scan",
    "pubsub",
    "wait",
    "set",
    "getrange",
    "expire",
    "pexpire",
    "pttl",
    "hdel",
    "unlink",
    "zcard",
    "zmscore",
    "zrem",
    "asking",
    "cluster",
    "other",
];

/// By which connection Redis was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// One that all share: what is small, and has to be quick.
    Shared,
    /// One of the pool: large answers and long work.
    Pool,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Shared, Self::Pool];

    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Pool => "pool",
        }
    }
}

/// How often a value fell into which bucket.
#[derive(Debug)]
pub struct Spread {
    ends: &'static [u64],
    /// One for each bucket, and one for what is beyond all.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Spread {
    fn new(ends: &'static [u64]) -> Self {
        let counts = (0..=ends.len()).map(|_| AtomicU64::new(0)).collect();
        Self { ends, counts, sum: AtomicU64::new(0) }
    }

    pub(crate) fn note(&self, value: u64) {
        let bucket = self.ends.partition_point(|end| *end < value);
        self.counts[bucket].fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    pub(crate) fn note_time(&self, time: Duration) {
        self.note(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// The buckets, each with its upper end and how many values were at most that.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        let so_far = self.counts.iter().scan(0, |so_far, count| {
            *so_far += count.load(Relaxed);
            Some(*so_far)
        });
        self.ends.iter().copied().zip(so_far)
    }

    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| count.load(Relaxed)).sum()
    }

    /// What they add up to.
    pub fn sum(&self) -> u64 {
        self.sum.load(Relaxed)
    }
}

/// Why Redis did not do what it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It was not asked: the connection is down.
    Down,
    /// No answer came in time, or the connection broke: it may have done it.
    Unanswered,
    /// It refused.
    Refused,
}

impl Failure {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Down, Self::Unanswered, Self::Refused];

    /// Its name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Unanswered => "unanswered",
            Self::Refused => "refused",
        }
    }
}

/// What one node has measured since its start.
#[derive(Debug)]
pub struct Measured {
    /// From the publishing of a probe to its return, in microseconds: the way of a message over the bus.
    pub bus_lag: Spread,
    /// Parcels in a batch that was sent.
    pub batch_parcels: Spread,
    commands: [[Spread; COMMANDS.len()]; Way::ALL.len()],
    failures: [AtomicU64; Failure::ALL.len()],
}

impl Default for Measured {
    fn default() -> Self {
        Self {
            bus_lag: Spread::new(TIMES),
            batch_parcels: Spread::new(PARCELS),
            commands: Way::ALL.map(|_| std::array::from_fn(|_| Spread::new(TIMES))),
            failures: Default::default(),
        }
    }
}

impl Measured {
    /// How long Redis took, in microseconds, by connection and command.
    pub fn commands(&self) -> impl Iterator<Item = (Way, &'static str, &Spread)> {
        let of = |way| COMMANDS.into_iter().zip(&self.commands[way as usize]);
        Way::ALL.into_iter().flat_map(move |way| of(way).map(move |(name, spread)| (way, name, spread)))
    }

    /// How often Redis did not do what it was asked for.
    pub fn failures(&self, failure: Failure) -> u64 {
        self.failures[failure as usize].load(Relaxed)
    }

    pub(crate) fn command(&self, way: Way, name: &[u8]) -> &Spread {
        let known = COMMANDS.iter().position(|known| known.as_bytes().eq_ignore_ascii_case(name));
        &self.commands[way as usize][known.unwrap_or(COMMANDS.len() - 1)]
    }

    pub(crate) fn count_failure(&self, failure: Failure) {
        self.failures[failure as usize].fetch_add(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn a_value_falls_into_the_first_bucket_that_takes_it() {
        let spread = Spread::new(PARCELS);
        [1, 2, 3, 512, 513].into_iter().for_each(|value| spread.note(value));
        let buckets: Vec<_> = spread.buckets().collect();
        assert_eq!(buckets[..3], [(1, 1), (2, 2), (4, 3)]);
        assert_eq!(buckets.last(), Some(&(512, 4)));
        assert_eq!((spread.count(), spread.sum()), (5, 1_031));
    }

    #[test]
    fn a_command_is_known_however_it_is_written_and_each_way_by_itself() {
        let measured = Measured::default();
        for (way, name) in [
            (Way::Pool, "EVALSHA"),
            (Way::Shared, "EVALSHA"),
            (Way::Pool, "evalsha"),
            (Way::Shared, "CLIENT"),
        ] {
            measured.command(way, name.as_bytes()).note_time(Duration::from_millis(1));
        }
        let counted = measured.commands().filter(|(_, _, spread)| spread.count() > 0);
        let counted: Vec<_> = counted.map(|(way, name, spread)| (way, name, spread.sum())).collect();
        let expected =
            [(Way::Shared, "evalsha", 1_000), (Way::Shared, "other", 1_000), (Way::Pool, "evalsha", 2_000)];
        assert_eq!(counted, expected);
    }

    #[test]
    fn every_command_that_is_given_has_a_name_of_its_own() {
        let mut given = BTreeSet::new();
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
        folders.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("../reservoir/src"));
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let text = fs::read_to_string(&path).unwrap();
                    let names =
                        text.split("Call::new(\"").skip(1).map(|rest| rest.split('"').next().unwrap());
                    given.extend(names.map(str::to_lowercase));
                }
            }
        }
        assert!(given.len() > 20, "{given:?}");
        let unnamed: Vec<_> = given.iter().filter(|name| !COMMANDS.contains(&name.as_str())).collect();
        assert!(unnamed.is_empty(), "{unnamed:?} would be counted as other");
    }
}
