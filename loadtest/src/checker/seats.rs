//! No vehicle carries more than it has seats for.

use super::rides::Ride;
use super::{Rule, Verdict};

/// A seat that is taken (`1`) or free again (`-1`).
struct Change {
    vehicle: u32,
    at_ns: u64,
    seats: i64,
    operation: u32,
}

/// Judges the rides by the vehicles' capacities: at no moment are more passengers certainly on board.
pub(crate) fn judge(rides: &[Ride], capacities: &[u32], verdict: &mut Verdict) {
    let mut changes = changes(rides);
    // At one moment seats are left first: it is not certain that they were still taken.
    changes.sort_unstable_by_key(|change| (change.vehicle, change.at_ns, change.seats));
    for changes in changes.chunk_by(|left, right| left.vehicle == right.vehicle) {
        let vehicle = changes[0].vehicle;
        let capacity = capacities.get(vehicle as usize).copied().unwrap_or(0).into();
        let mut taken = 0_i64;
        for change in changes {
            taken += change.seats;
            if change.seats > 0 && taken > capacity {
                let subject = || format!("vehicle {vehicle}: {taken} passengers on {capacity} seats");
                verdict.blame(Rule::SeatsSuffice, subject, &[change.operation]);
            }
        }
    }
}

fn changes(rides: &[Ride]) -> Vec<Change> {
    let certain = rides.iter().filter(|ride| ride.told_ns < ride.until_ns);
    let both = certain.flat_map(|ride| {
        let change = |at_ns, seats| Change { vehicle: ride.vehicle, at_ns, seats, operation: ride.operation };
        [change(ride.told_ns, 1), change(ride.until_ns, -1)]
    });
    both.collect()
}
