//! The repository of a cluster: a tenant's whole fleet in one hash slot, so that one script checks, writes and
//! announces. Redis runs one script after the other; their order is the order in which all hear of the
//! changes. Nothing is kept here.
//!
//! Behind what `Scripts` says a fleet's names begin with:
//!
//! | key | type | holds |
//! | --- | --- | --- |
//! | `p:ID` | string | a passenger: see `record` |
//! | `pool:POOL:geo` | geo set | who waits in a pool |
//! | `pool:POOL:all`, `all` | zset | everybody, by id |
//! | `due` | zset | who waits, by the end of the wait; whose life is over, by when they are forgotten |
//! | `v:ID` | string | seats, and on a second line what else was said of a vehicle |
//! | `v:ID:on` | zset | who is on board, in the order of boarding |
//! | `fence` | string | the last fence given |
//! | `POOL:meta`, `POOL:log` | | the log of a pool's topic: see the registry |
//! | `versions`, `outbox`, .. | | how often a pool changed: see `cache`; what a store behind the cluster has to get: see `outbox` |
//!
//! A script that comes behind its deadline does nothing: the asker has given up by then. One that ran though
//! its answer was lost is an unknown outcome; the same request again gets the first answer.

mod answer;
mod looks;
mod near;
mod record;
mod scripts;
mod turn;

use async_trait::async_trait;
use signalbox_protocol::fleet::{Manifest, NewVehicle, Passenger, Pool, Vehicle};
use signalbox_protocol::timestamp::{self, Timestamp};
use signalbox_protocol::{PassengerId, Tenant, VehicleId};
use signalbox_registry::Error as RegistryError;
use signalbox_registry::redis::{Call, Scripts};

use self::answer::{Answer, texts};
use self::looks::read_all;
use self::scripts::Change;
use crate::event::{self, CANCELLED, DROPPED_OFF, Event, PICKED_UP, SPAWNED, Told};
use crate::repository::{
    Alighting, Area, Boarded, Boarding, Filter, LOOKED_AT_MAX, METRES_PER_DEGREE, Page, Repository, Settings,
    read_cursor,
};
use crate::{Actor, Error, Waiting};

/// How much further than asked the index is searched: it is that imprecise.
const IMPRECISE_M: f64 = 1.0;

/// The kinds of topics in which pools are told of.
const POOL_KINDS: [&str; 2] = ["route", "depot"];

/// The last digits of an id, which scripts fill in.
const ID_COUNTED_CHARS: usize = 4;

/// See the module.
#[derive(Debug)]
pub(crate) struct RedisRepository {
    scripts: Scripts,
    settings: Settings,
    /// Whose changes leave a line in the outbox.
    noted: Option<Tenant>,
}

impl RedisRepository {
    pub(crate) fn new(scripts: &Scripts, settings: Settings, noted: Option<Tenant>) -> Self {
        Self { scripts: scripts.clone(), settings, noted }
    }

    fn kept_ms(&self) -> u64 {
        self.settings.ended_kept.as_millis() as u64
    }

    /// A script that changes the fleet.
    async fn change(&self, change: &'static Change, tenant: &Tenant) -> Result<Call, Error> {
        let deadline = self.scripts.deadline_ms().await?;
        let terms = self.scripts.log_terms(tenant, &POOL_KINDS).await?;
        let script = change.noting(self.noted.as_ref() == Some(tenant));
        Ok(self.scripts.on_fleet(script, tenant).arg(deadline).arg(terms))
    }

    /// A script that changes passengers and tells of each.
    async fn telling(&self, change: &'static Change, kind: &str, told: Told<'_>) -> Result<Call, Error> {
        let id = event::fresh_id();
        let call = self.change(change, told.tenant).await?;
        let call = call.arg(&id[..id.len() - ID_COUNTED_CHARS]).arg(event::after_id(kind, told));
        Ok(call.arg(timestamp::to_string(told.now.0)))
    }

    async fn write(&self, tenant: &Tenant, call: Call) -> Result<Answer, Error> {
        Answer::of(self.scripts.write(tenant, call).await?)
    }
}

fn told(actor: &Actor) -> Told<'_> {
    Told { tenant: &actor.tenant, source: &actor.agent, now: actor.now }
}

/// The arguments of `push.lua` for one passenger.
fn pushed(call: Call, (passenger, record): (&Passenger, &String)) -> Call {
    let (id, pool, position) = (passenger.passenger_id.as_str(), passenger.pool.as_str(), passenger.position);
    let call = call.arg(id).arg(pool).arg(position.lon()).arg(position.lat());
    call.arg(record::ends(passenger)).arg(record)
}

/// Where an area that crosses the date line goes on: at the other end of the map.
fn beyond_date_line(area: &Area) -> Option<f64> {
    let (lat, lon) = (area.center.lat(), area.center.lon());
    let metres = area.radius_m + IMPRECISE_M;
    // Degrees of longitude are narrowest at the end of the area that is nearer to a pole.
    let narrowest = (lat.abs() + metres / METRES_PER_DEGREE).to_radians().cos().max(f64::EPSILON);
    let reach = metres / (METRES_PER_DEGREE * narrowest);
    if lon + reach > 180.0 { Some(-180.0) } else { (lon - reach < -180.0).then_some(180.0) }
}

fn seats_left(capacity: u32, on_board: usize) -> u32 {
    capacity.saturating_sub(u32::try_from(on_board).unwrap_or(u32::MAX))
}

#[async_trait]
impl Repository for RedisRepository {
    async fn push(&self, actor: &Actor, passengers: Vec<Passenger>) -> Result<(), Error> {
        let tenant = &actor.tenant;
        let records: Vec<_> = passengers.iter().map(record::write).collect();
        let events = Event::spawned(told(actor), &passengers);
        let call = self.change(&scripts::PUSH, tenant).await?.arg(passengers.len());
        let call = passengers.iter().zip(&records).fold(call, pushed);
        let call =
            events.iter().fold(call, |call, event| call.arg(event.pool.as_str()).arg(event.body.as_ref()));
        // Sent together, and the note first: a fleet that is looked at in vain does no harm, one that never is would.
        let noting = self.note(tenant, passengers.iter().filter_map(|passenger| passenger.expires_at).min());
        let (noted, answer) = tokio::join!(noting, self.write(tenant, call));
        let answer = answer?;
        match answer.what() {
            // Not told as a failure, since they do wait.
            "done" => noted.map_err(|error| RegistryError::OutcomeUnknown(Some(Box::new(error))).into()),
            "exists" => Err(Error::Exists(answer.read(1, PassengerId::try_new)?)),
            _ => Err(answer.unexpected()),
        }
    }

    async fn passenger(&self, tenant: &Tenant, id: &PassengerId) -> Result<Option<Passenger>, Error> {
        let key = self.scripts.fleet_key(tenant, &format!("p:{id}"));
        let value = self.ask(tenant, Call::new("GET").arg(key)).await?;
        let what = "passenger";
        let text: Option<String> =
            ::redis::from_redis_value(value).map_err(|_| RegistryError::Unreadable { what })?;
        Ok(text.map(|text| record::read(&text)).transpose()?)
    }

    async fn passengers(
        &self,
        tenant: &Tenant,
        ids: &[PassengerId],
    ) -> Result<Vec<Option<Passenger>>, Error> {
        self.by_ids(tenant, ids).await
    }

    async fn list(
        &self,
        tenant: &Tenant,
        filter: &Filter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<Passenger>, Error> {
        let (after, limit) = (cursor.map(read_cursor).transpose()?, limit.max(1));
        let index = filter.pool.as_ref().map_or("all".to_owned(), |pool| format!("pool:{pool}:all"));
        let looked_at = if filter.state.is_none() { limit.min(LOOKED_AT_MAX) } else { LOOKED_AT_MAX };
        let call = self.scripts.on_fleet(&scripts::LIST, tenant).arg(index);
        let call = call.arg(after.as_ref().map_or("", PassengerId::as_str));
        let call = call.arg(filter.state.map_or("", record::letter)).arg(limit).arg(looked_at);
        let texts = texts(self.ask(tenant, call).await?)?;
        let (last, records) = texts.split_first().ok_or(RegistryError::Unreadable { what: "list" })?;
        let cursor = Some(last.clone()).filter(|last| !last.is_empty());
        Ok(Page { items: read_all(records)?, cursor })
    }

    async fn available(&self, tenant: &Tenant, pool: &Pool) -> Result<u64, Error> {
        let key = self.scripts.fleet_key(tenant, &format!("pool:{pool}:geo"));
        let value = self.ask(tenant, Call::new("ZCARD").arg(key)).await?;
        Ok(::redis::from_redis_value(value).map_err(|_| RegistryError::Unreadable { what: "count" })?)
    }

    async fn near(&self, tenant: &Tenant, area: &Area) -> Result<Vec<Waiting>, Error> {
        self.waiting_near(tenant, area).await
    }

    async fn board(&self, actor: &Actor, boarding: &Boarding) -> Result<Boarded, Error> {
        let call = self.telling(&scripts::BOARD, PICKED_UP, told(actor)).await?;
        let call = call.arg(boarding.passenger_id.as_str()).arg(boarding.vehicle_id.as_str());
        let call = call.arg(boarding.fence.map_or_else(String::new, |fence| fence.to_string()));
        let call = call.arg(record::asked_by(&actor.subject, actor.request_id.as_ref()));
        let answer = self.write(&actor.tenant, call).await?;
        match answer.what() {
            "boarded" => Ok(Boarded { fence: answer.part(1)?, seats_left: answer.part(2)? }),
            _ => Err(answer.unexpected()),
        }
    }

    async fn undo_board(&self, actor: &Actor, id: &PassengerId, fence: u64) -> Result<bool, Error> {
        let call = self.telling(&scripts::UNDO_BOARD, SPAWNED, told(actor)).await?;
        let answer = self.write(&actor.tenant, call.arg(id.as_str()).arg(fence.to_string())).await?;
        Ok(answer.part::<u8>(1)? == 1)
    }

    async fn alight(&self, actor: &Actor, alighting: &Alighting) -> Result<VehicleId, Error> {
        let call = self.telling(&scripts::ALIGHT, DROPPED_OFF, told(actor)).await?;
        let call = call.arg(alighting.passenger_id.as_str()).arg(alighting.fence.to_string());
        let vehicle = alighting.vehicle_id.as_ref().map_or("", VehicleId::as_str);
        let answer = self.write(&actor.tenant, call.arg(vehicle).arg(self.kept_ms())).await?;
        match answer.what() {
            "done" => answer.read(1, VehicleId::try_new),
            _ => Err(answer.unexpected()),
        }
    }

    async fn cancel(&self, actor: &Actor, id: &PassengerId) -> Result<(), Error> {
        let call = self.telling(&scripts::CANCEL, CANCELLED, told(actor)).await?;
        let answer = self.write(&actor.tenant, call.arg(self.kept_ms()).arg(id.as_str())).await?;
        match answer.what() {
            "done" => Ok(()),
            "state" => {
                let state = answer.read(1, |letter| record::state_of(letter).ok_or(()))?;
                Err(Error::State(state))
            }
            _ => Err(answer.unexpected()),
        }
    }

    async fn cancel_some(&self, actor: &Actor, pool: &Pool, limit: usize) -> Result<usize, Error> {
        let call = self.telling(&scripts::CANCEL_SOME, CANCELLED, told(actor)).await?;
        let call = call.arg(self.kept_ms()).arg(pool.as_str()).arg(limit);
        self.write(&actor.tenant, call).await?.part(1)
    }

    async fn put_vehicle(
        &self,
        tenant: &Tenant,
        id: &VehicleId,
        vehicle: &NewVehicle,
    ) -> Result<Vehicle, Error> {
        let json = serde_json::to_string(vehicle).expect("a struct that JSON can express");
        let call = self.change(&scripts::PUT_VEHICLE, tenant).await?;
        let answer = self.write(tenant, call.arg(id.as_str()).arg(vehicle.capacity).arg(json)).await?;
        match answer.what() {
            "done" => Ok(vehicle_of(id, vehicle, answer.rest(PassengerId::try_new)?)),
            "on_board" => Err(Error::CapacityBelowOnBoard { on_board: answer.part(1)? }),
            _ => Err(answer.unexpected()),
        }
    }

    async fn vehicle(&self, tenant: &Tenant, id: &VehicleId) -> Result<Option<Vehicle>, Error> {
        let Some((stands, ids)) = self.on_board(tenant, id, "ids").await? else { return Ok(None) };
        let manifest: Result<_, _> = ids.iter().map(|id| PassengerId::try_new(id)).collect();
        let manifest = manifest.map_err(|_| RegistryError::Unreadable { what: "manifest" })?;
        Ok(Some(vehicle_of(id, &stands, manifest)))
    }

    async fn manifest(&self, tenant: &Tenant, id: &VehicleId) -> Result<Option<Manifest>, Error> {
        let Some((stands, records)) = self.on_board(tenant, id, "records").await? else { return Ok(None) };
        let (vehicle_id, capacity) = (id.clone(), stands.capacity);
        let (passengers, seats_left) = (read_all(&records)?, seats_left(capacity, records.len()));
        Ok(Some(Manifest { vehicle_id, capacity, seats_left, passengers }))
    }

    async fn expire(&self, now: Timestamp) -> Result<usize, Error> {
        self.turn(now).await
    }
}

fn vehicle_of(id: &VehicleId, stands: &NewVehicle, manifest: Vec<PassengerId>) -> Vehicle {
    Vehicle {
        vehicle_id: id.clone(),
        capacity: stands.capacity,
        seats_left: seats_left(stands.capacity, manifest.len()),
        pool: stands.pool.clone(),
        position: stands.position,
        manifest,
    }
}
