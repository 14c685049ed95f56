//! What an entry holds, and the answers that can be cut from it.

use serde::{Deserialize, Serialize};
use signalbox_protocol::fleet::Passenger;

use crate::repository::Area;
use crate::reservoir::cut;

/// Metres around the radius that an entry holds. A position is at most 7.9 m from the one that it rounds to
/// (half of 0.0001 degrees each way, at the equator), and this is more than twice that: see
/// [`Entry::answer`].
pub(super) const MARGIN_M: f64 = 20.0;

/// Everybody who waited around a position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Nearest to the entry's position first.
    passengers: Vec<Passenger>,
    /// Metres from the entry's position behind which there may be others; `None` if these are all.
    all_within_m: Option<f64>,
}

impl Entry {
    /// The nearest `most` of the candidates around an area's middle.
    pub(super) fn of(candidates: Vec<Passenger>, around: &Area, most: usize) -> Self {
        let mut nearest = cut(candidates, around);
        let all_within_m = (nearest.len() > most).then(|| nearest[most].1);
        nearest.truncate(most);
        Self { passengers: nearest.into_iter().map(|(passenger, _)| passenger).collect(), all_within_m }
    }

    /// The answer for a position that rounds to the entry's; `None` if somebody nearer may be missing.
    pub(super) fn answer(&self, area: &Area) -> Option<Vec<(Passenger, f64)>> {
        let found = cut(self.passengers.iter().collect(), area);
        if let Some(all_within_m) = self.all_within_m {
            // Whoever is not in the entry is at least so far from its position, and less than the margin
            // nearer to this one. So nobody is missing if that leaves all of the area, or enough passengers,
            // inside.
            let certain_m = all_within_m - MARGIN_M;
            let enough = found.len() == area.limit && found.last().is_some_and(|(_, last)| *last < certain_m);
            if !enough && area.radius_m >= certain_m {
                return None;
            }
        }
        Some(found.into_iter().map(|(passenger, distance)| (passenger.clone(), distance)).collect())
    }
}
