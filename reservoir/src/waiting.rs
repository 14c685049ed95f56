//! Who waits, as answers to queries tell them: as JSON, which is put together from what the store holds.
//!
//! An answer holds up to a thousand of them, and is asked for more often than anything else. Of somebody who
//! waits, all that ever changes is the same, so that nothing has to be made of a record but a longer text;
//! only the position is read.

mod shape;

use serde::{Deserialize, Serialize};
use signalbox_protocol::PassengerId;
use signalbox_protocol::fleet::{Direction, GeoPoint, Passenger, Pool};
use signalbox_protocol::timestamp::Timestamp;

/// What begins the JSON of [`Fixed`].
const BEFORE_ID: &str = r#"{"passenger_id":""#;

/// What changes of a [`Passenger`], of those who wait.
const AS_WAITING: &str =
    r#","state":"waiting","vehicle_id":null,"fence":null,"boarded_at":null,"alighted_at":null"#;

/// Bytes of most texts.
const TEXT_BYTES: usize = 640;

/// What does not change of a passenger.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Fixed {
    pub(crate) passenger_id: PassengerId,
    pub(crate) pool: Pool,
    pub(crate) direction: Option<Direction>,
    pub(crate) position: GeoPoint,
    pub(crate) destination: Option<GeoPoint>,
    pub(crate) priority: u8,
    pub(crate) max_walking_distance_m: Option<f64>,
    pub(crate) spawned_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
}

impl Fixed {
    fn of(passenger: &Passenger) -> Self {
        Self {
            passenger_id: passenger.passenger_id.clone(),
            pool: passenger.pool.clone(),
            direction: passenger.direction,
            position: passenger.position,
            destination: passenger.destination,
            priority: passenger.priority,
            max_walking_distance_m: passenger.max_walking_distance_m,
            spawned_at: passenger.spawned_at,
            expires_at: passenger.expires_at,
        }
    }
}

/// What has to be known of a text.
#[derive(Deserialize)]
struct Known<'a> {
    passenger_id: &'a str,
    position: GeoPoint,
}

/// The length of the id, and the position, of a text of whatever shape.
fn read_any(text: &str) -> Option<(usize, GeoPoint)> {
    let Known { passenger_id, position } = serde_json::from_str(text).ok()?;
    text.strip_prefix(BEFORE_ID)?.starts_with(passenger_id).then_some((passenger_id.len(), position))
}

/// Somebody who waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// A JSON object: what does not change, what is the same for all who wait, the sources' names.
    text: String,
    id_bytes: usize,
    /// Where in the text what does not change ends.
    fixed_end: usize,
    position: GeoPoint,
}

impl Waiting {
    /// A passenger who waits. Whoever does has no vehicle and was on board of none, whatever it says there.
    pub fn of(passenger: &Passenger) -> Self {
        let mut text = Vec::with_capacity(TEXT_BYTES);
        let write = |text: &mut Vec<u8>, json: serde_json::Result<()>| {
            json.expect("structs that JSON can express are written, to memory");
            // The closing brace.
            text.pop();
            text.len()
        };
        let json = serde_json::to_writer(&mut text, &Fixed::of(passenger));
        let fixed_end = write(&mut text, json);
        text.extend_from_slice(AS_WAITING.as_bytes());
        let also_at = text.len();
        let json = serde_json::to_writer(&mut text, &passenger.also_named());
        write(&mut text, json);
        text[also_at] = b',';
        text.push(b'}');
        let text = String::from_utf8(text).expect("JSON is text");
        let id_bytes = passenger.passenger_id.as_str().len();
        Self { text, id_bytes, fixed_end, position: passenger.position }
    }

    /// Puts one together from [`Waiting::lines`]; `None` if they are no such lines.
    pub(crate) fn read([fixed, also]: [&str; 2]) -> Option<Self> {
        let mut text = String::with_capacity(fixed.len() + AS_WAITING.len() + also.len() + 3);
        text.push('{');
        text.push_str(fixed);
        let fixed_end = text.len();
        for part in [AS_WAITING, ",", also, "}"] {
            text.push_str(part);
        }
        // All of it is read, one way or the other: what is told is JSON.
        let (id_bytes, position) = shape::read([fixed, also]).or_else(|| read_any(&text))?;
        Some(Self { text, id_bytes, fixed_end, position })
    }

    /// What does not change, and the sources' names for it: JSON without its braces.
    pub(crate) fn lines(&self) -> [&str; 2] {
        let also_at = self.fixed_end + AS_WAITING.len() + 1;
        [&self.text[1..self.fixed_end], &self.text[also_at..self.text.len() - 1]]
    }

    /// The passenger's id.
    pub fn passenger_id(&self) -> &str {
        &self.text[BEFORE_ID.len()..BEFORE_ID.len() + self.id_bytes]
    }

    /// Where the passenger waits.
    pub fn position(&self) -> GeoPoint {
        self.position
    }

    /// The [`Passenger`] as JSON, but for the closing brace: more may follow.
    pub fn as_passenger(&self) -> &str {
        &self.text[..self.fixed_end + AS_WAITING.len()]
    }

    /// The [`PassengerEvent`](signalbox_protocol::fleet::PassengerEvent) as JSON, but for its time and the
    /// closing brace: more may follow.
    pub fn as_event(&self) -> &str {
        &self.text[..self.text.len() - 1]
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use signalbox_protocol::fleet::PassengerState;

    use super::*;

    fn point() -> impl Strategy<Value = GeoPoint> {
        // Six decimals, a decimetre: numbers that are read as they were written.
        let degrees = (-85_000_000..85_000_000_i32, -180_000_000..180_000_000_i32);
        degrees.prop_map(|(lat, lon)| GeoPoint::try_new(f64::from(lat) / 1e6, f64::from(lon) / 1e6).unwrap())
    }

    pub(crate) fn passenger() -> impl Strategy<Value = Passenger> {
        let names = ("[A-Za-z0-9._~@+-]{1,20}", "(route|depot):[A-Za-z0-9._~@+-]{1,20}");
        let direction = prop::option::of(prop_oneof![Just(Direction::Inbound), Just(Direction::Outbound)]);
        let rest = (direction, prop::option::of(point()), 0..10_u8, prop::option::of(0..5_000_u32));
        let times = (0..253_402_300_799_999_u64, prop::option::of(0..253_402_300_799_999_u64));
        (names, point(), rest, times).prop_map(|((id, pool), position, rest, (spawned_at, expires_at))| {
            let (direction, destination, priority, metres) = rest;
            Passenger {
                passenger_id: PassengerId::try_new(&id).unwrap(),
                pool: Pool::try_new(&pool).unwrap(),
                direction,
                position,
                destination,
                priority,
                max_walking_distance_m: metres.map(f64::from),
                state: PassengerState::Waiting,
                vehicle_id: None,
                fence: None,
                spawned_at: Timestamp(spawned_at),
                boarded_at: None,
                alighted_at: None,
                expires_at: expires_at.map(Timestamp),
            }
        })
    }

    /// What begins so as a JSON object.
    fn object(beginning: &str) -> Value {
        serde_json::from_str(&format!("{beginning}}}")).unwrap()
    }

    proptest! {
        #[test]
        fn one_who_waits_is_told_as_the_passenger_is(passenger in passenger()) {
            let waiting = Waiting::of(&passenger);
            prop_assert_eq!(waiting.passenger_id(), passenger.passenger_id.as_str());
            prop_assert_eq!(waiting.position(), passenger.position);
            prop_assert_eq!(object(waiting.as_passenger()), json!(passenger));
            let mut event = json!(passenger.event(passenger.spawned_at));
            event.as_object_mut().unwrap().remove("timestamp");
            prop_assert_eq!(object(waiting.as_event()), event);
        }

        #[test]
        fn lines_make_the_same_again(passenger in passenger()) {
            let waiting = Waiting::of(&passenger);
            prop_assert_eq!(read_any(&waiting.text), Some((waiting.id_bytes, waiting.position)));
            prop_assert_eq!(Waiting::read(waiting.lines()), Some(waiting));
        }
    }
}
