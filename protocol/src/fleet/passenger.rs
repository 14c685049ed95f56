//! Passengers: on the way in, as the API tells them, and as events tell them.

use serde::{Deserialize, Serialize};

use super::{GeoPoint, Pool, PoolKind};
use crate::error::{ErrorCode, Fault};
use crate::ids::{PassengerId, VehicleId};
use crate::timestamp::Timestamp;

/// Highest priority.
const PRIORITY_MAX: u8 = 9;

/// Which way along a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the depot.
    Outbound,
    /// To the depot.
    Inbound,
}

/// Where a passenger is in life. `Waiting` is the first state; the last three are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PassengerState {
    /// In a pool.
    Waiting,
    /// On board one vehicle.
    Boarded,
    /// Dropped off.
    Alighted,
    /// Given up before a vehicle came.
    Cancelled,
    /// Waited for too long.
    Expired,
}

impl PassengerState {
    /// All states.
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Boarded, Self::Alighted, Self::Cancelled, Self::Expired];

    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Boarded => "boarded",
            Self::Alighted => "alighted",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// The state of that name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }
}

/// A passenger on the way in: only the id, a pool and the position are required.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct NewPassenger {
    /// Unique within the tenant.
    pub passenger_id: PassengerId,
    /// The pool; or one of the next two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<Pool>,
    /// The route, in place of `pool`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_id: Option<String>,
    /// The depot, in place of `pool`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depot_id: Option<String>,
    /// Which way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Where the passenger waits.
    pub position: GeoPoint,
    /// Where the passenger wants to go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<GeoPoint>,
    /// 0 (the default) to 9.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schemars(range(max = PRIORITY_MAX)))]
    pub priority: u8,
    /// How far the passenger walks to a vehicle, in metres.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schemars(range(min = 0)))]
    pub max_walking_distance_m: Option<f64>,
    /// Until when the passenger waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl NewPassenger {
    /// The pool that the three fields name.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidData`] naming the field when none, several or an impossible one is given.
    pub fn pool(&self) -> Result<Pool, Fault> {
        pool_of(self.pool.as_ref(), self.route_id.as_deref(), self.depot_id.as_deref())
    }

    /// A passenger that begins to wait now.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidData`] naming the field that can't be.
    pub fn waiting(self, now: Timestamp, expires_at: Timestamp) -> Result<Passenger, Fault> {
        let pool = self.pool()?;
        if self.priority > PRIORITY_MAX {
            return Err(invalid("priority", "a priority is 0 to 9"));
        }
        if self.max_walking_distance_m.is_some_and(|metres| !metres.is_finite() || metres < 0.0) {
            return Err(invalid("max_walking_distance_m", "a walking distance is 0 metres or more"));
        }
        let expires_at = self.expires_at.unwrap_or(expires_at);
        if expires_at <= now {
            return Err(invalid("expires_at", "expires_at is in the past"));
        }
        Ok(Passenger {
            passenger_id: self.passenger_id,
            pool,
            direction: self.direction,
            position: self.position,
            destination: self.destination,
            priority: self.priority,
            max_walking_distance_m: self.max_walking_distance_m,
            state: PassengerState::Waiting,
            vehicle_id: None,
            fence: None,
            spawned_at: now,
            boarded_at: None,
            alighted_at: None,
            expires_at: Some(expires_at),
        })
    }
}

/// The one pool that a request names, by `pool`, `route_id` or `depot_id`.
///
/// # Errors
/// [`ErrorCode::InvalidData`] naming the field when none, several or an impossible one is given.
pub(crate) fn pool_of(
    pool: Option<&Pool>,
    route_id: Option<&str>,
    depot_id: Option<&str>,
) -> Result<Pool, Fault> {
    let of = |kind, id, field| Pool::of(kind, id).map_err(|error| invalid(field, error.to_string()));
    match (pool, route_id, depot_id) {
        (Some(pool), None, None) => Ok(pool.clone()),
        (None, Some(id), None) => of(PoolKind::Route, id, "route_id"),
        (None, None, Some(id)) => of(PoolKind::Depot, id, "depot_id"),
        (None, None, None) => Err(invalid("pool", "name a pool: `pool`, `route_id` or `depot_id`")),
        _ => Err(invalid("pool", "name one pool only: `pool`, `route_id` or `depot_id`")),
    }
}

fn invalid(field: &str, message: impl Into<std::borrow::Cow<'static, str>>) -> Fault {
    Fault::new(ErrorCode::InvalidData, message).in_field(field)
}

/// A passenger as the API tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Passenger {
    /// Unique within the tenant.
    pub passenger_id: PassengerId,
    /// Where the passenger waits or waited.
    pub pool: Pool,
    /// Which way.
    pub direction: Option<Direction>,
    /// Where the passenger waits or waited.
    pub position: GeoPoint,
    /// Where the passenger wants to go.
    pub destination: Option<GeoPoint>,
    /// 0 to 9.
    pub priority: u8,
    /// How far the passenger walks to a vehicle, in metres.
    pub max_walking_distance_m: Option<f64>,
    /// Where the passenger is in life.
    pub state: PassengerState,
    /// The vehicle that boarded the passenger.
    pub vehicle_id: Option<VehicleId>,
    /// The fence of that boarding, below 2^53.
    pub fence: Option<u64>,
    /// When the passenger began to wait.
    pub spawned_at: Timestamp,
    /// When the passenger was boarded.
    pub boarded_at: Option<Timestamp>,
    /// When the passenger was dropped off.
    pub alighted_at: Option<Timestamp>,
    /// Until when the passenger waits.
    pub expires_at: Option<Timestamp>,
}

/// A passenger as events tell it: with the names that the sources use as well.
#[derive(Debug, Clone, Serialize)]
pub struct PassengerEvent<'a> {
    /// The passenger.
    #[serde(flatten)]
    pub passenger: &'a Passenger,
    /// Those names.
    #[serde(flatten)]
    pub also: AlsoNamed<'a>,
    /// When it happened.
    pub timestamp: Timestamp,
}

/// What does not change of a passenger, under the names that the sources use.
#[derive(Debug, Clone, Serialize)]
pub struct AlsoNamed<'a> {
    commuter_id: &'a PassengerId,
    current_location: GeoPoint,
    latitude: f64,
    longitude: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    route_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    depot_id: Option<&'a str>,
    max_walking_distance: Option<f64>,
}

impl Passenger {
    /// The sources' names for what does not change.
    pub fn also_named(&self) -> AlsoNamed<'_> {
        let id_of = |kind| (self.pool.kind() == kind).then(|| self.pool.id());
        AlsoNamed {
            commuter_id: &self.passenger_id,
            current_location: self.position,
            latitude: self.position.lat(),
            longitude: self.position.lon(),
            route_id: id_of(PoolKind::Route),
            depot_id: id_of(PoolKind::Depot),
            max_walking_distance: self.max_walking_distance_m,
        }
    }

    /// The passenger as an event of that moment tells it.
    pub fn event(&self, timestamp: Timestamp) -> PassengerEvent<'_> {
        PassengerEvent { passenger: self, also: self.also_named(), timestamp }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_767_225_600_000);
    const LATER: Timestamp = Timestamp(1_767_232_800_000);

    fn read(json: &str) -> Result<Passenger, Fault> {
        serde_json::from_str::<NewPassenger>(json).unwrap().waiting(NOW, LATER)
    }

    #[test]
    fn an_id_a_pool_and_a_position_are_enough() {
        for (pool, expected) in [
            (r#""pool":"route:12""#, "route:12"),
            (r#""route_id":"12""#, "route:12"),
            (r#""depot_id":"4""#, "depot:4"),
        ] {
            let json = format!(r#"{{"passenger_id":"COM_1",{pool},"position":{{"lat":13.1,"lon":-59.6}}}}"#);
            let passenger = read(&json).unwrap();
            assert_eq!((passenger.pool.as_str(), passenger.state), (expected, PassengerState::Waiting));
            assert_eq!((passenger.spawned_at, passenger.expires_at), (NOW, Some(LATER)));
            let json = serde_json::to_string(&passenger).unwrap();
            assert_eq!(serde_json::from_str::<Passenger>(&json).unwrap(), passenger);
        }
    }

    #[test]
    fn what_can_t_be_is_refused_by_its_field() {
        for (more, field) in [
            (r#""x":1"#, "pool"),
            (r#""route_id":"1","depot_id":"2""#, "pool"),
            (r#""route_id":"a b""#, "route_id"),
            (r#""pool":"route:1","priority":10"#, "priority"),
            (r#""pool":"route:1","max_walking_distance_m":-1"#, "max_walking_distance_m"),
            (r#""pool":"route:1","expires_at":"2020-01-01T00:00:00Z""#, "expires_at"),
        ] {
            let json = format!(r#"{{"passenger_id":"COM_1",{more},"position":{{"lat":0,"lon":0}}}}"#);
            let fault = read(&json).unwrap_err();
            assert_eq!(fault.code, ErrorCode::InvalidData);
            assert_eq!(fault.details.unwrap()["field"], field, "{json}");
        }
    }

    #[test]
    fn an_event_has_the_sources_names_too() {
        let json = r#"{"passenger_id":"COM_1","route_id":"12","position":{"lat":13.1,"lon":-59.6}}"#;
        let passenger = read(json).unwrap();
        let event = serde_json::to_value(passenger.event(NOW)).unwrap();
        assert_eq!((&event["commuter_id"], &event["route_id"]), (&"COM_1".into(), &"12".into()));
        assert_eq!((&event["latitude"], &event["current_location"]["lon"]), (&13.1.into(), &(-59.6).into()));
        assert_eq!(event["timestamp"], "2026-01-01T00:00:00.000Z");
        assert!(event.get("depot_id").is_none());
    }

    #[test]
    fn a_state_has_one_name() {
        for state in PassengerState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
            assert_eq!(PassengerState::of(state.as_str()), Some(state));
        }
    }
}
