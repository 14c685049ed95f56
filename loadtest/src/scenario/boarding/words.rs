//! The questions about passengers as frames, and what their answers say.

use serde::Deserialize;
use signalbox_client::protocol::ErrorCode;
use signalbox_client::protocol::control::BoardingDenial;

use super::names::Names;
use crate::asking::answer;

/// What a node says to a question about a passenger. Vehicles are numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply {
    Confirmed {
        vehicle: u32,
        fence: u64,
    },
    Alighted,
    Denied {
        reason: BoardingDenial,
        /// Who boarded instead, if the answer names one of this run.
        boarded_by: Option<u32>,
    },
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, default)]
    vehicle_id: Option<&'a str>,
    #[serde(default)]
    fence: u64,
    #[serde(default)]
    reason: Option<BoardingDenial>,
    #[serde(borrow, default)]
    boarded_by: Option<&'a str>,
    #[serde(default)]
    code: Option<ErrorCode>,
}

impl Reply {
    /// What `text` says to the question `id`; `None` if it is no answer to that.
    pub(super) fn read(text: &str, id: &str, names: &Names) -> Option<Result<Self, ErrorCode>> {
        let (message_type, data) = answer::<Data<'_>>(text, id)?;
        match message_type {
            "boarding:confirmed" => {
                let vehicle = names.vehicle_number(data.vehicle_id?)?;
                Some(Ok(Self::Confirmed { vehicle, fence: data.fence }))
            }
            "boarding:alighted" => Some(Ok(Self::Alighted)),
            "boarding:denied" => {
                let boarded_by = data.boarded_by.and_then(|id| names.vehicle_number(id));
                Some(Ok(Self::Denied { reason: data.reason?, boarded_by }))
            }
            "system:error" => data.code.map(Err),
            _ => None,
        }
    }
}

/// `boarding:request`, for the vehicle that sends it.
pub(super) fn board(id: &str, passenger_id: &str, request: u64) -> String {
    format!(
        r#"{{"id":"{id}","type":"boarding:request","data":{{"passenger_id":"{passenger_id}","request_id":"{request}"}}}}"#
    )
}

/// `boarding:alight`.
pub(super) fn alight(id: &str, passenger_id: &str, fence: u64) -> String {
    format!(
        r#"{{"id":"{id}","type":"boarding:alight","data":{{"passenger_id":"{passenger_id}","fence":{fence}}}}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use signalbox_client::protocol::control::{BoardingAlight, BoardingRequest};
    use signalbox_client::protocol::envelope::Incoming;

    #[test]
    fn questions_are_commands_of_the_protocol() {
        let (board, alight) = (board("5", "P-1", 12), alight("6", "P-1", 99));
        let read = Incoming::parse(&board).expect("it is an envelope");
        assert_eq!((read.message_type.as_ref(), read.answer_to()), ("boarding:request", Some("5")));
        let request: BoardingRequest = serde_json::from_str(read.data.expect("it has data").get()).unwrap();
        assert_eq!(request.passenger_id.as_str(), "P-1");
        assert_eq!((request.request_id.expect("it has one").as_str(), request.vehicle_id), ("12", None));
        let read = Incoming::parse(&alight).expect("it is an envelope");
        assert_eq!((read.message_type.as_ref(), read.answer_to()), ("boarding:alight", Some("6")));
        let request: BoardingAlight = serde_json::from_str(read.data.expect("it has data").get()).unwrap();
        assert_eq!((request.passenger_id.as_str(), request.fence), ("P-1", 99));
    }

    #[test]
    fn answers_are_read_with_numbers_for_names() {
        let names = Names::new("run");
        let denied = |boarded_by| Reply::Denied { reason: BoardingDenial::Boarded, boarded_by };
        for (message_type, data, expected) in [
            (
                "boarding:confirmed",
                r#"{"passenger_id":"run-p1","vehicle_id":"run-v3","fence":7,"seats_left":0}"#,
                Some(Ok(Reply::Confirmed { vehicle: 3, fence: 7 })),
            ),
            (
                "boarding:denied",
                r#"{"passenger_id":"run-p1","reason":"boarded","boarded_by":"run-v3"}"#,
                Some(Ok(denied(Some(3)))),
            ),
            (
                "boarding:denied",
                r#"{"passenger_id":"run-p1","reason":"boarded","boarded_by":null}"#,
                Some(Ok(denied(None))),
            ),
            (
                "boarding:alighted",
                r#"{"passenger_id":"run-p1","vehicle_id":"run-v3"}"#,
                Some(Ok(Reply::Alighted)),
            ),
            ("system:error", r#"{"code":"unavailable"}"#, Some(Err(ErrorCode::Unavailable))),
            ("commuter:picked_up", r#"{"passenger_id":"run-p1"}"#, None),
        ] {
            let frame = format!(r#"{{"type":"{message_type}","data":{data},"correlationId":"5"}}"#);
            assert_eq!(Reply::read(&frame, "5", &names), expected, "{data}");
            assert_eq!(Reply::read(&frame, "6", &names), None, "{data}");
        }
    }
}
