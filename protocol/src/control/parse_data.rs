//! Reading the `data` of a command, or a body, with errors that name the field.

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_path_to_error::Segment;

use crate::error::{ErrorCode, Fault};
use crate::json;
use crate::topic::InvalidTopic;

/// Reads the `data` of a command. Absent data and `null` count as `{}`; unknown fields are ignored.
///
/// # Errors
/// [`ErrorCode::InvalidData`] naming the field that is missing or of the wrong type, or
/// [`ErrorCode::InvalidTarget`] when a topic in it is not one; `details` is `{"field": name}`.
pub fn parse_data<T: DeserializeOwned>(data: Option<&RawValue>) -> Result<T, Fault> {
    let text = data.map_or("{}", RawValue::get);
    parse_object("data", if text == "null" { "{}" } else { text })
}

/// Reads an object of a request's body, as [`parse_data`] does; `null` is none.
///
/// # Errors
/// As of [`parse_data`].
pub fn parse_body<T: DeserializeOwned>(body: &RawValue) -> Result<T, Fault> {
    parse_object("body", body.get())
}

fn parse_object<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, Fault> {
    if !text.starts_with('{') {
        // Serde would take a list for the fields of a struct in their order.
        return Err(Fault::new(ErrorCode::InvalidData, format!("{what} has to be an object")).in_field(what));
    }
    serde_json::from_str(text).map_err(|error| explain::<T>(what, text, &error))
}

fn explain<T: DeserializeOwned>(what: &str, text: &str, error: &serde_json::Error) -> Fault {
    let message = json::without_position(error);
    let code = if message.starts_with(&InvalidTopic.to_string()) {
        ErrorCode::InvalidTarget
    } else {
        ErrorCode::InvalidData
    };
    let within = failed_in::<T>(text);
    match (missing_field(&message), within) {
        (Some(field), None) => Fault::new(code, format!("{what} lacks the field `{field}`")).in_field(field),
        (Some(field), Some(within)) => {
            let text = format!("{what}.{within} lacks the field `{field}`");
            Fault::new(code, text).in_field(&format!("{within}.{field}"))
        }
        (None, Some(field)) => Fault::new(code, format!("{what}.{field}: {message}")).in_field(&field),
        (None, None) => Fault::new(code, format!("{what}: {message}")).in_field(what),
    }
}

/// The field that serde says is missing.
fn missing_field(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

/// The field of the object `text` in which reading a `T` fails, as `outer.inner`; of a list, the list. Serde does
/// not tell, so it is read once more.
fn failed_in<T: DeserializeOwned>(text: &str) -> Option<String> {
    let mut json = serde_json::Deserializer::from_str(text);
    let failed = serde_path_to_error::deserialize::<_, T>(&mut json).err()?;
    let names = failed.path().iter().map_while(|segment| match segment {
        Segment::Map { key } => Some(json::word(key)),
        Segment::Seq { .. } | Segment::Enum { .. } | Segment::Unknown => None,
    });
    let mut field = names.collect::<Vec<_>>().join(".");
    json::shorten(&mut field);
    (!field.is_empty()).then_some(field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{PresenceRequest, TopicsRequest};
    use crate::fleet::NewPassenger;

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn well_formed_data_is_read_and_what_is_unknown_ignored() {
        let request: PresenceRequest =
            parse_data(Some(raw(r#"{"topic": "pillar:content", "limit": null, "x": [1]}"#))).unwrap();
        assert_eq!((request.topic.as_str(), request.limit, request.cursor), ("pillar:content", None, None));
    }

    #[test]
    fn a_fault_names_the_field() {
        use ErrorCode::{InvalidData, InvalidTarget};
        for (json, code, field, says) in [
            ("{}", InvalidData, "topic", "lacks the field `topic`"),
            ("null", InvalidData, "topic", "lacks the field `topic`"),
            (r#"["route:1"]"#, InvalidData, "data", "has to be an object"),
            ("5", InvalidData, "data", "has to be an object"),
            (r#"{"topic": 5}"#, InvalidData, "topic", "data.topic: invalid type: integer `5`"),
            (r#"{"topic": "nowhere"}"#, InvalidTarget, "topic", "data.topic: a topic is kind:id"),
            (r#"{"topic": "route:1", "limit": -1}"#, InvalidData, "limit", "data.limit: invalid value"),
            (r#"{"cursor": "x", "limit": -1, "topic": "route:1"}"#, InvalidData, "limit", "data.limit"),
            (r#"{"limit": "9", "topic": "route:1"}"#, InvalidData, "limit", "data.limit: invalid type"),
            ("{\n \"topic\": \"route:1\",\n \"cursor\":\n {}\n}", InvalidData, "cursor", "data.cursor"),
            (r#"{"topic": "route:1", "topic": "route:2"}"#, InvalidData, "data", "duplicate field"),
        ] {
            let fault = parse_data::<PresenceRequest>(Some(raw(json))).unwrap_err();
            assert_eq!(fault.code, code, "{json}: {fault}");
            assert!(fault.message.contains(says), "{json}: {fault}");
            assert_eq!(fault.details, Some(serde_json::json!({ "field": field })), "{json}: {fault}");
        }
        assert_eq!(parse_data::<TopicsRequest>(None).unwrap_err().details.unwrap()["field"], "topics");
    }

    #[test]
    fn a_value_that_is_checked_after_it_was_read_names_its_field_too() {
        let (id, pool) = (r#""passenger_id": "P""#, r#""pool": "route:1""#);
        for (json, field) in [
            (format!(r#"{{{id}, {pool}, "position": {{"lat": 91, "lon": 0}}}}"#), "position"),
            (format!(r#"{{{id}, {pool}, "position": {{"lat": 1}}}}"#), "position.lon"),
            (format!(r#"{{{id}, {pool}, "position": {{"lat": 1, "lon": "x"}}}}"#), "position.lon"),
            (format!(r#"{{{id}, "pool": "tram:1", "position": {{"lat": 1, "lon": 1}}}}"#), "pool"),
            (format!(r#"{{"passenger_id": "a b", {pool}}}"#), "passenger_id"),
            (format!(r#"{{{id}, {pool}, "expires_at": "soon"}}"#), "expires_at"),
        ] {
            let fault = parse_body::<NewPassenger>(raw(&json)).unwrap_err();
            assert_eq!(fault.details, Some(serde_json::json!({ "field": field })), "{json}: {fault}");
            assert!(fault.message.starts_with("body"), "{fault}");
        }
    }

    #[test]
    fn a_bad_topic_in_a_list_is_an_invalid_target() {
        let fault = parse_data::<TopicsRequest>(Some(raw(r#"{"topics": ["route:1", "a b"]}"#))).unwrap_err();
        assert_eq!(fault.code, ErrorCode::InvalidTarget);
        assert!(fault.message.starts_with("data.topics: a topic is kind:id"), "{fault}");
        let fault = parse_data::<TopicsRequest>(Some(raw(r#"{"topics": "route:1"}"#))).unwrap_err();
        assert_eq!(fault.code, ErrorCode::InvalidData);
        let fault = parse_data::<TopicsRequest>(Some(raw(r#"{"topics": [1]}"#))).unwrap_err();
        assert_eq!(fault.code, ErrorCode::InvalidData);
    }
}
