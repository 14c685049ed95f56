//! How long to wait before the next attempt. Pure: whoever waits brings the randomness.

use std::time::Duration;

use fastrand::Rng;

/// A wait between nothing and a ceiling, which doubles from the first to the longest ("full jitter"):
/// many clients that lost the same node come back spread over the whole time.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    ceiling: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        let longest = longest.max(first);
        Self { first, longest, ceiling: first }
    }

    /// The next wait.
    pub(crate) fn next(&mut self, rng: &mut Rng) -> Duration {
        let ceiling = self.ceiling;
        self.ceiling = ceiling.saturating_mul(2).min(self.longest);
        ceiling.mul_f64(rng.f64())
    }

    /// As [`Backoff::next`], but already grown to the longest.
    pub(crate) fn longest(&mut self, rng: &mut Rng) -> Duration {
        self.ceiling = self.longest;
        self.next(rng)
    }

    /// Begins with the first again.
    pub(crate) fn reset(&mut self) {
        self.ceiling = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prop_assert, proptest};

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// The ceilings of `waits` waits: the largest of many draws comes close.
    fn ceilings(backoff: &Backoff, waits: usize) -> Vec<u64> {
        let mut rng = Rng::with_seed(1);
        let mut largest = vec![Duration::ZERO; waits];
        for _ in 0..1_000 {
            let mut backoff = backoff.clone();
            for largest in &mut largest {
                *largest = backoff.next(&mut rng).max(*largest);
            }
        }
        largest.into_iter().map(|wait| wait.as_secs_f64().ceil() as u64).collect()
    }

    #[test]
    fn the_ceiling_doubles_from_the_first_to_the_longest() {
        assert_eq!(ceilings(&Backoff::new(seconds(1), seconds(5)), 5), [1, 2, 4, 5, 5]);
        let mut grown = Backoff::new(seconds(1), seconds(5));
        grown.longest(&mut Rng::new());
        assert_eq!(ceilings(&grown, 2), [5, 5]);
        grown.reset();
        assert_eq!(ceilings(&grown, 2), [1, 2]);
    }

    #[test]
    fn waits_are_spread_over_the_whole_time() {
        let mut rng = Rng::with_seed(2);
        let mut tenths = [0; 10];
        for _ in 0..10_000 {
            let wait = Backoff::new(seconds(1), seconds(5)).next(&mut rng);
            tenths[(wait.as_secs_f64() * 10.0) as usize] += 1;
        }
        assert!(tenths.iter().all(|&waits| (850..1_150).contains(&waits)), "{tenths:?}");
    }

    proptest! {
        #[test]
        fn no_wait_is_longer_than_the_longest(first in 0_u64..100_000, longest in 0_u64..100_000, seed: u64) {
            let (first, longest) = (Duration::from_millis(first), Duration::from_millis(longest));
            let mut backoff = Backoff::new(first, longest);
            let mut rng = Rng::with_seed(seed);
            for _ in 0..20 {
                prop_assert!(backoff.next(&mut rng) <= longest.max(first));
            }
        }
    }
}
