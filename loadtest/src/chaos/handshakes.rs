//! How many handshakes there were in the worst second.

use std::collections::VecDeque;
use std::time::Duration;

use signalbox_client::ClientState;
use tokio::time::Instant;

/// Attempts to connect of the last second, and the most that there were in any.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    recent: VecDeque<Instant>,
    peak: usize,
}

impl Handshakes {
    /// One more, successful or not.
    pub(crate) fn count(&mut self) {
        let now = Instant::now();
        while self.recent.front().is_some_and(|began| now - *began >= Duration::from_secs(1)) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        self.peak = self.peak.max(self.recent.len());
    }

    /// The most in a second, wherever that begins.
    pub(crate) fn peak(&self) -> u64 {
        self.peak as u64
    }
}

/// Whether an attempt began between two looks at a client, though it may be over already.
pub(crate) fn has_begun(before: ClientState, now: ClientState) -> bool {
    use ClientState::{Connecting, Open, Waiting};
    matches!((before, now), (_, Connecting) | (Waiting, Open | Waiting))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_worst_second_is_told_wherever_it_begins() {
        let mut handshakes = Handshakes::default();
        assert_eq!(handshakes.peak(), 0);
        for (number, wait) in [(3, 2_500), (2, 700), (4, 400), (2, 0)] {
            (0..number).for_each(|_| handshakes.count());
            tokio::time::advance(Duration::from_millis(wait)).await;
        }
        assert_eq!(handshakes.peak(), 6);
    }

    #[test]
    fn an_attempt_is_noticed_though_it_is_over() {
        use ClientState::{Closed, Connecting, Open, Waiting};
        for (before, now, begun) in [
            (Waiting, Connecting, true),
            (Open, Connecting, true),
            (Waiting, Open, true),
            (Waiting, Waiting, true),
            (Connecting, Open, false),
            (Connecting, Waiting, false),
            (Open, Waiting, false),
            (Open, Closed, false),
        ] {
            assert_eq!(has_begun(before, now), begun, "{before:?} {now:?}");
        }
    }
}
