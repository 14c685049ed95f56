//! A passenger as Redis holds it: one string, which scripts take apart at `|` and line ends.
//!
//! ```text
//! state|pool|end of the wait|vehicle|fence|boarded at|alighted at|shown fence|seats left
//! what does not change, JSON without its braces
//! the sources' names for it, JSON without its braces
//! who asked for the boarding, if with a request id
//! ```
//!
//! The state is its first letter, the end of the wait in ms since 1970, other times are as events tell them,
//! and what is not known is empty. `seats left` is what the boarding was answered with. No name holds a `|`,
//! and JSON is written without line ends; who asked comes last, since it may hold anything.

use signalbox_protocol::fleet::{Passenger, PassengerState};
use signalbox_protocol::timestamp::{self, Timestamp};
use signalbox_protocol::{RequestId, VehicleId};
use signalbox_registry::Error;

use crate::Waiting;
use crate::waiting::Fixed;

/// The record of one who begins to wait.
pub(super) fn write(passenger: &Passenger) -> String {
    let waiting = Waiting::of(passenger);
    let [fixed, also] = waiting.lines();
    format!("w|{}|{}||||||\n{fixed}\n{also}\n", passenger.pool, ends(passenger))
}

/// The end of the wait as scripts read it.
pub(super) fn ends(passenger: &Passenger) -> String {
    passenger.expires_at.map_or_else(String::new, |end| end.0.to_string())
}

/// Who asks, as the record of a boarding keeps it; empty without a request id, which can't be a retry. A
/// request id holds no line end, so that the two are not taken for others.
pub(super) fn asked_by(subject: &str, request_id: Option<&RequestId>) -> String {
    request_id.map_or_else(String::new, |id| format!("{}\n{subject}", id.as_str()))
}

/// The letter of a state.
pub(super) fn letter(state: PassengerState) -> &'static str {
    &state.as_str()[..1]
}

/// The state of a letter.
pub(super) fn state_of(letter: &str) -> Option<PassengerState> {
    PassengerState::ALL.into_iter().find(|state| self::letter(*state) == letter)
}

/// Whether a record is of somebody who waits, and whose wait is not over at `now_ms`.
pub(super) fn waits(text: &str, now_ms: u64) -> bool {
    let Some(behind) = text.strip_prefix("w|") else { return false };
    let mut head = behind.as_bytes().split(|byte| *byte == b'|');
    let ends = head.nth(1).and_then(|ends| std::str::from_utf8(ends).ok());
    ends.is_some_and(|ends| ends.parse().map_or(ends.is_empty(), |ends: u64| ends > now_ms))
}

/// Reads a record of somebody who [waits].
pub(super) fn read_waiting(text: &str) -> Result<Waiting, Error> {
    let lines = || {
        let (_, rest) = text.split_once('\n')?;
        let (fixed, rest) = rest.split_once('\n')?;
        let (also, _) = rest.split_once('\n')?;
        Waiting::read([fixed, also])
    };
    lines().ok_or(Error::Unreadable { what: "passenger" })
}

/// Reads a record.
pub(super) fn read(text: &str) -> Result<Passenger, Error> {
    read_parts(text).ok_or(Error::Unreadable { what: "passenger" })
}

fn read_parts(text: &str) -> Option<Passenger> {
    let mut lines = text.splitn(3, '\n');
    let mut head = lines.next()?.split('|');
    let fixed: Fixed = serde_json::from_str(&format!("{{{}}}", lines.next()?)).ok()?;
    let state = state_of(head.next()?)?;
    let mut head = head.skip(2);
    let mut field = || head.next().map(|text| Some(text).filter(|text| !text.is_empty()));
    let vehicle_id = field()?.map(VehicleId::try_new).transpose().ok()?;
    let fence = field()?.map(str::parse).transpose().ok()?;
    let mut instant = || match field()? {
        Some(text) => timestamp::parse(text).map(|ms| Some(Timestamp(ms))),
        None => Some(None),
    };
    Some(Passenger {
        passenger_id: fixed.passenger_id,
        pool: fixed.pool,
        direction: fixed.direction,
        position: fixed.position,
        destination: fixed.destination,
        priority: fixed.priority,
        max_walking_distance_m: fixed.max_walking_distance_m,
        state,
        vehicle_id,
        fence,
        spawned_at: fixed.spawned_at,
        boarded_at: instant()?,
        alighted_at: instant()?,
        expires_at: fixed.expires_at,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::waiting::tests::passenger;

    proptest! {
        #[test]
        fn a_record_reads_back(passenger in passenger()) {
            let record = write(&passenger);
            prop_assert_eq!(read(&record).unwrap(), passenger.clone());
            prop_assert_eq!(read_waiting(&record).unwrap(), Waiting::of(&passenger));
        }

        #[test]
        fn arbitrary_text_never_panics(text in "[wbace|\n\"{}:,0-9T.Z-]{0,60}") {
            let _ = (read(&text), read_waiting(&text), waits(&text, 0));
        }
    }

    #[test]
    fn a_wait_is_over_at_its_end() {
        for (text, waits) in [
            ("w|route:1|5||||||\n", true),
            ("w|route:1|4||||||\n", false),
            ("w|route:1|||||||\n", true),
            ("w|route:1|x||||||\n", false),
            ("b|route:1|5||||||\n", false),
            ("w", false),
            ("", false),
        ] {
            assert_eq!(super::waits(text, 4), waits, "{text}");
        }
    }

    #[test]
    fn what_is_no_record_of_one_who_waits_is_not_told() {
        let (head, also) = ("w|route:1|||||||", r#""commuter_id":"P""#);
        let fixed = r#""passenger_id":"P","position":{"lat":1.0,"lon":2.0}"#;
        assert!(read_waiting(&format!("{head}\n{fixed}\n{also}\n")).is_ok());
        for broken in [
            head.to_owned(),
            format!("{head}\n{fixed}\n{also}"),
            format!("{head}\n{fixed}\n\n"),
            format!("{head}\n\n{also}\n"),
            format!("{head}\n{fixed}\n\"commuter_id\":\"P\n"),
            format!("{head}\n{}\n{also}\n", fixed.replace("1.0", "91.0")),
            format!("{head}\n{}\n{also}\n", fixed.replace(r#""P""#, "1")),
            format!("{head}\n\"pool\":\"route:1\",{fixed}\n{also}\n"),
        ] {
            assert!(matches!(read_waiting(&broken), Err(Error::Unreadable { .. })), "{broken}");
        }
    }

    #[test]
    fn what_a_script_filled_in_is_read() {
        let fixed = r#""passenger_id":"P","pool":"route:1","direction":null,"position":{"lat":1.0,"lon":2.0},"destination":null,"priority":0,"max_walking_distance_m":null,"spawned_at":"2026-01-01T00:00:00.000Z","expires_at":null"#;
        let head = "a|route:1||V1|1767225600000001|2026-01-01T00:00:01.000Z|2026-01-01T00:00:02.000Z|7|3";
        let read = read(&format!("{head}\n{fixed}\n\nr|1\nsomebody\nelse")).unwrap();
        assert_eq!((read.state, read.fence), (PassengerState::Alighted, Some(1_767_225_600_000_001)));
        assert_eq!(read.vehicle_id.unwrap().as_str(), "V1");
        assert_eq!(read.boarded_at, Some(Timestamp(1_767_225_601_000)));
        assert_eq!(read.alighted_at, Some(Timestamp(1_767_225_602_000)));
    }

    #[test]
    fn every_state_has_a_letter_of_its_own() {
        for state in PassengerState::ALL {
            assert_eq!(state_of(letter(state)), Some(state));
        }
        assert_eq!(state_of(""), None);
    }

    #[test]
    fn two_subjects_with_the_same_words_are_two() {
        let id = |text| Some(RequestId::try_new(text).unwrap());
        assert_ne!(asked_by("b", id("a").as_ref()), asked_by("", id("a b").as_ref()));
        assert_ne!(asked_by("a\nb", id("r").as_ref()), asked_by("b", id("r").as_ref()));
        assert_eq!(asked_by("somebody", None), "");
    }
}
