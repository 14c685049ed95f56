//! The passengers in Strapi as a repository. What Strapi has no notion of, vehicles and who is on board, is
//! with the claims, as are the passengers of other tenants.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use signalbox_protocol::fleet::{Manifest, NewVehicle, Passenger, PassengerState, Pool, Vehicle};
use signalbox_protocol::timestamp::Timestamp;
use signalbox_protocol::{PassengerId, Tenant, VehicleId};
use tokio::time::Instant;

use super::collection::{Collection, IDS_AT_ONCE};
use super::filters::Filters;
use super::overlay::may_be_told_as;
use super::record::status_of;
use super::store::Store;
use crate::error::Missing;
use crate::repository::{Alighting, Area, Boarded, Boarding, Filter, Page, Repository, read_cursor};
use crate::{Actor, Error, Waiting};

/// How often a node looks for waits of others' passengers that are over.
const OVERDUE_EVERY: Duration = Duration::from_secs(30);

#[async_trait]
impl Repository for Store {
    async fn push(&self, actor: &Actor, passengers: Vec<Passenger>) -> Result<(), Error> {
        match self.holds(&actor.tenant) {
            true => self.take_in(actor, passengers).await,
            false => self.claims.push(actor, passengers).await,
        }
    }

    async fn passenger(&self, tenant: &Tenant, id: &PassengerId) -> Result<Option<Passenger>, Error> {
        if !self.holds(tenant) {
            return self.claims.passenger(tenant, id).await;
        }
        match self.claims.passenger(tenant, id).await {
            Ok(Some(known)) => Ok(Some(known)),
            Ok(None) => {
                let found = self.collection.find(id).await?;
                Ok(self.overlay(Vec::from_iter(found)).await?.passengers.pop())
            }
            Err(Error::Registry(_)) => Ok(self.collection.find(id).await?.map(|record| record.passenger)),
            Err(other) => Err(other),
        }
    }

    async fn passengers(
        &self,
        tenant: &Tenant,
        ids: &[PassengerId],
    ) -> Result<Vec<Option<Passenger>>, Error> {
        let mut found = self.claims.passengers(tenant, ids).await?;
        if self.holds(tenant) {
            let missing: Vec<_> = ids
                .iter()
                .zip(&found)
                .filter(|(_, known)| known.is_none())
                .map(|(id, _)| id.clone())
                .collect();
            let said = self.overlay(self.collection.find_all(&missing).await?).await?.passengers;
            for (id, found) in ids.iter().zip(&mut found).filter(|(_, known)| known.is_none()) {
                *found = said.iter().find(|passenger| passenger.passenger_id == *id).cloned();
            }
        }
        Ok(found)
    }

    async fn list(
        &self,
        tenant: &Tenant,
        filter: &Filter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Passenger>, Error> {
        if !self.holds(tenant) {
            return self.claims.list(tenant, filter, cursor, limit).await;
        }
        let mut filters = filter.pool.as_ref().map_or_else(Filters::default, Collection::of_pool);
        if let Some(state) = filter.state {
            filters = filters.one_of("status", may_be_told_as(state).iter().map(|state| status_of(*state)));
        }
        let after = cursor.map(read_cursor).transpose()?;
        let listed = self.collection.list(&filters, after.as_ref().map(PassengerId::as_str), limit).await?;
        let mut items = self.overlay(listed.records).await?.passengers;
        items.retain(|passenger| filter.state.is_none_or(|state| state == passenger.state));
        Ok(Page { items, cursor: listed.last })
    }

    async fn available(&self, tenant: &Tenant, pool: &Pool) -> Result<u64, Error> {
        if !self.holds(tenant) {
            return self.claims.available(tenant, pool).await;
        }
        self.count_waiting(pool).await
    }

    async fn near(&self, tenant: &Tenant, area: &Area) -> Result<Vec<Waiting>, Error> {
        match self.holds(tenant) {
            true => Ok(self.waiting_near(area).await?.iter().map(Waiting::of).collect()),
            false => self.claims.near(tenant, area).await,
        }
    }

    async fn board(&self, actor: &Actor, boarding: &Boarding) -> Result<Boarded, Error> {
        if !self.holds(&actor.tenant) {
            return self.claims.board(actor, boarding).await;
        }
        self.has_room().await?;
        let boarded =
            self.decided(actor.now, &boarding.passenger_id, || self.claims.board(actor, boarding)).await?;
        self.wake.notify_one();
        Ok(boarded)
    }

    async fn undo_board(&self, actor: &Actor, id: &PassengerId, fence: u64) -> Result<bool, Error> {
        self.claims.undo_board(actor, id, fence).await
    }

    async fn alight(&self, actor: &Actor, alighting: &Alighting) -> Result<VehicleId, Error> {
        if !self.holds(&actor.tenant) {
            return self.claims.alight(actor, alighting).await;
        }
        // Not refused for a full outbox: a line for the boarding stands there already, or was struck out.
        let alighted =
            self.decided(actor.now, &alighting.passenger_id, || self.claims.alight(actor, alighting)).await?;
        self.wake.notify_one();
        Ok(alighted)
    }

    async fn cancel(&self, actor: &Actor, id: &PassengerId) -> Result<(), Error> {
        if !self.holds(&actor.tenant) {
            return self.claims.cancel(actor, id).await;
        }
        self.has_room().await?;
        match self.decided(actor.now, id, || self.claims.cancel(actor, id)).await {
            Ok(()) => {
                self.wake.notify_one();
                Ok(())
            }
            // Whom only Strapi remembers.
            Err(Error::Denied(denied)) => match denied.state {
                Some(PassengerState::Cancelled) => Ok(()),
                Some(state) => Err(Error::State(state)),
                None => Err(Error::NotFound(Missing::Passenger)),
            },
            refused => refused,
        }
    }

    async fn cancel_some(&self, actor: &Actor, pool: &Pool, limit: usize) -> Result<usize, Error> {
        if !self.holds(&actor.tenant) {
            return self.claims.cancel_some(actor, pool, limit).await;
        }
        self.has_room().await?;
        let mut cancelled = self.claims.cancel_some(actor, pool, limit).await?;
        if cancelled == 0 && self.adopt_some(actor.now, &Collection::waiting_in(pool)).await? {
            cancelled = self.claims.cancel_some(actor, pool, limit).await?;
        }
        self.wake.notify_one();
        Ok(cancelled)
    }

    async fn put_vehicle(
        &self,
        tenant: &Tenant,
        id: &VehicleId,
        vehicle: &NewVehicle,
    ) -> Result<Vehicle, Error> {
        self.claims.put_vehicle(tenant, id, vehicle).await
    }

    async fn vehicle(&self, tenant: &Tenant, id: &VehicleId) -> Result<Option<Vehicle>, Error> {
        self.claims.vehicle(tenant, id).await
    }

    async fn manifest(&self, tenant: &Tenant, id: &VehicleId) -> Result<Option<Manifest>, Error> {
        self.claims.manifest(tenant, id).await
    }

    async fn expire(&self, now: Timestamp) -> Result<usize, Error> {
        if self.looks_for_overdue() {
            let waiting = Filters::default().and("status", "$eq", status_of(PassengerState::Waiting));
            let overdue = waiting.and("expires_at", "$lte", signalbox_protocol::timestamp::to_string(now.0));
            if let Err(error) = self.adopt_some(now, &overdue).await {
                tracing::debug!(%error, "waits that are over were not looked for in strapi");
            }
        }
        let expired = self.claims.expire(now).await?;
        if expired > 0 {
            self.wake.notify_one();
        }
        Ok(expired)
    }
}

impl Store {
    /// How many wait: those about whom Strapi is right by its count, the doubtful ones by the claims.
    ///
    /// Who is doubtful is read first. A change that is written while Strapi is asked is then counted once, by
    /// the claims. Only with more doubtful ones than a list takes is the count off by those written meanwhile.
    async fn count_waiting(&self, pool: &Pool) -> Result<u64, Error> {
        let doubtful = self.outbox.named().await?;
        let waiting = Collection::waiting_in(pool);
        let (said, records) = if doubtful.len() <= IDS_AT_ONCE {
            let sure = waiting.none_of("passenger_id", &doubtful);
            let said = self.collection.count(&sure).await?;
            (said, self.collection.find_all_in(&doubtful, &Collection::of_pool(pool)).await?)
        } else {
            let said = self.collection.count(&waiting).await?;
            let records = self.collection.find_all_in(&doubtful, &waiting).await?;
            (said.saturating_sub(records.len()), records)
        };
        let overlaid = self.overlay(records).await?.passengers;
        let wait = overlaid.iter().filter(|passenger| passenger.state == PassengerState::Waiting).count();
        Ok((said + wait) as u64)
    }

    /// Takes some of these into the claims who are unknown there; whether there were any.
    async fn adopt_some(&self, now: Timestamp, filters: &Filters) -> Result<bool, Error> {
        let mut after = None;
        loop {
            let page = self.collection.list(filters, after.as_deref(), self.settings.page_size).await?;
            let overlaid = self.overlay(page.records).await?;
            if !overlaid.unknown.is_empty() {
                let unknown: HashSet<_> = overlaid.unknown.into_iter().collect();
                let mut passengers = overlaid.passengers;
                passengers.retain(|passenger| unknown.contains(&passenger.passenger_id));
                self.adopt_all(now, passengers).await?;
                return Ok(true);
            }
            after = page.last;
            if after.is_none() {
                return Ok(false);
            }
        }
    }

    /// Whether it is time for this node to look for waits that are over.
    fn looks_for_overdue(&self) -> bool {
        let mut last = self.looked_for_overdue.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let due = last.is_none_or(|last| last.elapsed() >= OVERDUE_EVERY);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}
