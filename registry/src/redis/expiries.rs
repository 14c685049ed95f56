//! When the times to live of keys that many rows share were last set, so that not every row sets them again.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::mutex::lock;
use crate::recent::Recent;

/// Keys that are remembered.
const KEYS_MAX: usize = 65_536;

#[derive(Debug)]
pub(super) struct Expiries {
    /// After so long a key is due again.
    third: Duration,
    set: Mutex<Recent<String, Instant>>,
}

impl Expiries {
    pub(super) fn new(row_ttl: Duration) -> Self {
        let third = row_ttl / 3;
        Self { third, set: Mutex::new(Recent::new(third, KEYS_MAX)) }
    }

    /// Those of the keys whose time to live has to be set: new ones, and those due.
    pub(super) fn due(&self, keys: impl Iterator<Item = String>) -> Vec<String> {
        let set = lock(&self.set);
        keys.filter(|key| set.get(key).is_none_or(|at| at.elapsed() >= self.third)).collect()
    }

    /// The times to live of these keys were set now.
    pub(super) fn note(&self, keys: Vec<String>) {
        let (now, mut set) = (Instant::now(), lock(&self.set));
        keys.into_iter().for_each(|key| set.put(key, now));
    }
}
