//! A bucket for each of many who come and go: who was at rest for long enough is forgotten.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::admission::Bucket;

/// So many are remembered before those at rest are forgotten.
const KEPT: usize = 1_024;

/// One bucket for each `K`, all of one size.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    buckets: HashMap<K, Bucket>,
    /// What a newcomer gets.
    full: Bucket,
    /// At so many of them those at rest are forgotten.
    sweep_at: usize,
}

impl<K: Eq + Hash> Buckets<K> {
    /// Nobody is known yet; each may have `per_second`, and `burst` at once.
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        Self { buckets: HashMap::new(), full: Bucket::new(per_second, burst), sweep_at: KEPT }
    }

    /// Takes one for `who`.
    ///
    /// # Errors
    /// How long there will be none.
    pub(super) fn take(&mut self, who: K, now: Duration) -> Result<(), Duration> {
        if !self.buckets.contains_key(&who) {
            self.sweep(now);
        }
        let bucket = self.buckets.entry(who).or_insert_with(|| self.full.clone());
        match bucket.wait(now) {
            Some(wait) => Err(wait),
            None => {
                bucket.spend(now, 1);
                Ok(())
            }
        }
    }

    fn sweep(&mut self, now: Duration) {
        if self.buckets.len() >= self.sweep_at {
            self.buckets.retain(|_, bucket| !bucket.is_full(now));
            self.sweep_at = KEPT.max(2 * self.buckets.len());
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.buckets.len()
    }
}
