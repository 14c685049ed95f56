//! What became of the locks that a node was asked for, as it happens.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{Acquired, LockCounters, Released};
use crate::Error;

/// Counts for one node.
#[derive(Debug, Default)]
pub(crate) struct LockTally {
    grants: AtomicU64,
    denials: AtomicU64,
    renewals: AtomicU64,
    releases: AtomicU64,
    refusals: AtomicU64,
    waits: AtomicU64,
    wakes: AtomicU64,
    expiries: AtomicU64,
    turns_missed: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl LockTally {
    pub(crate) fn granted(&self) {
        count(&self.grants);
    }

    pub(crate) fn denied(&self) {
        count(&self.denials);
    }

    pub(crate) fn waits(&self) {
        count(&self.waits);
    }

    pub(crate) fn woken(&self) {
        count(&self.wakes);
    }

    pub(crate) fn met_expiry(&self) {
        count(&self.expiries);
    }

    pub(crate) fn turn_missed(&self) {
        count(&self.turns_missed);
    }

    /// Counts what came of a renewal.
    pub(crate) fn renewed(&self, renewed: &Result<Acquired, Error>) {
        match renewed {
            Ok(Acquired::Granted(_)) => count(&self.renewals),
            Ok(Acquired::Denied(_)) => count(&self.refusals),
            Err(_) => {}
        }
    }

    /// Counts what came of a release.
    pub(crate) fn released(&self, released: &Result<Released, Error>) {
        match released {
            Ok(Released::Released) => count(&self.releases),
            Ok(Released::Denied(_)) => count(&self.refusals),
            Err(_) => {}
        }
    }

    /// All of them, with how many wait now.
    pub(crate) fn read(&self, waiting: u64) -> LockCounters {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LockCounters {
            grants: read(&self.grants),
            denials: read(&self.denials),
            renewals: read(&self.renewals),
            releases: read(&self.releases),
            refusals: read(&self.refusals),
            waits: read(&self.waits),
            wakes: read(&self.wakes),
            expiries: read(&self.expiries),
            turns_missed: read(&self.turns_missed),
            waiting,
        }
    }
}
