//! A passenger as a record of Strapi's collection, and back. The only place that knows the attributes.
//!
//! | attribute | type in Strapi | passenger |
//! | --- | --- | --- |
//! | `passenger_id` | text, required, unique | `passenger_id` |
//! | `route_id` | text | the id of a route's pool, else null |
//! | `depot_id` | text | the id of a depot's pool, else null; a record with both belongs to the route |
//! | `direction` | text | `outbound`, `inbound` or null |
//! | `latitude`, `longitude` | float or decimal, required | `position` |
//! | `destination_lat`, `destination_lon` | float or decimal | `destination`; both or none |
//! | `status` | enumeration | `state`: `WAITING`, `BOARDED`, `ALIGHTED`, `CANCELLED`, `EXPIRED` |
//! | `priority` | integer | `priority`; null is 0 |
//! | `max_walking_distance` | float or decimal | `max_walking_distance_m`, metres; written only if it is known |
//! | `spawned_at`, `boarded_at`, `alighted_at`, `expires_at` | datetime | the same; without `spawned_at`, `createdAt` |
//! | `vehicle_id` | text | `vehicle_id` |
//!
//! Fences are not in Strapi: they belong to the claims. The content type has no drafts and no locales.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use signalbox_protocol::fleet::{Direction, GeoPoint, Passenger, PassengerState, Pool, PoolKind};
use signalbox_protocol::timestamp::Timestamp;
use signalbox_protocol::{PassengerId, VehicleId};

/// A passenger as Strapi holds it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    /// How Strapi names the record.
    pub(super) document: String,
    /// Whom it is of.
    pub(super) passenger: Passenger,
}

/// The attributes of a record as they come.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    document_id: String,
    created_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Attributes {
    passenger_id: PassengerId,
    route_id: Option<String>,
    depot_id: Option<String>,
    direction: Option<Direction>,
    latitude: f64,
    longitude: f64,
    destination_lat: Option<f64>,
    destination_lon: Option<f64>,
    status: String,
    priority: Option<u8>,
    max_walking_distance: Option<f64>,
    spawned_at: Option<Timestamp>,
    boarded_at: Option<Timestamp>,
    alighted_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    vehicle_id: Option<VehicleId>,
}

impl Record {
    /// Reads a record; `None` if it is no passenger that this version knows.
    pub(super) fn read(value: &Value) -> Option<Self> {
        let head = Head::deserialize(value).ok()?;
        let of = Attributes::deserialize(value).ok()?;
        let pool = match (&of.route_id, &of.depot_id) {
            (Some(id), _) => Pool::of(PoolKind::Route, id),
            (None, Some(id)) => Pool::of(PoolKind::Depot, id),
            (None, None) => return None,
        };
        let destination = match (of.destination_lat, of.destination_lon) {
            (Some(lat), Some(lon)) => Some(GeoPoint::try_new(lat, lon).ok()?),
            _ => None,
        };
        let passenger = Passenger {
            passenger_id: of.passenger_id,
            pool: pool.ok()?,
            direction: of.direction,
            position: GeoPoint::try_new(of.latitude, of.longitude).ok()?,
            destination,
            priority: of.priority.unwrap_or(0),
            max_walking_distance_m: of.max_walking_distance,
            state: state_of(&of.status)?,
            vehicle_id: of.vehicle_id,
            fence: None,
            spawned_at: of.spawned_at.or(head.created_at)?,
            boarded_at: of.boarded_at,
            alighted_at: of.alighted_at,
            expires_at: of.expires_at,
        };
        Some(Self { document: head.document_id, passenger })
    }
}

/// All attributes of a new record.
pub(super) fn attributes(passenger: &Passenger) -> Value {
    let mut all = of_state(passenger, passenger.state);
    let of_kind = |kind| (passenger.pool.kind() == kind).then(|| passenger.pool.id());
    for (name, value) in [
        ("passenger_id", json!(passenger.passenger_id)),
        ("route_id", json!(of_kind(PoolKind::Route))),
        ("depot_id", json!(of_kind(PoolKind::Depot))),
        ("direction", json!(passenger.direction)),
        ("latitude", json!(passenger.position.lat())),
        ("longitude", json!(passenger.position.lon())),
        ("destination_lat", json!(passenger.destination.map(GeoPoint::lat))),
        ("destination_lon", json!(passenger.destination.map(GeoPoint::lon))),
        ("priority", json!(passenger.priority)),
        ("spawned_at", json!(passenger.spawned_at)),
        ("expires_at", json!(passenger.expires_at)),
    ] {
        all.insert(name.to_owned(), value);
    }
    if let Some(metres) = passenger.max_walking_distance_m {
        all.insert("max_walking_distance".to_owned(), json!(metres));
    }
    Value::Object(all)
}

/// What a change of state writes. `state` may be an earlier one than the passenger's: then what came after it
/// is left out.
pub(super) fn of_state(passenger: &Passenger, state: PassengerState) -> Map<String, Value> {
    let boarded = matches!(state, PassengerState::Boarded | PassengerState::Alighted);
    let alighted_at = passenger.alighted_at.filter(|_| state == PassengerState::Alighted);
    let mut change = Map::new();
    change.insert("status".to_owned(), json!(status_of(state)));
    change.insert("vehicle_id".to_owned(), json!(passenger.vehicle_id.as_ref().filter(|_| boarded)));
    change.insert("boarded_at".to_owned(), json!(passenger.boarded_at.filter(|_| boarded)));
    change.insert("alighted_at".to_owned(), json!(alighted_at));
    change
}

/// A state as Strapi has it.
pub(super) fn status_of(state: PassengerState) -> &'static str {
    match state {
        PassengerState::Waiting => "WAITING",
        PassengerState::Boarded => "BOARDED",
        PassengerState::Alighted => "ALIGHTED",
        PassengerState::Cancelled => "CANCELLED",
        PassengerState::Expired => "EXPIRED",
    }
}

fn state_of(status: &str) -> Option<PassengerState> {
    PassengerState::ALL.into_iter().find(|state| status_of(*state) == status)
}

/// The attribute that holds the id of a pool of this kind.
pub(super) fn pool_attribute(kind: PoolKind) -> &'static str {
    match kind {
        PoolKind::Route => "route_id",
        PoolKind::Depot => "depot_id",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::waiting::tests::passenger as waiting;

    /// One in any state.
    fn passenger() -> impl Strategy<Value = Passenger> {
        let instant = (0..253_402_300_799_999_u64).prop_map(Timestamp);
        let ride = (prop::sample::select(PassengerState::ALL.to_vec()), "[A-Za-z0-9._~@+-]{1,20}");
        let parts = (waiting(), prop::option::of(instant), ride);
        parts.prop_map(|(waiting, at, (state, vehicle))| {
            let boarded = matches!(state, PassengerState::Boarded | PassengerState::Alighted);
            Passenger {
                state,
                vehicle_id: boarded.then(|| VehicleId::try_new(&vehicle).unwrap()),
                boarded_at: at.filter(|_| boarded),
                alighted_at: waiting.expires_at.filter(|_| state == PassengerState::Alighted),
                ..waiting
            }
        })
    }

    /// What Strapi answers for a record that was written so.
    fn told(mut record: Value) -> Value {
        record["documentId"] = json!("hgv1vny5cebq2l3czil1rpb3");
        record["id"] = json!(7);
        record["createdAt"] = json!("2026-01-01T08:00:00.000Z");
        record
    }

    proptest! {
        #[test]
        fn a_record_reads_back(passenger in passenger()) {
            let text = told(attributes(&passenger)).to_string();
            let record = Record::read(&serde_json::from_str(&text).unwrap());
            let document = "hgv1vny5cebq2l3czil1rpb3".to_owned();
            prop_assert_eq!(record, Some(Record { document, passenger }));
        }
    }

    #[test]
    fn what_others_write_is_read_as_far_as_it_says_something() {
        let least =
            json!({"passenger_id": "P", "depot_id": "4", "latitude": 1, "longitude": 2, "status": "WAITING"});
        let passenger = Record::read(&told(least.clone())).unwrap().passenger;
        assert_eq!((passenger.pool.as_str(), passenger.priority), ("depot:4", 0));
        assert_eq!(passenger.spawned_at, Timestamp(1_767_254_400_000), "when Strapi created it");
        let mut both = least.clone();
        both["route_id"] = json!("12");
        assert_eq!(Record::read(&told(both)).unwrap().passenger.pool.as_str(), "route:12");
        for (attribute, value) in [
            ("latitude", json!(89)),
            ("latitude", json!(null)),
            ("status", json!("LOST")),
            ("depot_id", json!(null)),
            ("passenger_id", json!("no id!")),
            ("priority", json!(-1)),
        ] {
            let mut bad = told(least.clone());
            bad[attribute] = value;
            assert_eq!(Record::read(&bad), None, "{attribute}");
        }
    }

    #[test]
    fn an_earlier_state_is_written_without_what_came_after_it() {
        let mut passenger = Record::read(&told(json!({
            "passenger_id": "P", "route_id": "1", "latitude": 1, "longitude": 2, "status": "ALIGHTED",
            "vehicle_id": "V1", "boarded_at": "2026-01-01T08:01:00.000Z", "alighted_at": "2026-01-01T08:02:00.000Z",
        })))
        .unwrap()
        .passenger;
        let boarded = of_state(&passenger, PassengerState::Boarded);
        assert_eq!((&boarded["status"], &boarded["vehicle_id"]), (&json!("BOARDED"), &json!("V1")));
        assert_eq!(
            (&boarded["boarded_at"], &boarded["alighted_at"]),
            (&json!("2026-01-01T08:01:00.000Z"), &json!(null))
        );
        passenger.state = PassengerState::Waiting;
        let waiting = of_state(&passenger, PassengerState::Waiting);
        assert!(["vehicle_id", "boarded_at", "alighted_at"].iter().all(|name| waiting[*name].is_null()));
    }
}
