//! Where passengers and vehicles are kept, and where it is decided who boards.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_protocol::fleet::{GeoPoint, Manifest, NewVehicle, Passenger, PassengerState, Pool, Vehicle};
use signalbox_protocol::timestamp::Timestamp;
use signalbox_protocol::{Agent, PassengerId, Tenant, VehicleId};
use signalbox_registry::Backing;

use crate::memory::MemoryRepository;
use crate::redis::RedisRepository;
use crate::{Actor, Error, Waiting};

/// Most passengers that one step of [`Repository::list`] looks at.
pub(crate) const LOOKED_AT_MAX: usize = 1_000;

/// Metres of one degree of latitude, rather too few.
pub(crate) const METRES_PER_DEGREE: f64 = 111_000.0;

/// How a repository keeps its passengers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long a passenger is remembered who alighted, gave up or waited for too long; with that, how long a
    /// retry gets its first answer after the ride.
    pub ended_kept: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { ended_kept: Duration::from_secs(3_600) }
    }
}

/// The repository of a back end.
pub fn of(backing: &Backing, settings: Settings) -> Arc<dyn Repository> {
    match backing {
        Backing::Memory(commons) => Arc::new(MemoryRepository::new(commons, settings, None)),
        Backing::Redis(scripts) => Arc::new(RedisRepository::new(scripts, settings, None)),
    }
}

/// The repository of a back end that decides for a store behind the cluster: each change of this tenant's
/// passengers leaves a line in the outbox, in the same step.
pub(crate) fn deciding_for(backing: &Backing, settings: Settings, tenant: Tenant) -> Arc<dyn Repository> {
    match backing {
        Backing::Memory(commons) => Arc::new(MemoryRepository::new(commons, settings, Some(tenant))),
        Backing::Redis(scripts) => Arc::new(RedisRepository::new(scripts, settings, Some(tenant))),
    }
}

/// Who says that a wait was too long.
pub(crate) fn expiry_source() -> Agent {
    Agent::of("service", "signalbox").expect("a constant agent")
}

/// Reads a cursor of a list of passengers: the id behind which it goes on.
pub(crate) fn read_cursor(text: &str) -> Result<PassengerId, Error> {
    let fault = || Fault::new(ErrorCode::InvalidData, "this is no cursor of a list").in_field("cursor");
    PassengerId::try_new(text).map_err(|_| Error::Invalid(fault()))
}

/// A circle in a pool.
#[derive(Debug, Clone, PartialEq)]
pub struct Area {
    /// The pool.
    pub pool: Pool,
    /// The middle.
    pub center: GeoPoint,
    /// Metres.
    pub radius_m: f64,
    /// Most passengers wanted.
    pub limit: usize,
}

/// A vehicle's wish to board a passenger.
#[derive(Debug, Clone, PartialEq)]
pub struct Boarding {
    /// Whom.
    pub passenger_id: PassengerId,
    /// By which vehicle.
    pub vehicle_id: VehicleId,
    /// The fence of a lock on the passenger, below 2^53, if the asker holds one. From then on a smaller one is
    /// refused for this passenger, whether or not this boarding is confirmed.
    pub fence: Option<u64>,
}

/// A boarding that happened; the same again for a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Boarded {
    /// Greater than any fence shown or given for this passenger before.
    pub fence: u64,
    /// Free seats after it.
    pub seats_left: u32,
}

/// A wish to drop a passenger off.
#[derive(Debug, Clone, PartialEq)]
pub struct Alighting {
    /// Whom.
    pub passenger_id: PassengerId,
    /// The boarding's fence.
    pub fence: u64,
    /// If a vehicle itself asks: it. Another's passenger is denied as [`StaleFence`].
    ///
    /// [`StaleFence`]: signalbox_protocol::control::BoardingDenial::StaleFence
    pub vehicle_id: Option<VehicleId>,
}

/// Which passengers to list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// Of this pool.
    pub pool: Option<Pool>,
    /// In this state.
    pub state: Option<PassengerState>,
}

/// Some of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The items, by id.
    pub items: Vec<T>,
    /// Where the next page starts; `None` at the end.
    pub cursor: Option<String>,
}

/// A store of passengers and vehicles of all tenants.
///
/// Each change is one step: checked, written and announced together, in an order that is the same for all
/// who hear of it. Checks come in this order: passenger, request id (a retry gets the first answer), vehicle,
/// state, fence, seats. An error of the registry that says *outcome unknown* means that the change may
/// have been made; with the same request id, asking again tells.
///
/// A passenger's wait ends with the next turn of the clock after its time ([`Repository::expire`]). Until
/// then one whose time is over is not found and not boarded any more, as if expired, but is told as waiting,
/// and may be cancelled.
#[async_trait]
pub trait Repository: Send + Sync + std::fmt::Debug {
    /// Takes waiting passengers in, each of another id: all or none. Announced per pool, a single one as
    /// `commuter:spawned`, more as batches.
    ///
    /// # Errors
    /// [`Error::Exists`] naming the first that does, [`Error::Registry`].
    async fn push(&self, actor: &Actor, passengers: Vec<Passenger>) -> Result<(), Error>;

    /// One passenger, in whatever state.
    ///
    /// # Errors
    /// [`Error::Registry`].
    async fn passenger(&self, tenant: &Tenant, id: &PassengerId) -> Result<Option<Passenger>, Error>;

    /// Several passengers, in whatever state, in the order of the ids.
    ///
    /// # Errors
    /// [`Error::Registry`].
    async fn passengers(&self, tenant: &Tenant, ids: &[PassengerId])
    -> Result<Vec<Option<Passenger>>, Error>;

    /// Passengers by id, from behind `cursor`, at least one at a time; a page may be short, and even empty,
    /// before the end.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a cursor that is none, [`Error::Registry`].
    async fn list(
        &self,
        tenant: &Tenant,
        filter: &Filter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Passenger>, Error>;

    /// How many wait in a pool.
    ///
    /// # Errors
    /// [`Error::Registry`].
    async fn available(&self, tenant: &Tenant, pool: &Pool) -> Result<u64, Error>;

    /// Who waits in an area: at least the `limit` nearest, if there are so many; of those whose distances
    /// differ by less than a metre, any. May hold some that are just outside or beyond the limit, in any
    /// order; the reservoir sorts and cuts.
    ///
    /// # Errors
    /// [`Error::Registry`].
    async fn near(&self, tenant: &Tenant, area: &Area) -> Result<Vec<Waiting>, Error>;

    /// Boards a passenger, once and for all. Announced as `commuter:picked_up`. Asked again by the same
    /// subject, with the same request id, for the same passenger and vehicle, the answer is the same as long
    /// as the passenger is remembered, whatever happened since; anything else is another request.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Denied`], [`Error::Registry`].
    async fn board(&self, actor: &Actor, boarding: &Boarding) -> Result<Boarded, Error>;

    /// Undoes a boarding that the store behind the cluster refused for good: the passenger waits again, the
    /// seat is free, and the passenger is announced as `commuter:spawned` again. Whether it did: nothing is
    /// changed if the passenger is not, or no longer, on board by the boarding of this fence.
    ///
    /// # Errors
    /// [`Error::Registry`].
    async fn undo_board(&self, actor: &Actor, id: &PassengerId, fence: u64) -> Result<bool, Error>;

    /// Drops a passenger off; again for a retry with the same fence. Announced as `commuter:dropped_off`.
    /// The answer is the vehicle.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Denied`], [`Error::Registry`].
    async fn alight(&self, actor: &Actor, alighting: &Alighting) -> Result<VehicleId, Error>;

    /// Cancels a waiting passenger; again for one who is cancelled. Announced as `commuter:cancelled`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::State`], [`Error::Registry`].
    async fn cancel(&self, actor: &Actor, id: &PassengerId) -> Result<(), Error>;

    /// Cancels some of those who wait in a pool, at most `limit`; how many. Zero means that none is left.
    ///
    /// # Errors
    /// [`Error::Registry`].
    async fn cancel_some(&self, actor: &Actor, pool: &Pool, limit: usize) -> Result<usize, Error>;

    /// Writes a vehicle. Who is on board stays.
    ///
    /// # Errors
    /// [`Error::CapacityBelowOnBoard`], [`Error::Registry`].
    async fn put_vehicle(
        &self,
        tenant: &Tenant,
        id: &VehicleId,
        vehicle: &NewVehicle,
    ) -> Result<Vehicle, Error>;

    /// One vehicle.
    ///
    /// # Errors
    /// [`Error::Registry`].
    async fn vehicle(&self, tenant: &Tenant, id: &VehicleId) -> Result<Option<Vehicle>, Error>;

    /// Who is on board a vehicle.
    ///
    /// # Errors
    /// [`Error::Registry`].
    async fn manifest(&self, tenant: &Tenant, id: &VehicleId) -> Result<Option<Manifest>, Error>;

    /// Ends the waiting of those whose time is over, announced as `commuter:expired`, and forgets those whose
    /// end is long past; of every tenant, a bounded number at a time. How many were ended. `now` is the clock
    /// of a back end that has none of its own.
    ///
    /// # Errors
    /// [`Error::Registry`].
    async fn expire(&self, now: Timestamp) -> Result<usize, Error>;
}
