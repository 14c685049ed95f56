//! Whether an answer is right: passengers wait at known places, so it is known who is near.

use std::fmt;

use super::question::Route;

/// A passenger that an answer names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Near {
    /// Of this run and route; `None` if it is not.
    pub(super) number: Option<u32>,
    pub(super) distance_m: f64,
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Fewer than are near.
    TooFew,
    /// More than are near, or than were asked for.
    TooMany,
    Twice,
    NotNearestFirst,
    TooFar,
    /// Somebody who does not wait on this route.
    Stranger,
}

/// The earth is a ball of another size for each library: distances may differ by this share.
const TOLERANCE: f64 = 0.01;

/// What is wrong with the answer to a vehicle at `share` of the route on which `waiting` passengers wait.
pub(super) fn judge(route: &Route, waiting: u32, share: f64, near: &[Near]) -> Option<Wrong> {
    let within = |radius_km: f64| {
        let reach = radius_km / route.length_km;
        let first = ((share - reach) * f64::from(waiting)).ceil().max(0.0);
        let last = ((share + reach) * f64::from(waiting)).floor().min(f64::from(waiting) - 1.0);
        ((last - first + 1.0).max(0.0) as usize).min(route.max_results as usize)
    };
    let mut numbers: Vec<u32> = near.iter().filter_map(|near| near.number).collect();
    numbers.sort_unstable();
    let radius_m = 1_000.0 * route.radius_km * (1.0 + TOLERANCE);
    if numbers.len() < near.len() || numbers.last().is_some_and(|last| *last >= waiting) {
        Some(Wrong::Stranger)
    } else if numbers.windows(2).any(|pair| pair[0] == pair[1]) {
        Some(Wrong::Twice)
    } else if !near.is_sorted_by(|nearer, farther| nearer.distance_m <= farther.distance_m) {
        Some(Wrong::NotNearestFirst)
    } else if near.iter().any(|near| near.distance_m > radius_m) {
        Some(Wrong::TooFar)
    } else if near.len() < within(route.radius_km * (1.0 - TOLERANCE)) {
        Some(Wrong::TooFew)
    } else {
        (near.len() > within(route.radius_km * (1.0 + TOLERANCE))).then_some(Wrong::TooMany)
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooFew => "it misses somebody who is near",
            Self::TooMany => "it names more than are near",
            Self::Twice => "it names somebody twice",
            Self::NotNearestFirst => "it does not begin with the nearest",
            Self::TooFar => "it names somebody who is too far",
            Self::Stranger => "it names somebody who does not wait there",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten of a hundred wait on each of ten kilometres; the vehicle is near the middle of the sixth.
    const SHARE: f64 = 0.554;

    fn near(numbers: &[u32]) -> Vec<Near> {
        let distance_m = |number: &u32| (f64::from(*number) / 100.0 - SHARE).abs() * 10_000.0;
        numbers.iter().map(|number| Near { number: Some(*number), distance_m: distance_m(number) }).collect()
    }

    fn judged(max_results: u32, near: &[Near]) -> Option<Wrong> {
        let route = Route { id: "r".to_owned(), length_km: 10.0, radius_km: 0.2, max_results };
        judge(&route, 100, SHARE, near)
    }

    #[test]
    fn answers_are_right_or_wrong() {
        for (max_results, numbers, expected) in [
            (12, &[55, 56, 54, 57][..], None),
            (3, &[55, 56, 54], None),
            (12, &[55, 56, 54], Some(Wrong::TooFew)),
            (3, &[55, 56], Some(Wrong::TooFew)),
            (3, &[55, 56, 54, 57], Some(Wrong::TooMany)),
            (12, &[55, 55, 56, 54], Some(Wrong::Twice)),
            (12, &[56, 57, 55, 54], Some(Wrong::NotNearestFirst)),
            (12, &[55, 56, 54, 57, 58], Some(Wrong::TooFar)),
            (12, &[], Some(Wrong::TooFew)),
        ] {
            assert_eq!(judged(max_results, &near(numbers)), expected, "{numbers:?}");
        }
        let mut stranger = near(&[55, 56, 54, 57]);
        stranger[3].number = None;
        assert_eq!(judged(12, &stranger), Some(Wrong::Stranger));
    }

    #[test]
    fn routes_have_ends() {
        let route = Route { id: "r".to_owned(), length_km: 10.0, radius_km: 0.25, max_results: 12 };
        let first =
            [0, 1, 2].map(|number| Near { number: Some(number), distance_m: f64::from(number) * 100.0 });
        assert_eq!(judge(&route, 100, 0.0, &first), None);
        assert_eq!(judge(&route, 0, 0.0, &[]), None);
        assert_eq!(judge(&route, 0, 0.0, &first), Some(Wrong::Stranger));
    }
}
