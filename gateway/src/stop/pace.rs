//! When who stands at which place of a line is served. Pure: who asks tells the time.

use std::time::Duration;

/// A serving may be so late without moving those behind it, and a client's next handshake too, as timers, threads and
/// networks are. The line is served slower than the set rate by as much in each second, so that what catches up stays
/// within the rate: closes here, and handshakes on the other nodes.
const SLACK: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);

/// Serves a line so that no second ever sees more than the set rate, however late single servings are: a longer
/// delay moves everybody behind it, and nobody is served earlier than his place says.
#[derive(Debug, Clone)]
pub struct Pace {
    per_second: u64,
    /// The longest that a serving was late, beyond the slack.
    lag: Duration,
}

impl Pace {
    /// So many a second, at least one.
    pub fn new(per_second: u32) -> Self {
        Self { per_second: u64::from(per_second.max(1)), lag: Duration::ZERO }
    }

    /// The same rate for a line that begins anew.
    pub fn anew(&self) -> Self {
        Self { lag: Duration::ZERO, ..*self }
    }

    /// When the one at `place` (from 0) is due, since the line began, if nothing is late.
    pub fn due(&self, place: u64) -> Duration {
        let nanos = u128::from(place) * (SECOND + SLACK).as_nanos() / u128::from(self.per_second);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The same after what was late so far.
    pub fn expected(&self, place: u64) -> Duration {
        self.due(place) + self.lag
    }

    /// Notes that the one at `place` was served at `now`, since the line began.
    pub fn served(&mut self, place: u64, now: Duration) {
        self.lag = self.lag.max(now.saturating_sub(self.due(place) + SLACK));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn places_are_spread_evenly() {
        let pace = Pace::new(500);
        assert_eq!(pace.due(0), Duration::ZERO);
        assert_eq!(pace.due(1), Duration::from_micros(2_200));
        assert_eq!(pace.due(500), Duration::from_millis(1_100));
        assert_eq!(Pace::new(0).due(2), Duration::from_millis(2_200), "zero counts as one");
    }

    #[test]
    fn a_delay_moves_everybody_behind_it_and_is_not_made_up_for() {
        let mut pace = Pace::new(10);
        pace.served(1, Duration::from_millis(110 + 100 + 250));
        assert_eq!(pace.expected(2), Duration::from_millis(220 + 250));
        pace.served(2, Duration::from_millis(220 + 250));
        assert_eq!(pace.expected(3), Duration::from_millis(330 + 250));
    }

    #[test]
    fn timers_that_are_a_little_late_each_time_cost_no_rate() {
        let mut pace = Pace::new(500);
        for place in 0..10_000 {
            let late = pace.expected(place) + Duration::from_millis(3);
            pace.served(place, late);
        }
        assert_eq!(pace.expected(10_000), pace.due(10_000));
    }

    proptest! {
        /// Serve a line whose server oversleeps at will: no second sees more than the rate, nobody is early.
        #[test]
        fn no_second_sees_more_than_the_rate(
            per_second in 1..2_000_u32,
            oversleeps in prop::collection::vec(
                prop_oneof![4 => Just(0_u64), 4 => 0..125_000_u64, 1 => 0..3_000_000_u64],
                1..400,
            ),
        ) {
            let mut pace = Pace::new(per_second);
            let mut now = Duration::ZERO;
            let mut served = Vec::new();
            for (place, micros) in (0..).zip(oversleeps) {
                now = now.max(pace.expected(place)) + Duration::from_micros(micros);
                prop_assert!(now >= pace.due(place));
                pace.served(place, now);
                served.push(now);
            }
            for (first, from) in served.iter().enumerate() {
                let within = served[first..].iter().filter(|at| **at - *from < Duration::from_secs(1));
                prop_assert!(within.count() <= per_second as usize);
            }
        }
    }
}
