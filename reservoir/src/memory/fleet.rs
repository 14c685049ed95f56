//! The fleet of one tenant and every decision about it. Nothing is announced here and no clock is asked:
//! whoever holds the lock says how late it is, and tells what changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use signalbox_protocol::control::BoardingDenial;
use signalbox_protocol::fleet::{Manifest, NewVehicle, Passenger, PassengerState, Pool, Vehicle};
use signalbox_protocol::timestamp::Timestamp;
use signalbox_protocol::{PassengerId, VehicleId};

use super::pools::Pools;
use super::record::{Granted, Record};
use crate::error::Missing;
use crate::machine::{Change, Refused};
use crate::repository::{Alighting, Area, Boarded, Boarding, Filter, LOOKED_AT_MAX, Page};
use crate::{Actor, Error};

/// One tenant's passengers, pools and vehicles.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    passengers: BTreeMap<PassengerId, Record>,
    pools: Pools,
    vehicles: HashMap<VehicleId, OneVehicle>,
    /// When a wait ends, or when somebody whose end is past is forgotten.
    due: BTreeSet<(Timestamp, PassengerId)>,
    /// The last fence given.
    fence: u64,
}

#[derive(Debug)]
struct OneVehicle {
    stands: NewVehicle,
    /// In the order of boarding.
    on_board: Vec<PassengerId>,
}

impl OneVehicle {
    fn seats_left(&self) -> u32 {
        self.stands.capacity.saturating_sub(self.on_board.len() as u32)
    }
}

impl Fleet {
    /// Takes all of them in, or none.
    pub(super) fn push(&mut self, passengers: Vec<Passenger>) -> Result<(), Error> {
        if let Some(there) = passengers.iter().find(|new| self.passengers.contains_key(&new.passenger_id)) {
            return Err(Error::Exists(there.passenger_id.clone()));
        }
        for passenger in passengers {
            let id = passenger.passenger_id.clone();
            self.pools.add(&passenger);
            if let Some(end) = passenger.expires_at {
                self.due.insert((end, id.clone()));
            }
            self.passengers.insert(id, Record { passenger, shown: 0, granted: None });
        }
        Ok(())
    }

    /// One passenger.
    pub(super) fn passenger(&self, id: &PassengerId) -> Option<&Passenger> {
        self.passengers.get(id).map(|record| &record.passenger)
    }

    /// See [`Repository::list`](crate::Repository::list).
    pub(super) fn list(&self, filter: &Filter, after: Option<&PassengerId>, limit: usize) -> Page<Passenger> {
        use std::ops::Bound::{Excluded, Unbounded};
        let range = (after.map_or(Unbounded, Excluded), Unbounded);
        let mut ids: Box<dyn Iterator<Item = &PassengerId>> = match &filter.pool {
            Some(pool) => Box::new(self.pools.all(pool).into_iter().flat_map(|all| all.range(range))),
            None => Box::new(self.passengers.range(range).map(|(id, _)| id)),
        };
        let (mut items, mut last) = (Vec::new(), None);
        for id in ids.by_ref().take(LOOKED_AT_MAX) {
            let passenger = self.passenger(id).expect("whoever is in a pool has a record");
            last = Some(id.to_string());
            if filter.state.is_none_or(|state| state == passenger.state) {
                items.push(passenger.clone());
            }
            if items.len() >= limit {
                break;
            }
        }
        Page { items, cursor: last.filter(|_| ids.next().is_some()) }
    }

    /// How many wait in a pool.
    pub(super) fn available(&self, pool: &Pool) -> u64 {
        self.pools.waiting_count(pool) as u64
    }

    /// The nearest who wait in an area.
    pub(super) fn near(&self, area: &Area, now: Timestamp) -> Vec<Passenger> {
        let band = self.pools.in_band(&area.pool, area.center, area.radius_m);
        let waiting = band.filter_map(|id| self.passenger(id));
        let mut found: Vec<_> = waiting
            .filter(|passenger| passenger.expires_at.is_none_or(|end| end > now))
            .map(|passenger| (passenger.position.distance_m(area.center), passenger))
            .filter(|(distance, _)| *distance <= area.radius_m)
            .collect();
        found.sort_unstable_by(|(a, first), (b, second)| {
            a.total_cmp(b).then_with(|| first.passenger_id.cmp(&second.passenger_id))
        });
        found.into_iter().take(area.limit).map(|(_, passenger)| passenger.clone()).collect()
    }

    /// The answer, and the passenger if this boarded them.
    pub(super) fn board(
        &mut self,
        actor: &Actor,
        boarding: &Boarding,
        now: Timestamp,
    ) -> Result<(Boarded, Option<Passenger>), Error> {
        let missing = || Error::NotFound(Missing::Passenger);
        let record = self.passengers.get_mut(&boarding.passenger_id).ok_or_else(missing)?;
        if let Some(answer) = record.answered(actor, boarding) {
            return Ok((answer, None));
        }
        // Also when it is denied: whoever showed the fence had the lock, and nobody who had it before counts.
        let shown = record.shown;
        record.shown = shown.max(boarding.fence.unwrap_or(0));
        let vehicle = self.vehicles.get_mut(&boarding.vehicle_id).ok_or(Error::NotFound(Missing::Vehicle))?;
        let state = record.boardable(now)?;
        if boarding.fence.is_some_and(|fence| fence < shown) {
            return Err(record.denied(BoardingDenial::StaleFence));
        }
        let seats_left =
            vehicle.seats_left().checked_sub(1).ok_or_else(|| record.denied(BoardingDenial::Full))?;
        self.fence = (self.fence + 1).max(actor.now.0.saturating_mul(1_000));
        let answer = Boarded { fence: self.fence.max(record.shown + 1), seats_left };
        let request = actor.request_id.clone().map(|id| (actor.subject.clone(), id));
        record.granted = Some(Granted { request, answer });
        let passenger = &mut record.passenger;
        passenger.state = state;
        passenger.vehicle_id = Some(boarding.vehicle_id.clone());
        passenger.fence = Some(answer.fence);
        passenger.boarded_at = Some(actor.now);
        vehicle.on_board.push(boarding.passenger_id.clone());
        let changed = passenger.clone();
        self.wait_over(&changed);
        Ok((answer, Some(changed)))
    }

    /// The passenger, who waits again, if they were on board by the boarding of this fence.
    pub(super) fn undo_board(&mut self, id: &PassengerId, fence: u64) -> Option<Passenger> {
        let record = self.passengers.get_mut(id)?;
        if (record.passenger.state, record.passenger.fence) != (PassengerState::Boarded, Some(fence)) {
            return None;
        }
        record.passenger.state = PassengerState::Waiting;
        let vehicle_id = record.passenger.vehicle_id.take();
        // The fence has been told: whoever shows a smaller one comes from before.
        record.shown = record.shown.max(fence);
        record.granted = None;
        record.passenger.fence = None;
        record.passenger.boarded_at = None;
        let changed = record.passenger.clone();
        if let Some(vehicle) = vehicle_id.and_then(|vehicle| self.vehicles.get_mut(&vehicle)) {
            vehicle.on_board.retain(|other| other != id);
        }
        self.pools.add(&changed);
        if let Some(end) = changed.expires_at {
            self.due.insert((end, id.clone()));
        }
        Some(changed)
    }

    /// The vehicle, and the passenger if this dropped them off.
    pub(super) fn alight(
        &mut self,
        alighting: &Alighting,
        now: Timestamp,
        kept_until: Timestamp,
    ) -> Result<(VehicleId, Option<Passenger>), Error> {
        let id = &alighting.passenger_id;
        let record = self.passengers.get_mut(id).ok_or(Error::NotFound(Missing::Passenger))?;
        let Some(vehicle_id) = record.passenger.vehicle_id.clone() else {
            return Err(record.denied(BoardingDenial::State));
        };
        let proven = record.passenger.fence == Some(alighting.fence)
            && alighting.vehicle_id.as_ref().is_none_or(|vehicle| *vehicle == vehicle_id);
        match Change::Alight.after(record.passenger.state) {
            Ok(alighted) if proven => record.passenger.state = alighted,
            Ok(_) => return Err(record.denied(BoardingDenial::StaleFence)),
            Err(_) if proven => return Ok((vehicle_id, None)),
            Err(_) => return Err(record.denied(BoardingDenial::State)),
        }
        record.passenger.alighted_at = Some(now);
        let changed = record.passenger.clone();
        if let Some(vehicle) = self.vehicles.get_mut(&vehicle_id) {
            vehicle.on_board.retain(|other| other != id);
        }
        self.due.insert((kept_until, id.clone()));
        Ok((vehicle_id, Some(changed)))
    }

    /// The passenger, if this cancelled them.
    pub(super) fn cancel(
        &mut self,
        id: &PassengerId,
        kept_until: Timestamp,
    ) -> Result<Option<Passenger>, Error> {
        let state = self.passenger(id).ok_or(Error::NotFound(Missing::Passenger))?.state;
        match self.end(id, Change::Cancel, kept_until) {
            Err(_) if state == PassengerState::Cancelled => Ok(None),
            ended => ended.map(Some).map_err(|Refused { state, .. }| Error::State(state)),
        }
    }

    /// Some of those who wait in a pool.
    pub(super) fn some_waiting(&self, pool: &Pool, limit: usize) -> Vec<PassengerId> {
        self.pools.waiting(pool).take(limit).cloned().collect()
    }

    /// Who is due first, if it is as late as that.
    pub(super) fn due(&self, now: Timestamp) -> Option<PassengerId> {
        self.due.first().filter(|(at, _)| *at <= now).map(|(_, id)| id.clone())
    }

    /// Ends the wait of whoever is due, and tells whose; forgets one whose end is past.
    pub(super) fn end_or_forget(&mut self, id: &PassengerId, kept_until: Timestamp) -> Option<Passenger> {
        if let Ok(expired) = self.end(id, Change::Expire, kept_until) {
            return Some(expired);
        }
        self.due.pop_first();
        if let Some(record) = self.passengers.remove(id) {
            self.pools.forget(&record.passenger);
        }
        None
    }

    /// Goes on remembering one who is due, if their end is past; whether it is.
    pub(super) fn remember(&mut self, id: &PassengerId, until: Timestamp) -> bool {
        let over = self.passenger(id).is_some_and(|passenger| passenger.state != PassengerState::Waiting);
        if over {
            self.due.pop_first();
            self.due.insert((until, id.clone()));
        }
        over
    }

    fn end(&mut self, id: &PassengerId, change: Change, kept_until: Timestamp) -> Result<Passenger, Refused> {
        let record = self.passengers.get_mut(id).expect("whoever asks has seen the record");
        record.passenger.state = change.after(record.passenger.state)?;
        let ended = record.passenger.clone();
        self.wait_over(&ended);
        self.due.insert((kept_until, id.clone()));
        Ok(ended)
    }

    fn wait_over(&mut self, passenger: &Passenger) {
        self.pools.wait_over(passenger);
        if let Some(end) = passenger.expires_at {
            self.due.remove(&(end, passenger.passenger_id.clone()));
        }
    }

    /// Writes a vehicle.
    pub(super) fn put_vehicle(&mut self, id: &VehicleId, stands: &NewVehicle) -> Result<Vehicle, Error> {
        let on_board = self.vehicles.get(id).map_or(0, |vehicle| vehicle.on_board.len() as u32);
        if stands.capacity < on_board {
            return Err(Error::CapacityBelowOnBoard { on_board });
        }
        let new = || OneVehicle { stands: stands.clone(), on_board: Vec::new() };
        let vehicle = self.vehicles.entry(id.clone()).or_insert_with(new);
        vehicle.stands = stands.clone();
        Ok(told(id, vehicle))
    }

    /// One vehicle.
    pub(super) fn vehicle(&self, id: &VehicleId) -> Option<Vehicle> {
        self.vehicles.get(id).map(|vehicle| told(id, vehicle))
    }

    /// Who is on board.
    pub(super) fn manifest(&self, id: &VehicleId) -> Option<Manifest> {
        let vehicle = self.vehicles.get(id)?;
        Some(Manifest {
            vehicle_id: id.clone(),
            capacity: vehicle.stands.capacity,
            seats_left: vehicle.seats_left(),
            passengers: vehicle.on_board.iter().filter_map(|id| self.passenger(id)).cloned().collect(),
        })
    }
}

fn told(id: &VehicleId, vehicle: &OneVehicle) -> Vehicle {
    Vehicle {
        vehicle_id: id.clone(),
        capacity: vehicle.stands.capacity,
        seats_left: vehicle.seats_left(),
        pool: vehicle.stands.pool.clone(),
        position: vehicle.stands.position,
        manifest: vehicle.on_board.clone(),
    }
}
