//! The way in: checks what is asked, asks the repository, and cuts answers to what was asked for.

use std::sync::Arc;
use std::time::Duration;

use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_protocol::fleet::{GeoPoint, Manifest, NewPassenger, NewVehicle, Passenger, Pool, Vehicle};
use signalbox_protocol::limits::{CAPACITY_MAX, PUSH_PASSENGERS_MAX, QUERY_RADIUS_KM_MAX, QUERY_RESULTS_MAX};
use signalbox_protocol::timestamp::Timestamp;
use signalbox_protocol::{PassengerId, Tenant, VehicleId};

use crate::answer::cut;
pub use crate::answer::{Answer, Source};
use crate::cache::QueryCache;
use crate::repository::{Alighting, Area, Boarded, Boarding, Filter, Page, Repository};
use crate::{Actor, Error};

/// Passengers of one step of a cancellation of a whole pool.
const CANCELLED_AT_ONCE: usize = 200;

/// Where fences end, and with them the whole numbers that JSON readers keep; room is left for one above.
const FENCE_END: u64 = 1 << 53;

/// What a reservoir needs of the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long a passenger waits who gave no end.
    pub waiting_max: Duration,
}

/// What a vehicle asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// The pool.
    pub pool: Pool,
    /// Where the vehicle is.
    pub position: GeoPoint,
    /// How far around.
    pub radius_km: f64,
    /// How many at most.
    pub max_results: u32,
}

/// All pools, passengers and vehicles.
#[derive(Debug, Clone)]
pub struct Reservoir {
    repository: Arc<dyn Repository>,
    cache: Option<Arc<QueryCache>>,
    settings: Settings,
}

impl Reservoir {
    /// A reservoir over `repository`.
    pub fn new(repository: Arc<dyn Repository>, settings: Settings) -> Self {
        Self { repository, cache: None, settings }
    }

    /// Lets it remember answers to queries.
    #[must_use]
    pub fn with_cache(self, cache: Arc<QueryCache>) -> Self {
        Self { cache: Some(cache), ..self }
    }

    /// The remembered answers, if there are any.
    pub fn cache(&self) -> Option<&Arc<QueryCache>> {
        self.cache.as_ref()
    }

    /// Takes one passenger in.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Exists`], [`Error::Registry`].
    pub async fn push(&self, actor: &Actor, passenger: NewPassenger) -> Result<Passenger, Error> {
        let passenger = self.checked(actor, passenger).map_err(Error::Invalid)?;
        self.repository.push(actor, vec![passenger.clone()]).await?;
        Ok(passenger)
    }

    /// Takes a list of passengers in: all or none, by one write.
    ///
    /// # Errors
    /// [`Error::InvalidElement`], [`Error::Exists`], [`Error::Invalid`] for a list that is too long,
    /// [`Error::Registry`].
    pub async fn push_batch(
        &self,
        actor: &Actor,
        passengers: Vec<NewPassenger>,
    ) -> Result<Vec<Passenger>, Error> {
        if passengers.len() > PUSH_PASSENGERS_MAX {
            let text = format!("a list holds at most {PUSH_PASSENGERS_MAX} passengers");
            return Err(Error::Invalid(Fault::new(ErrorCode::TooLarge, text)));
        }
        let mut ids = std::collections::HashSet::with_capacity(passengers.len());
        let mut checked = Vec::with_capacity(passengers.len());
        for (index, passenger) in passengers.into_iter().enumerate() {
            let at = |fault| Error::InvalidElement { index, fault };
            if !ids.insert(passenger.passenger_id.clone()) {
                let text = format!("the list holds {} twice", passenger.passenger_id);
                return Err(at(Fault::new(ErrorCode::Conflict, text)));
            }
            checked.push(self.checked(actor, passenger).map_err(at)?);
        }
        if !checked.is_empty() {
            self.repository.push(actor, checked.clone()).await?;
        }
        Ok(checked)
    }

    fn checked(&self, actor: &Actor, passenger: NewPassenger) -> Result<Passenger, Fault> {
        let end = actor.now.0.saturating_add(self.settings.waiting_max.as_millis() as u64);
        passenger.waiting(actor.now, Timestamp(end))
    }

    /// Who waits near a position, nearest first.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Registry`].
    pub async fn query(&self, tenant: &Tenant, query: &Query) -> Result<Answer, Error> {
        check_query(query)?;
        let area = Area {
            pool: query.pool.clone(),
            center: query.position,
            radius_m: query.radius_km * 1_000.0,
            limit: query.max_results as usize,
        };
        if let Some(cache) = self.cache.as_ref().filter(|cache| cache.serves(tenant)) {
            return cache.query(&self.repository, tenant, &area).await;
        }
        let candidates = self.repository.near(tenant, &area).await?;
        Ok(Answer { found: cut(candidates, &area), source: Source::Bypass })
    }

    /// How many wait in a pool.
    ///
    /// # Errors
    /// [`Error::Registry`].
    pub async fn available(&self, tenant: &Tenant, pool: &Pool) -> Result<u64, Error> {
        self.repository.available(tenant, pool).await
    }

    /// Boards a passenger: see [`Repository::board`].
    ///
    /// # Errors
    /// [`Error::Invalid`] for a fence that no lock gives; as there.
    pub async fn mark_picked_up(&self, actor: &Actor, boarding: &Boarding) -> Result<Boarded, Error> {
        if boarding.fence.is_some_and(|fence| fence >= FENCE_END - 1) {
            return Err(invalid("fence", "a fence is below 2^53".to_owned()));
        }
        self.repository.board(actor, boarding).await
    }

    /// Drops a passenger off: see [`Repository::alight`].
    ///
    /// # Errors
    /// As there.
    pub async fn mark_dropped_off(&self, actor: &Actor, alighting: &Alighting) -> Result<VehicleId, Error> {
        self.repository.alight(actor, alighting).await
    }

    /// Cancels a waiting passenger.
    ///
    /// # Errors
    /// As [`Repository::cancel`].
    pub async fn cancel(&self, actor: &Actor, id: &PassengerId) -> Result<(), Error> {
        self.repository.cancel(actor, id).await
    }

    /// Cancels everybody who waits in a pool; how many. Ends early only by an error: then some are cancelled,
    /// and the same again cancels the rest.
    ///
    /// # Errors
    /// As [`Repository::cancel_some`].
    pub async fn cancel_pool(&self, actor: &Actor, pool: &Pool) -> Result<usize, Error> {
        let mut cancelled = 0;
        loop {
            match self.repository.cancel_some(actor, pool, CANCELLED_AT_ONCE).await? {
                0 => return Ok(cancelled),
                some => cancelled += some,
            }
        }
    }

    /// One passenger.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Registry`].
    pub async fn passenger(&self, tenant: &Tenant, id: &PassengerId) -> Result<Passenger, Error> {
        let found = self.repository.passenger(tenant, id).await?;
        found.ok_or(Error::NotFound(crate::error::Missing::Passenger))
    }

    /// Passengers by id.
    ///
    /// # Errors
    /// As [`Repository::list`].
    pub async fn list(
        &self,
        tenant: &Tenant,
        filter: &Filter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Passenger>, Error> {
        self.repository.list(tenant, filter, cursor, limit).await
    }

    /// Writes a vehicle.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::CapacityBelowOnBoard`], [`Error::Registry`].
    pub async fn put_vehicle(
        &self,
        tenant: &Tenant,
        id: &VehicleId,
        vehicle: &NewVehicle,
    ) -> Result<Vehicle, Error> {
        if !(1..=CAPACITY_MAX).contains(&vehicle.capacity) {
            return Err(invalid("capacity", format!("a capacity is 1 to {CAPACITY_MAX} seats")));
        }
        self.repository.put_vehicle(tenant, id, vehicle).await
    }

    /// One vehicle.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Registry`].
    pub async fn vehicle(&self, tenant: &Tenant, id: &VehicleId) -> Result<Vehicle, Error> {
        let found = self.repository.vehicle(tenant, id).await?;
        found.ok_or(Error::NotFound(crate::error::Missing::Vehicle))
    }

    /// Who is on board a vehicle.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Registry`].
    pub async fn manifest(&self, tenant: &Tenant, id: &VehicleId) -> Result<Manifest, Error> {
        let found = self.repository.manifest(tenant, id).await?;
        found.ok_or(Error::NotFound(crate::error::Missing::Vehicle))
    }

    /// One turn of the clock: see [`Repository::expire`].
    ///
    /// # Errors
    /// [`Error::Registry`].
    pub async fn expire(&self, now: Timestamp) -> Result<usize, Error> {
        self.repository.expire(now).await
    }
}

fn check_query(query: &Query) -> Result<(), Error> {
    if !(query.radius_km > 0.0 && query.radius_km <= QUERY_RADIUS_KM_MAX) {
        return Err(invalid(
            "radius_km",
            format!("a radius is above 0 and at most {QUERY_RADIUS_KM_MAX} km"),
        ));
    }
    if !(1..=QUERY_RESULTS_MAX).contains(&query.max_results) {
        return Err(invalid("max_results", format!("a query answers 1 to {QUERY_RESULTS_MAX} passengers")));
    }
    Ok(())
}

fn invalid(field: &str, message: String) -> Error {
    Error::Invalid(Fault::new(ErrorCode::InvalidData, message).in_field(field))
}
