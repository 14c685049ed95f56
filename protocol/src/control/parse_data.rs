//! Reading the `data` of a command, with errors that name the field.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

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
    let text = if text == "null" { "{}" } else { text };
    if !text.starts_with('{') {
        // Serde would take a list for the fields of a struct in their order.
        return Err(Fault::new(ErrorCode::InvalidData, "data has to be an object").in_field("data"));
    }
    serde_json::from_str(text).map_err(|error| explain(text, &error))
}

fn explain(text: &str, error: &serde_json::Error) -> Fault {
    let message = json::without_position(error);
    let code = if message.starts_with(&InvalidTopic.to_string()) {
        ErrorCode::InvalidTarget
    } else {
        ErrorCode::InvalidData
    };
    if let Some(field) = missing_field(&message) {
        return Fault::new(code, format!("data lacks the field `{field}`")).in_field(field);
    }
    match field_at(text, error) {
        Some(field) => Fault::new(code, format!("data.{field}: {message}")).in_field(&field),
        None => Fault::new(code, format!("data: {message}")).in_field("data"),
    }
}

/// The field that serde says is missing.
fn missing_field(message: &str) -> Option<&str> {
    message.strip_prefix("missing field `")?.strip_suffix('`')
}

/// The field of the object `text` in which reading failed. Serde tells only the place.
fn field_at(text: &str, error: &serde_json::Error) -> Option<String> {
    let failed_at = offset_of(text, error.line(), error.column())?;
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
    let holds_it = |value: &RawValue| {
        let start = value.get().as_ptr() as usize - text.as_ptr() as usize;
        (start..=start + value.get().len()).contains(&failed_at)
    };
    let (mut field, _) = fields.into_iter().find(|(_, value)| holds_it(value))?;
    json::shorten(&mut field);
    Some(field)
}

/// Bytes from the start of `text` to a place that serde gives as line and column, both counted from 1.
fn offset_of(text: &str, line: usize, column: usize) -> Option<usize> {
    let start_of_line = match line.checked_sub(2) {
        None => 0,
        Some(line) => text.match_indices('\n').nth(line)?.0 + 1,
    };
    Some(start_of_line + column)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{PresenceRequest, TopicsRequest};

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
