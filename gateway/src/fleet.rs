//! The fleet's part in a node: its reservoir, what its errors mean to a client, and the turn of its clock.

mod asked;

use std::sync::Arc;
use std::time::Duration;

use signalbox_identity::Verb;
use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_protocol::fleet::Passenger;
use signalbox_protocol::timestamp::Timestamp;
use signalbox_protocol::{PassengerId, Tenant, VehicleId};
use signalbox_registry::{Backing, Error as RegistryError};
use signalbox_reservoir::error::Missing;
use signalbox_reservoir::repository::Alighting;
use signalbox_reservoir::strapi::Strapi;
use signalbox_reservoir::{Actor, CacheSettings, Error, Reservoir, repository};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::node::{Node, Settings};
use crate::rights::{ANYTHING, Rights};
use crate::stamps::now_ms;

/// How often a node looks for passengers whose waiting is over.
const EXPIRE_EVERY: Duration = Duration::from_secs(1);

/// The reservoir of a node, with Strapi behind it if there is one.
///
/// # Panics
/// When the settings of Strapi were not checked.
pub(crate) fn open(
    settings: &Settings,
    backing: &Backing,
    (tasks, halt): (&TaskTracker, CancellationToken),
) -> (Reservoir, Option<Strapi>) {
    let Some(of_strapi) = settings.strapi.clone() else {
        let repository = repository::of(backing, settings.repository);
        return (Reservoir::new(repository, settings.reservoir.clone()), None);
    };
    let strapi = Strapi::open(of_strapi, settings.repository, backing, (tasks, halt));
    let strapi = strapi.expect("the settings were checked");
    let cache = CacheSettings::living(settings.cache_ttl);
    let reservoir = strapi.reservoir(settings.reservoir.clone(), cache);
    (reservoir, Some(strapi))
}

/// Ends the waiting of passengers whose time is over, until the node halts. Every node looks.
pub(crate) async fn expire(node: Arc<Node>) {
    let mut tick = interval(EXPIRE_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while node.halt.run_until_cancelled(tick.tick()).await.is_some() {
        match node.reservoir.expire(Timestamp(now_ms())).await {
            Ok(expired) => node.metrics.fleet.expired.inc_by(expired as u64),
            Err(error) => tracing::debug!(%error, "passengers not looked through; tried again"),
        }
    }
}

/// A passenger, for somebody who may do `verb` to what has it: to the vehicle, for boarding, else to the pool. To others it
/// is not there.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Registry`].
pub(crate) async fn passenger(
    node: &Node,
    tenant: &Tenant,
    (rights, verb): (&Rights, Verb),
    id: &PassengerId,
) -> Result<Passenger, Error> {
    let passenger = node.reservoir.passenger(tenant, id).await?;
    let what = match verb {
        Verb::Board => passenger.vehicle_id.as_ref().map(VehicleId::as_str),
        _ => Some(passenger.pool.as_str()),
    };
    let may = |what| rights.may(&node.metrics.access, verb, what).is_ok();
    if what.is_some_and(may) { Ok(passenger) } else { Err(Error::NotFound(Missing::Passenger)) }
}

/// Drops a passenger off. Who may not act for all vehicles does so for those that it may, and for no other.
///
/// # Errors
/// As of [`Reservoir::mark_dropped_off`].
pub(crate) async fn drop_off(
    node: &Node,
    actor: &Actor,
    rights: &Rights,
    alighting: &mut Alighting,
) -> Result<VehicleId, Error> {
    if alighting.vehicle_id.is_none() && !rights.cover(Verb::Board, ANYTHING) {
        let on_board = passenger(node, &actor.tenant, (rights, Verb::Board), &alighting.passenger_id).await?;
        alighting.vehicle_id = on_board.vehicle_id;
    }
    node.alight(actor, alighting).await
}

/// What a client is told when something was not done.
pub(crate) fn fault(error: &Error) -> Fault {
    match error {
        Error::Invalid(fault) => fault.clone(),
        Error::InvalidElement { index, fault } => at_index(*index, fault),
        Error::NotFound(_) => Fault::new(ErrorCode::NotFound, error.to_string()),
        Error::Exists(_) | Error::Denied(_) | Error::State(_) | Error::CapacityBelowOnBoard { .. } => {
            Fault::new(ErrorCode::Conflict, error.to_string())
        }
        Error::Registry(error) => registry_fault(error),
        Error::Store(error) => Fault::new(error.code(), error.to_string()),
    }
}

fn at_index(index: usize, fault: &Fault) -> Fault {
    let mut details = fault.details.clone().unwrap_or_else(|| serde_json::json!({}));
    details["index"] = index.into();
    Fault::new(fault.code, format!("element {index}: {}", fault.message)).with_details(details)
}

/// What a client is told when the registry could not do what it asked for.
pub(crate) fn registry_fault(error: &RegistryError) -> Fault {
    match error {
        RegistryError::Unavailable(_) | RegistryError::BusFull { .. } => {
            Fault::new(ErrorCode::Unavailable, "nothing was done; try again")
        }
        RegistryError::OutcomeUnknown(_) => {
            let text =
                "the answer was lost: ask again with the same request_id and the first answer comes back";
            Fault::new(ErrorCode::OutcomeUnknown, text)
        }
        RegistryError::SessionTaken => Fault::new(ErrorCode::Forbidden, error.to_string()),
        RegistryError::Unreadable { .. } | RegistryError::Refused(_) | RegistryError::Url(_) => {
            tracing::warn!(%error, "the registry refused what it should not");
            Fault::new(ErrorCode::Internal, "the registry refused it")
        }
    }
}
