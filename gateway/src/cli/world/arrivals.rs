//! When passengers come: a Poisson process whose rate changes by the hour.
//!
//! Time is bent so that the rate becomes 1: there the gaps are exponential with mean 1, and given their number
//! the arrivals lie anywhere alike. Bent back, they are exact for any rate curve.

use fastrand::Rng;

use super::{Day, Profile};

const HOUR_S: f64 = 3_600.0;

/// How many passengers are expected, hour by hour, in a part of a day.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) struct Curve {
    start_hour: u32,
    /// Expected passengers of each hour, all above 0.
    expected: Vec<f64>,
}

impl Curve {
    /// The hours from `start_hour` up to `end_hour` (at most 24), with so many passengers in an hour of weight 1.
    pub(in crate::cli) fn new(profile: Profile, day: Day, hours: (u32, u32), per_hour: f64) -> Self {
        let expected = (hours.0..hours.1).map(|hour| per_hour * profile.weight(day, hour as usize)).collect();
        Self { start_hour: hours.0, expected }
    }

    /// How many passengers are expected in all.
    pub(in crate::cli) fn total(&self) -> f64 {
        self.expected.iter().sum()
    }

    /// The second of the day by which `mass` passengers are expected to have come.
    fn second_of(&self, mass: f64) -> f64 {
        let mut left = mass;
        let mut second = f64::from(self.start_hour) * HOUR_S;
        for expected in &self.expected {
            if left < *expected {
                return second + left / expected * HOUR_S;
            }
            left -= expected;
            second += HOUR_S;
        }
        second
    }
}

/// The seconds of the day at which passengers come, rising: as many as chance makes of it.
pub(in crate::cli) fn poisson(curve: &Curve, rng: &mut Rng) -> Vec<f64> {
    let total = curve.total();
    let mut mass = exponential(rng);
    let mut seconds = Vec::new();
    while mass < total {
        seconds.push(curve.second_of(mass));
        mass += exponential(rng);
    }
    seconds
}

/// The same, given that exactly `count` come.
pub(in crate::cli) fn exactly(curve: &Curve, count: usize, rng: &mut Rng) -> Vec<f64> {
    let total = curve.total();
    let mut seconds: Vec<f64> = (0..count).map(|_| curve.second_of(rng.f64() * total)).collect();
    seconds.sort_by(f64::total_cmp);
    seconds
}

/// The seconds from 0 on at which passengers come at a steady rate, up to `seconds`.
pub(in crate::cli) fn steady(per_second: f64, seconds: f64, rng: &mut Rng) -> Vec<f64> {
    let mut at = Vec::new();
    let mut mass = exponential(rng);
    while mass < per_second * seconds {
        at.push(mass / per_second);
        mass += exponential(rng);
    }
    at
}

/// A gap of a Poisson process of rate 1. `f64` is below 1, so the logarithm is of no 0.
fn exponential(rng: &mut Rng) -> f64 {
    -(1.0 - rng.f64()).ln()
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn flat(hours: (u32, u32), per_hour: f64) -> Curve {
        Curve::new(Profile::Flat, Day::Monday, hours, per_hour)
    }

    #[test]
    fn the_numbers_are_those_of_a_poisson_process() {
        let curve = flat((6, 8), 50.0);
        let mut rng = Rng::with_seed(1);
        let counts: Vec<f64> = (0..2_000).map(|_| poisson(&curve, &mut rng).len() as f64).collect();
        let mean = counts.iter().sum::<f64>() / 2_000.0;
        let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / 2_000.0;
        // Mean and variance are both 100; 5 standard errors of each.
        assert!((mean - 100.0).abs() < 1.2, "{mean}");
        assert!((variance - 100.0).abs() < 16.0, "{variance}");
    }

    #[test]
    fn gaps_are_exponential() {
        let seconds = poisson(&flat((0, 24), 1_000.0), &mut Rng::with_seed(2));
        let gaps: Vec<f64> = seconds.windows(2).map(|pair| pair[1] - pair[0]).collect();
        for share in [0.25_f64, 0.5, 0.9] {
            // The quantile of an exponential distribution with a mean of 3.6 s.
            let limit = -3.6 * (1.0 - share).ln();
            let below = gaps.iter().filter(|gap| **gap < limit).count() as f64 / gaps.len() as f64;
            assert!((below - share).abs() < 0.02, "{share}: {below}");
        }
    }

    #[test]
    fn a_steady_rate_keeps_its_time() {
        let seconds = steady(2.0, 1_000.0, &mut Rng::with_seed(4));
        assert!((1_800..2_200).contains(&seconds.len()), "{}", seconds.len());
        assert!(seconds.is_sorted() && seconds.last().is_some_and(|last| *last < 1_000.0));
        assert_eq!(steady(0.0, 1_000.0, &mut Rng::with_seed(4)), [0.0; 0]);
    }

    #[test]
    fn busy_hours_get_their_share() {
        let curve = Curve::new(Profile::Morning, Day::Monday, (6, 11), 100.0);
        let seconds = exactly(&curve, 35_500, &mut Rng::with_seed(3));
        let in_hour = |hour: f64| seconds.iter().filter(|second| (**second / HOUR_S).floor() == hour).count();
        for (hour, expected) in [(6.0, 6_000), (7.0, 10_000), (8.0, 10_000), (9.0, 6_000), (10.0, 3_500)] {
            assert!(in_hour(hour).abs_diff(expected) < 400, "{hour}: {} of {expected}", in_hour(hour));
        }
    }

    proptest! {
        #[test]
        fn arrivals_rise_within_their_hours_and_repeat(
            seed: u64,
            start in 0_u32..23,
            hours in 1_u32..24,
            per_hour in 0.1_f64..200.0,
            count in 0_usize..300,
        ) {
            let end = (start + hours).min(24);
            let curve = Curve::new(Profile::Commute, Day::Friday, (start, end), per_hour);
            let drawn = |exact| {
                let mut rng = Rng::with_seed(seed);
                if exact { exactly(&curve, count, &mut rng) } else { poisson(&curve, &mut rng) }
            };
            prop_assert_eq!(drawn(true).len(), count);
            for exact in [true, false] {
                let seconds = drawn(exact);
                prop_assert!(seconds.is_sorted());
                let (from, to) = (f64::from(start) * HOUR_S, f64::from(end) * HOUR_S);
                prop_assert!(seconds.iter().all(|second| (from..=to).contains(second)));
                prop_assert_eq!(seconds, drawn(exact));
            }
        }
    }
}
