//! The repository of a process that stands alone: the fleets of all tenants, shared by the nodes of a
//! `MemoryCluster`.
//!
//! One mutex is held over a change and its announcement, so that all hear of the changes in their order. No
//! task runs here. There is no clock either: it is as late as the latest that anybody said it is.

mod fleet;
mod pools;
mod record;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use signalbox_protocol::fleet::{Manifest, NewVehicle, Passenger, Pool, Vehicle};
use signalbox_protocol::timestamp::Timestamp;
use signalbox_protocol::{Agent, PassengerId, Tenant, VehicleId};
use signalbox_registry::memory::Commons;

use self::fleet::Fleet;
use crate::cache::Versions;
use crate::error::Missing;
use crate::event::{CANCELLED, DROPPED_OFF, EXPIRED, Event, PICKED_UP, SPAWNED, Told};
use crate::outbox::Outboxes;
use crate::repository::{
    Alighting, Area, Boarded, Boarding, Filter, Page, Repository, Settings, expiry_source, read_cursor,
};
use crate::{Actor, Error, Waiting};

/// Most passengers of one tenant that one turn of the clock ends or forgets.
const TURNED_AT_ONCE: usize = 5_000;

/// All fleets; the one value that nodes of a process share.
#[derive(Debug, Default)]
struct Fleets(Mutex<Shared>);

#[derive(Debug, Default)]
struct Shared {
    by_tenant: HashMap<Tenant, Fleet>,
    /// The latest that anybody said it is.
    now: Timestamp,
}

impl Shared {
    fn clock(&mut self, now: Timestamp) -> Timestamp {
        self.now = self.now.max(now);
        self.now
    }

    /// A fleet in which there is somebody already.
    fn existing(&mut self, tenant: &Tenant) -> Result<&mut Fleet, Error> {
        self.by_tenant.get_mut(tenant).ok_or(Error::NotFound(Missing::Passenger))
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct MemoryRepository {
    commons: Commons,
    fleets: Arc<Fleets>,
    versions: Arc<Versions>,
    outboxes: Arc<Outboxes>,
    settings: Settings,
    /// Whose changes leave a line in the outbox.
    noted: Option<Tenant>,
}

impl MemoryRepository {
    pub(crate) fn new(commons: &Commons, settings: Settings, noted: Option<Tenant>) -> Self {
        let (fleets, versions, outboxes) = (commons.value(), commons.value(), commons.value());
        Self { commons: commons.clone(), fleets, versions, outboxes, settings, noted }
    }

    /// Every change writes its tables before it announces, so that they are whole if a listener panics.
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.fleets.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A passenger has changed: nobody takes an older answer for the pool's, the store behind the cluster is
    /// to get it, and everybody hears of it. Called under the lock.
    fn tell(&self, kind: &str, told: Told<'_>, changed: Option<&Passenger>) {
        let Some(passenger) = changed else { return };
        self.versions.raise(told.tenant, &passenger.pool);
        if self.noted.as_ref() == Some(told.tenant) {
            self.outboxes.changed(told.tenant, &passenger.passenger_id);
        }
        self.announce(told.tenant, [Event::about(kind, told, passenger)]);
    }

    /// Announces; called under the lock.
    fn announce(&self, tenant: &Tenant, events: impl IntoIterator<Item = Event>) {
        for event in events {
            self.commons.append(tenant, event.pool.topic(), &event.body);
            self.commons.announce(&event.copy(tenant));
        }
    }

    /// Until when those are remembered who end now.
    fn kept_until(&self, now: Timestamp) -> Timestamp {
        Timestamp(now.0.saturating_add(self.settings.ended_kept.as_millis() as u64))
    }

    fn turn(&self, (tenant, fleet): (&Tenant, &mut Fleet), now: Timestamp, source: &Agent) -> usize {
        let kept_until = self.kept_until(now);
        let told = Told { tenant, source, now };
        // Not due again in this turn.
        let remembered_until = kept_until.max(Timestamp(now.0 + 1));
        let mut ended = 0;
        for _ in 0..TURNED_AT_ONCE {
            let Some(id) = fleet.due(now) else { break };
            if self.noted.as_ref() == Some(tenant)
                && self.outboxes.names(tenant, &id)
                && fleet.remember(&id, remembered_until)
            {
                continue;
            }
            if let Some(passenger) = fleet.end_or_forget(&id, kept_until) {
                self.tell(EXPIRED, told, Some(&passenger));
                ended += 1;
            }
        }
        ended
    }
}

fn told(actor: &Actor) -> Told<'_> {
    Told { tenant: &actor.tenant, source: &actor.agent, now: actor.now }
}

#[async_trait]
impl Repository for MemoryRepository {
    async fn push(&self, actor: &Actor, passengers: Vec<Passenger>) -> Result<(), Error> {
        let events = Event::spawned(told(actor), &passengers);
        let mut shared = self.lock();
        shared.clock(actor.now);
        shared.by_tenant.entry(actor.tenant.clone()).or_default().push(passengers)?;
        let pools: BTreeSet<_> = events.iter().map(|event| event.pool.clone()).collect();
        pools.iter().for_each(|pool| self.versions.raise(&actor.tenant, pool));
        self.announce(&actor.tenant, events);
        Ok(())
    }

    async fn passenger(&self, tenant: &Tenant, id: &PassengerId) -> Result<Option<Passenger>, Error> {
        Ok(self.lock().by_tenant.get(tenant).and_then(|fleet| fleet.passenger(id)).cloned())
    }

    async fn passengers(
        &self,
        tenant: &Tenant,
        ids: &[PassengerId],
    ) -> Result<Vec<Option<Passenger>>, Error> {
        let shared = self.lock();
        let fleet = shared.by_tenant.get(tenant);
        Ok(ids.iter().map(|id| fleet.and_then(|fleet| fleet.passenger(id)).cloned()).collect())
    }

    async fn list(
        &self,
        tenant: &Tenant,
        filter: &Filter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Passenger>, Error> {
        let after = cursor.map(read_cursor).transpose()?;
        let shared = self.lock();
        let none = Page { items: Vec::new(), cursor: None };
        Ok(shared
            .by_tenant
            .get(tenant)
            .map_or(none, |fleet| fleet.list(filter, after.as_ref(), limit.max(1))))
    }

    async fn available(&self, tenant: &Tenant, pool: &Pool) -> Result<u64, Error> {
        Ok(self.lock().by_tenant.get(tenant).map_or(0, |fleet| fleet.available(pool)))
    }

    async fn near(&self, tenant: &Tenant, area: &Area) -> Result<Vec<Waiting>, Error> {
        let near = |shared: &Shared| {
            shared.by_tenant.get(tenant).map_or_else(Vec::new, |fleet| fleet.near(area, shared.now))
        };
        let found = near(&self.lock());
        Ok(found.iter().map(Waiting::of).collect())
    }

    async fn board(&self, actor: &Actor, boarding: &Boarding) -> Result<Boarded, Error> {
        let mut shared = self.lock();
        let now = shared.clock(actor.now);
        let (boarded, changed) = shared.existing(&actor.tenant)?.board(actor, boarding, now)?;
        self.tell(PICKED_UP, told(actor), changed.as_ref());
        Ok(boarded)
    }

    async fn undo_board(&self, actor: &Actor, id: &PassengerId, fence: u64) -> Result<bool, Error> {
        let mut shared = self.lock();
        shared.clock(actor.now);
        let fleet = shared.by_tenant.get_mut(&actor.tenant);
        let changed = fleet.and_then(|fleet| fleet.undo_board(id, fence));
        self.tell(SPAWNED, told(actor), changed.as_ref());
        Ok(changed.is_some())
    }

    async fn alight(&self, actor: &Actor, alighting: &Alighting) -> Result<VehicleId, Error> {
        let mut shared = self.lock();
        let kept_until = self.kept_until(shared.clock(actor.now));
        let fleet = shared.existing(&actor.tenant)?;
        let (vehicle, changed) = fleet.alight(alighting, actor.now, kept_until)?;
        self.tell(DROPPED_OFF, told(actor), changed.as_ref());
        Ok(vehicle)
    }

    async fn cancel(&self, actor: &Actor, id: &PassengerId) -> Result<(), Error> {
        let mut shared = self.lock();
        let kept_until = self.kept_until(shared.clock(actor.now));
        let changed = shared.existing(&actor.tenant)?.cancel(id, kept_until)?;
        self.tell(CANCELLED, told(actor), changed.as_ref());
        Ok(())
    }

    async fn cancel_some(&self, actor: &Actor, pool: &Pool, limit: usize) -> Result<usize, Error> {
        let mut shared = self.lock();
        let kept_until = self.kept_until(shared.clock(actor.now));
        let Some(fleet) = shared.by_tenant.get_mut(&actor.tenant) else { return Ok(0) };
        let waiting = fleet.some_waiting(pool, limit);
        for id in &waiting {
            let changed = fleet.cancel(id, kept_until)?;
            self.tell(CANCELLED, told(actor), changed.as_ref());
        }
        Ok(waiting.len())
    }

    async fn put_vehicle(
        &self,
        tenant: &Tenant,
        id: &VehicleId,
        vehicle: &NewVehicle,
    ) -> Result<Vehicle, Error> {
        self.lock().by_tenant.entry(tenant.clone()).or_default().put_vehicle(id, vehicle)
    }

    async fn vehicle(&self, tenant: &Tenant, id: &VehicleId) -> Result<Option<Vehicle>, Error> {
        Ok(self.lock().by_tenant.get(tenant).and_then(|fleet| fleet.vehicle(id)))
    }

    async fn manifest(&self, tenant: &Tenant, id: &VehicleId) -> Result<Option<Manifest>, Error> {
        Ok(self.lock().by_tenant.get(tenant).and_then(|fleet| fleet.manifest(id)))
    }

    async fn expire(&self, now: Timestamp) -> Result<usize, Error> {
        let mut shared = self.lock();
        let now = shared.clock(now);
        let source = expiry_source();
        Ok(shared.by_tenant.iter_mut().map(|fleet| self.turn(fleet, now, &source)).sum())
    }
}
