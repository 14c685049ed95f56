//! When a batch is sent: at once, unless so much goes that way that waiting a moment saves most of the work.
//!
//! Messages that come one by one each cost a PUBLISH, and with it a wake-up of Redis, of the receiving node, and of the
//! sending one for the answer. Where they are [`DENSE`], batches leave as far apart as is allowed.

use std::time::Duration;

use tokio::time::Instant;

/// Parcels so close together gather. Two who answer each other are further apart, and wait for nothing.
const DENSE: Duration = Duration::from_micros(250);

/// The runtime's timers go by the millisecond and round up: half of that is their mean delay.
const TIMER_DELAY: Duration = Duration::from_micros(500);

/// Parcels further apart than this count as being so far apart.
const GAP_MAX: Duration = Duration::from_millis(2);

/// Part of the mean that a new batch makes up.
const WEIGHT: u32 = 8;

/// How fast parcels come to one lane.
#[derive(Debug)]
pub(super) struct Gather {
    sent_at: Instant,
    /// The mean time between two parcels of late.
    gap: Duration,
}

impl Gather {
    /// Nothing has come yet.
    pub(super) fn new(now: Instant) -> Self {
        Self { sent_at: now, gap: GAP_MAX }
    }

    /// A batch of so many parcels is sent.
    pub(super) fn sent(&mut self, parcels: u64, now: Instant) {
        let parcels = u32::try_from(parcels).unwrap_or(u32::MAX).max(1);
        let gap = (now.duration_since(self.sent_at) / parcels).min(GAP_MAX);
        self.gap = (self.gap * (WEIGHT - 1) + gap) / WEIGHT;
        self.sent_at = now;
    }

    /// Until when the next batch gathers, if batches may be held back for `time`; `None`: it goes at once.
    pub(super) fn until(&self, time: Duration) -> Option<Instant> {
        (self.gap <= DENSE && !time.is_zero()).then(|| self.sent_at + time.saturating_sub(TIMER_DELAY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_millis(2);

    /// After many batches of so many parcels, so far apart.
    fn after(parcels: u64, apart: Duration) -> Gather {
        let mut now = Instant::now();
        let mut gather = Gather::new(now);
        for _ in 0..100 {
            now += apart;
            gather.sent(parcels, now);
        }
        gather
    }

    #[test]
    fn a_thousand_a_second_go_at_once_and_five_thousand_gather() {
        assert_eq!(after(1, Duration::from_millis(1)).until(TIME), None);
        assert_eq!(after(1, Duration::from_micros(400)).until(TIME), None);
        let busy = after(1, Duration::from_micros(200));
        assert_eq!(busy.until(TIME), Some(busy.sent_at + TIME - TIMER_DELAY));
        // They go on gathering when they come as batches.
        assert!(after(5, Duration::from_millis(1)).until(TIME).is_some());
        assert_eq!(busy.until(Duration::ZERO), None);
    }

    #[test]
    fn a_burst_after_silence_does_not_wait() {
        let mut now = Instant::now();
        let mut gather = Gather::new(now);
        now += Duration::from_secs(5);
        gather.sent(1, now);
        now += Duration::from_micros(100);
        gather.sent(500, now);
        assert_eq!(gather.until(TIME), None);
    }
}
