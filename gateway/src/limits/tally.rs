//! How often something happened within a window of whole seconds.

use std::time::Duration;

/// A count that begins anew with each window.
#[derive(Debug, Default)]
pub struct Tally {
    count: u32,
    since: u32,
}

impl Tally {
    /// Counts one more at `now`, in seconds; how many there were in this window.
    pub fn add(&mut self, now: u32, window: Duration) -> u32 {
        if u64::from(now.saturating_sub(self.since)) >= window.as_secs() {
            *self = Self { count: 0, since: now };
        }
        self.count = self.count.saturating_add(1);
        self.count
    }
}
