//! What became of the changes that Strapi has to get, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// What this node did with the outbox since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StrapiCounters {
    /// Changes that Strapi has taken.
    pub written: u64,
    /// Tries that failed and are made again.
    pub retried: u64,
    /// Changes that Strapi refused for good.
    pub refused: u64,
    /// Boardings that were undone for that.
    pub undone: u64,
    /// Records of failed pushes that were removed.
    pub removed: u64,
}

/// What can be counted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Counted {
    Written,
    Retried,
    Refused,
    Undone,
    Removed,
}

/// The counters as they run.
#[derive(Debug, Default)]
pub(super) struct Counters([AtomicU64; 5]);

impl Counters {
    pub(super) fn count(&self, what: Counted) {
        self.0[what as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> StrapiCounters {
        let of = |what: Counted| self.0[what as usize].load(Ordering::Relaxed);
        StrapiCounters {
            written: of(Counted::Written),
            retried: of(Counted::Retried),
            refused: of(Counted::Refused),
            undone: of(Counted::Undone),
            removed: of(Counted::Removed),
        }
    }
}
