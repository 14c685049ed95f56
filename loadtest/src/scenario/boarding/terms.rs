//! What all vehicles of a run have in common.

use tokio_util::sync::CancellationToken;

use super::names::Names;
use crate::dice::Dice;

/// What all vehicles of a run have in common.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) names: Names,
    pub(super) vehicles: u32,
    pub(super) passengers: u32,
    pub(super) capacity: u32,
    /// How many vehicles try for each passenger.
    pub(super) rivals: u32,
    pub(super) alight_percent: u64,
    pub(super) double_percent: u64,
    /// Ends the race.
    pub(super) stop: CancellationToken,
}

impl Terms {
    /// Whether a vehicle tries for a passenger: neighbours do, from one that chance decides on.
    pub(super) fn tries(&self, vehicle: u32, passenger: u32) -> bool {
        let first = Dice::new(passenger.into()).below(self.vehicles.into()) as u32;
        (vehicle + self.vehicles - first) % self.vehicles < self.rivals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_passenger_has_so_many_rivals_and_every_vehicle_its_share() {
        let terms = Terms {
            names: Names::new("run"),
            vehicles: 10,
            passengers: 1_000,
            capacity: 4,
            rivals: 3,
            alight_percent: 0,
            double_percent: 0,
            stop: CancellationToken::new(),
        };
        for passenger in 0..1_000 {
            assert_eq!((0..10).filter(|vehicle| terms.tries(*vehicle, passenger)).count(), 3);
        }
        for vehicle in 0..10 {
            let share = (0..1_000).filter(|passenger| terms.tries(vehicle, *passenger)).count();
            assert!((200..400).contains(&share), "{share}");
        }
    }
}
