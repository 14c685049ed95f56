//! What the cache did, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// What the cache of one node did since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheCounters {
    /// Answers from an entry, or from a load that somebody else had begun.
    pub hits: u64,
    /// Answers that were loaded.
    pub misses: u64,
    /// Answers for which the repository was asked in spite of the cache.
    pub bypasses: u64,
    /// Entries that were not used, and loads that were not stored, because the pool had changed.
    pub invalidated: u64,
    /// Queries that could not be answered.
    pub errors: u64,
    /// Entries that were loaded anew before they ended.
    pub refreshed: u64,
}

/// What can be counted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Counted {
    Hit,
    Miss,
    Bypass,
    Invalidated,
    Error,
    Refreshed,
}

/// The counters as they run.
#[derive(Debug, Default)]
pub(super) struct Counters([AtomicU64; 6]);

impl Counters {
    pub(super) fn count(&self, what: Counted) {
        self.0[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> CacheCounters {
        let of = |what: Counted| self.0[what as usize].load(Ordering::Relaxed);
        CacheCounters {
            hits: of(Counted::Hit),
            misses: of(Counted::Miss),
            bypasses: of(Counted::Bypass),
            invalidated: of(Counted::Invalidated),
            errors: of(Counted::Error),
            refreshed: of(Counted::Refreshed),
        }
    }
}
