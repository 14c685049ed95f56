//! What the refusals of registry and reservoir mean to an HTTP client, in one place.

use serde_json::{Value, json};
use signalbox_protocol::control::BoardingDenial;
use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_protocol::{PassengerId, VehicleId};
use signalbox_reservoir::error::{Denied, Error, Missing};
use signalbox_reservoir::store::StoreError;

use super::input::Name;
use super::problem::Problem;

impl From<signalbox_registry::Error> for Problem {
    fn from(error: signalbox_registry::Error) -> Self {
        use signalbox_registry::Error;
        let code = match error {
            Error::Unavailable(_) | Error::BusFull { .. } => ErrorCode::Unavailable,
            Error::OutcomeUnknown(_) => return unknown(&error.to_string()),
            Error::SessionTaken => ErrorCode::Forbidden,
            Error::Unreadable { .. } | Error::Refused(_) | Error::Url(_) => ErrorCode::Internal,
        };
        Self::of(code, error.to_string())
    }
}

/// It may have been done: what to do about it.
pub(super) fn unknown(why: &str) -> Problem {
    let advice =
        "it may or may not have been done: send the same again, with the same request_id if it had one";
    Problem::of(ErrorCode::OutcomeUnknown, format!("{why}; {advice}"))
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Invalid(fault) => fault.into(),
            Error::InvalidElement { index, fault } => at_index(fault, index),
            Error::NotFound(missing) => not_found(missing),
            Error::Exists(id) => conflict(
                format!("the passenger {id} exists"),
                json!({"reason": "exists", "passenger_id": id}),
            ),
            Error::Denied(denied) => refused(&denied),
            Error::State(state) => conflict(
                format!("a passenger who is {} can't be cancelled", state.as_str()),
                json!({"reason": "state", "state": state}),
            ),
            Error::CapacityBelowOnBoard { on_board } => conflict(
                format!("{on_board} passengers are on board"),
                json!({"reason": "capacity", "on_board": on_board}),
            ),
            Error::Registry(error) => error.into(),
            Error::Store(error) => of_store(&error),
        }
    }
}

fn of_store(error: &StoreError) -> Problem {
    let details = match error {
        StoreError::Answered { field: Some(field), .. } => Some(json!({ "field": field })),
        _ => None,
    };
    Problem::of(error.code(), error.to_string()).with_details(details)
}

/// A fault of one element of a list: beside the field, its place.
pub(super) fn at_index(fault: Fault, index: usize) -> Problem {
    let mut details = fault.details.unwrap_or_else(|| json!({}));
    details["index"] = index.into();
    Problem::of(fault.code, format!("element {index}: {}", fault.message)).with_details(Some(details))
}

fn not_found(missing: Missing) -> Problem {
    let text = match missing {
        Missing::Passenger => PassengerId::MISSING,
        Missing::Vehicle => VehicleId::MISSING,
    };
    Problem::of(ErrorCode::NotFound, text)
}

/// The state rules it out.
pub(super) fn conflict(text: impl Into<std::borrow::Cow<'static, str>>, details: Value) -> Problem {
    Problem::of(ErrorCode::Conflict, text).with_details(Some(details))
}

fn refused(denied: &Denied) -> Problem {
    let text = match denied.reason {
        BoardingDenial::NotFound => return not_found(Missing::Passenger),
        BoardingDenial::State => "the passenger's state does not allow it",
        BoardingDenial::Boarded => "another boarding has the passenger",
        BoardingDenial::Full => "the vehicle has no free seat",
        BoardingDenial::StaleFence => "the fence is not, or no longer, the one that counts",
    };
    conflict(text, json!({"reason": denied.reason, "state": denied.state, "boarded_by": denied.boarded_by}))
}

#[cfg(test)]
mod tests {
    use signalbox_protocol::fleet::PassengerState;

    use super::*;

    #[test]
    fn every_refusal_has_its_status_and_facts() {
        let fault = || Fault::new(ErrorCode::InvalidData, "no").in_field("position");
        let denied = |reason| {
            let boarded_by = Some(VehicleId::try_new("V1").unwrap());
            Error::Denied(Denied { reason, state: Some(PassengerState::Boarded), boarded_by })
        };
        let id = PassengerId::try_new("P").unwrap();
        let facts = |reason| json!({"reason": reason, "state": "boarded", "boarded_by": "V1"});
        for (error, status, details) in [
            (Error::Invalid(fault()), 422, json!({"field": "position"})),
            (
                Error::InvalidElement { index: 2, fault: fault() },
                422,
                json!({"field": "position", "index": 2}),
            ),
            (Error::NotFound(Missing::Passenger), 404, Value::Null),
            (Error::NotFound(Missing::Vehicle), 404, Value::Null),
            (Error::Exists(id), 409, json!({"reason": "exists", "passenger_id": "P"})),
            (denied(BoardingDenial::State), 409, facts("state")),
            (denied(BoardingDenial::Boarded), 409, facts("boarded")),
            (denied(BoardingDenial::Full), 409, facts("full")),
            (denied(BoardingDenial::StaleFence), 409, facts("stale_fence")),
            (denied(BoardingDenial::NotFound), 404, Value::Null),
            (Error::State(PassengerState::Boarded), 409, json!({"reason": "state", "state": "boarded"})),
            (Error::CapacityBelowOnBoard { on_board: 3 }, 409, json!({"reason": "capacity", "on_board": 3})),
            (signalbox_registry::Error::Unavailable(None).into(), 503, Value::Null),
            (signalbox_registry::Error::OutcomeUnknown(None).into(), 504, Value::Null),
        ] {
            let told = error.to_string();
            let problem = serde_json::to_value(Problem::from(error)).unwrap();
            assert_eq!((&problem["status"], &problem["details"]), (&json!(status), &details), "{told}");
        }
    }

    #[test]
    fn an_unknown_outcome_says_what_to_do() {
        let problem = Problem::from(signalbox_registry::Error::OutcomeUnknown(None));
        let problem = serde_json::to_value(problem).unwrap();
        assert!(problem["detail"].as_str().unwrap().contains("same request_id"), "{problem}");
        assert_eq!(problem["retryable"], true);
    }
}
