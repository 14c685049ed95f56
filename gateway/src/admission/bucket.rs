//! So many a second, a few of them at once. Pure: who asks tells the time.

use std::time::Duration;

/// A token bucket, kept as the moment at which it will be full again.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// From one token to the next; rounded up, so that the rate is never exceeded.
    interval: Duration,
    /// How far `full_at` may lie ahead for one more to be taken.
    tolerance: Duration,
    /// When it is full again, since the caller's zero.
    full_at: Duration,
}

impl Bucket {
    /// A full bucket that gains `per_second` tokens a second and holds `burst` of them. Zeros count as one.
    pub fn new(per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_nanos(1_000_000_000_u64.div_ceil(u64::from(per_second.max(1))));
        Self { interval, tolerance: interval * (burst.max(1) - 1), full_at: Duration::ZERO }
    }

    /// Takes a token, if there is one at `now`, the time since the caller's zero.
    pub fn take(&mut self, now: Duration) -> bool {
        let has_one = self.wait(now).is_none();
        if has_one {
            self.spend(now, 1);
        }
        has_one
    }

    /// How long there will be no token; `None`: there is one.
    pub fn wait(&self, now: Duration) -> Option<Duration> {
        let ahead = self.full_at.saturating_sub(now);
        ahead.checked_sub(self.tolerance).filter(|wait| !wait.is_zero())
    }

    /// Takes so many tokens, also such as it does not have: it is in debt then, until they have come.
    pub fn spend(&mut self, now: Duration, tokens: u32) {
        self.full_at = self.full_at.max(now) + self.interval * tokens;
    }

    /// Whether it holds all that it can.
    pub fn is_full(&self, now: Duration) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn taken(bucket: &mut Bucket, now: Duration, asked: usize) -> usize {
        (0..asked).filter(|_| bucket.take(now)).count()
    }

    #[test]
    fn a_full_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::new(100, 10);
        assert_eq!(taken(&mut bucket, Duration::ZERO, 50), 10);
        assert_eq!(taken(&mut bucket, 9 * MS, 50), 0);
        assert_eq!(taken(&mut bucket, 10 * MS, 50), 1);
        assert_eq!(taken(&mut bucket, 60 * MS, 50), 5);
        assert_eq!(taken(&mut bucket, 3_600_000 * MS, 50), 10, "it holds no more than its burst");
    }

    #[test]
    fn a_debt_is_waited_for() {
        let mut bucket = Bucket::new(100, 10);
        bucket.spend(Duration::ZERO, 30);
        assert_eq!(bucket.wait(Duration::ZERO), Some(210 * MS));
        assert_eq!(taken(&mut bucket, 209 * MS, 5), 0);
        assert_eq!(taken(&mut bucket, 210 * MS, 5), 1);
        assert!(!bucket.is_full(309 * MS));
        assert!(bucket.is_full(310 * MS));
    }

    #[test]
    fn zeros_count_as_one() {
        let mut bucket = Bucket::new(0, 0);
        assert_eq!(taken(&mut bucket, Duration::ZERO, 5), 1);
        assert_eq!(taken(&mut bucket, 999 * MS, 5), 0);
        assert_eq!(taken(&mut bucket, 1_000 * MS, 5), 1);
    }

    proptest! {
        /// However it is asked, any stretch of time sees at most its share of the rate and one burst.
        #[test]
        fn no_stretch_of_time_sees_more_than_rate_and_burst(
            per_second in 1..5_000_u32,
            burst in 1..100_u32,
            steps in prop::collection::vec((0..50_000_u64, 1..30_usize), 1..60),
        ) {
            let mut bucket = Bucket::new(per_second, burst);
            let mut now = Duration::ZERO;
            let mut moments = Vec::new();
            for (micros, asked) in steps {
                now += Duration::from_micros(micros);
                moments.extend(std::iter::repeat_n(now, taken(&mut bucket, now, asked)));
            }
            for (first, from) in moments.iter().enumerate() {
                for (count, to) in (1_u32..).zip(&moments[first..]) {
                    let share = (*to - *from).as_secs_f64() * f64::from(per_second);
                    prop_assert!(f64::from(count) <= share + f64::from(burst) + 1e-6);
                }
            }
        }
    }
}
