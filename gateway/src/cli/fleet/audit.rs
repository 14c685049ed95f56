//! Holds what the gateway told the conductors against what it announced and against its manifests.
//!
//! Pure: facts go in as they become known, violations come out. It believes nobody: not even that the
//! fleet's own bookkeeping is right.

use std::collections::{HashMap, HashSet};

use signalbox_protocol::control::BoardingConfirmed;
use signalbox_protocol::fleet::Manifest;
use signalbox_protocol::{PassengerId, VehicleId};

pub(super) use self::stream::{Announced, Change, Facts, Stream};
pub(super) use self::violation::{Boarding, Violation};

mod stream;
mod violation;

/// Most violations that are kept to be told; the rest is counted.
const TOLD_MAX: usize = 50;

/// What is known about a run.
#[derive(Debug)]
pub(super) struct Audit {
    vehicles: HashMap<VehicleId, Vehicle>,
    /// Every boarding that a conductor was told of.
    boardings: HashMap<PassengerId, Boarding>,
    /// Every boarding that only a manifest told of.
    listed: HashMap<PassengerId, Boarding>,
    /// Those of the first that ended.
    alighted: HashSet<PassengerId>,
    /// What the pools announced: in their topics, and the copies in their namespace.
    pub(super) pools: Stream,
    pub(super) namespace: Stream,
    violations: Vec<Violation>,
    violations_total: u64,
}

#[derive(Debug)]
struct Vehicle {
    capacity: u32,
    /// As its conductor believes.
    aboard: HashSet<PassengerId>,
}

impl Audit {
    pub(super) fn new() -> Self {
        Self {
            vehicles: HashMap::new(),
            boardings: HashMap::new(),
            listed: HashMap::new(),
            alighted: HashSet::new(),
            pools: Stream::new("the pool's topic"),
            namespace: Stream::new("the namespace"),
            violations: Vec::new(),
            violations_total: 0,
        }
    }

    /// A vehicle of this fleet, empty.
    pub(super) fn vehicle(&mut self, id: VehicleId, capacity: u32) {
        self.vehicles.insert(id, Vehicle { capacity, aboard: HashSet::new() });
    }

    /// The gateway confirmed a boarding to the conductor of `vehicle`.
    pub(super) fn confirmed(&mut self, vehicle: &VehicleId, told: &BoardingConfirmed) {
        let boarding = Boarding { vehicle: told.vehicle_id.clone(), fence: told.fence };
        if told.vehicle_id != *vehicle {
            self.boarded_by_two(
                &told.passenger_id,
                Boarding { vehicle: vehicle.clone(), ..boarding },
                &boarding,
            );
            return;
        }
        match self.boardings.insert(told.passenger_id.clone(), boarding.clone()) {
            Some(earlier) if earlier != boarding => {
                self.boarded_by_two(&told.passenger_id, earlier, &boarding);
            }
            Some(_) | None => {}
        }
        let Some(on) = self.vehicles.get_mut(vehicle) else { return };
        on.aboard.insert(told.passenger_id.clone());
        let (aboard, capacity) = (on.aboard.len(), on.capacity);
        self.check_capacity(vehicle, aboard, capacity);
    }

    /// The gateway let a passenger off.
    pub(super) fn alighted(&mut self, vehicle: &VehicleId, passenger: &PassengerId) {
        self.alighted.insert(passenger.clone());
        if let Some(on) = self.vehicles.get_mut(vehicle) {
            on.aboard.remove(passenger);
        }
    }

    /// The gateway would not let off a passenger whom it had boarded.
    pub(super) fn alight_refused(&mut self, vehicle: &VehicleId, passenger: &PassengerId, why: &str) {
        self.violation(Violation::NotLetOff {
            passenger: passenger.clone(),
            vehicle: vehicle.clone(),
            why: why.to_owned(),
        });
    }

    /// A passenger who waited before the listeners came.
    pub(super) fn listed(&mut self, passenger: &PassengerId) {
        self.pools.listed(passenger.clone());
        self.namespace.listed(passenger.clone());
    }

    /// Something was announced.
    pub(super) fn announced(&mut self, in_namespace: bool, announced: &Announced) {
        let stream = if in_namespace { &mut self.namespace } else { &mut self.pools };
        let found = stream.hear(announced);
        found.into_iter().for_each(|violation| self.violation(violation));
    }

    /// At the end: what the gateway says who is on board. Of `unresolved` nobody knows.
    pub(super) fn manifest(&mut self, manifest: &Manifest, unresolved: &HashSet<PassengerId>) {
        let Some(vehicle) = self.vehicles.get(&manifest.vehicle_id) else { return };
        let told: HashSet<PassengerId> = manifest.passengers.iter().map(|p| p.passenger_id.clone()).collect();
        let known = |id: &&PassengerId| !unresolved.contains(*id);
        let only_told = sorted(told.difference(&vehicle.aboard).filter(known));
        let only_believed = sorted(vehicle.aboard.difference(&told).filter(known));
        let seats = u64::from(manifest.seats_left) + manifest.passengers.len() as u64;
        let capacity = vehicle.capacity;
        if !only_told.is_empty() || !only_believed.is_empty() || seats != u64::from(capacity) {
            self.violation(Violation::Manifest {
                vehicle: manifest.vehicle_id.clone(),
                only_told,
                only_believed,
                seats,
                capacity,
            });
        }
        self.check_capacity(&manifest.vehicle_id, told.len(), capacity);
        for passenger in &manifest.passengers {
            let listed =
                Boarding { vehicle: manifest.vehicle_id.clone(), fence: passenger.fence.unwrap_or_default() };
            let id = &passenger.passenger_id;
            match self.boardings.get(id).or(self.listed.get(id)).cloned() {
                Some(known) if known != listed => self.boarded_by_two(id, known, &listed),
                Some(_) => {}
                None => drop(self.listed.insert(id.clone(), listed)),
            }
        }
    }

    /// At the very end: holds the announcements against the boardings.
    pub(super) fn finish(&mut self) {
        let mut found = Vec::new();
        for passenger in self.boardings.keys().filter(|id| self.pools.change_of(id) == Some(Change::Gone)) {
            found.push(Violation::BoardedAfterAll { passenger: passenger.clone() });
        }
        for (passenger, heard) in self.pools.boardings() {
            match self.boardings.get(passenger) {
                Some(known) if known != heard => found.push(Violation::BoardedByTwo {
                    passenger: passenger.clone(),
                    first: known.clone(),
                    second: heard.clone(),
                }),
                Some(_) | None => {}
            }
        }
        if self.pools.is_complete() && self.unannounced() == 0 {
            for (vehicle, most) in self.pools.most_aboard() {
                let Some(own) = self.vehicles.get(vehicle) else { continue };
                if most > own.capacity as usize {
                    let (vehicle, capacity) = (vehicle.clone(), own.capacity);
                    found.push(Violation::OverCapacity { vehicle, aboard: most, capacity });
                }
            }
        }
        found.into_iter().for_each(|violation| self.violation(violation));
    }

    /// Boardings and alightings that a conductor was told of and that no pool announced (yet).
    pub(super) fn unannounced(&self) -> usize {
        let boardings = self.boardings.keys().filter(|id| self.pools.change_of(id) < Some(Change::PickedUp));
        let ends = self.alighted.iter().filter(|id| self.pools.change_of(id) < Some(Change::DroppedOff));
        boardings.count() + ends.count()
    }

    /// Whether `vehicle` is one of this fleet.
    pub(super) fn owns(&self, vehicle: &VehicleId) -> bool {
        self.vehicles.contains_key(vehicle)
    }

    pub(super) fn aboard(&self) -> usize {
        self.vehicles.values().map(|vehicle| vehicle.aboard.len()).sum()
    }

    /// The first violations.
    pub(super) fn violations(&self) -> &[Violation] {
        &self.violations
    }

    pub(super) fn violations_total(&self) -> u64 {
        self.violations_total
    }

    fn check_capacity(&mut self, vehicle: &VehicleId, aboard: usize, capacity: u32) {
        if aboard > capacity as usize {
            self.violation(Violation::OverCapacity { vehicle: vehicle.clone(), aboard, capacity });
        }
    }

    fn boarded_by_two(&mut self, passenger: &PassengerId, first: Boarding, second: &Boarding) {
        let (passenger, second) = (passenger.clone(), second.clone());
        self.violation(Violation::BoardedByTwo { passenger, first, second });
    }

    fn violation(&mut self, violation: Violation) {
        // Both listeners tell the same, and so may both manifests.
        if self.violations.contains(&violation) {
            return;
        }
        self.violations_total += 1;
        if self.violations.len() < TOLD_MAX {
            self.violations.push(violation);
        }
    }
}

fn sorted<'a>(ids: impl Iterator<Item = &'a PassengerId>) -> Vec<PassengerId> {
    let mut ids: Vec<PassengerId> = ids.cloned().collect();
    ids.sort();
    ids
}

#[cfg(test)]
mod tests;
