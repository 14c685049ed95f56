//! One typed line to one envelope: JSON as it is, or the short form `TYPE [JSON [TARGET]]`.

use serde::Serialize;
use serde_json::value::RawValue;
use signalbox_protocol::Topic;
use thiserror::Error;

/// An envelope as a client writes it; the node adds the rest.
#[derive(Debug, Serialize)]
pub(super) struct Outgoing<'a> {
    #[serde(rename = "type")]
    pub(super) message_type: &'a str,
    pub(super) data: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<Target>,
}

/// One topic or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum Target {
    One(Topic),
    Several(Vec<Topic>),
}

/// A line that can't be sent.
#[derive(Debug, Error)]
pub(super) enum BadLine {
    #[error("not a JSON object: {0}")]
    Object(serde_json::Error),
    #[error("after the type comes JSON, then perhaps a target, as in: a:b {{\"ok\":true}} route:12 ({0})")]
    Data(serde_json::Error),
    #[error("{0:?} is no target: a topic such as route:12, or several with commas between")]
    Target(String),
}

/// The envelope that `line` stands for, as JSON; `None` for an empty line.
pub(super) fn envelope(line: &str) -> Result<Option<String>, BadLine> {
    let line = line.trim();
    if line.is_empty() {
        return Ok(None);
    }
    if line.starts_with('{') {
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(line).map_err(BadLine::Object)?;
        drop(object);
        return Ok(Some(line.to_owned()));
    }
    let (message_type, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let (data, target) = data_and_target(rest.trim_start())?;
    let envelope = Outgoing { message_type, data, target };
    Ok(Some(serde_json::to_string(&envelope).expect("text, JSON and topics are JSON")))
}

fn data_and_target(text: &str) -> Result<(&RawValue, Option<Target>), BadLine> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let data = match values.next() {
        None => empty_object(),
        Some(data) => data.map_err(BadLine::Data)?,
    };
    let rest = text[values.byte_offset()..].trim();
    Ok((data, (!rest.is_empty()).then(|| target(rest)).transpose()?))
}

/// `route:12`, or `route:12,depot:4`.
pub(super) fn target(text: &str) -> Result<Target, BadLine> {
    let topic = |text: &str| Topic::try_new(text.trim()).map_err(|_| BadLine::Target(text.to_owned()));
    if text.contains(',') {
        Ok(Target::Several(text.split(',').map(topic).collect::<Result<_, _>>()?))
    } else {
        topic(text).map(Target::One)
    }
}

/// `{}`, the data of a message that has none.
pub(super) fn empty_object() -> &'static RawValue {
    serde_json::from_str("{}").expect("an empty object is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_envelopes() {
        for (line, expected) in [
            ("", None),
            ("  \t", None),
            (r#" {"type":"a:b","data": 1} "#, Some(r#"{"type":"a:b","data": 1}"#)),
            ("system:health_check", Some(r#"{"type":"system:health_check","data":{}}"#)),
            (r#"a:b {"x": 1.0}"#, Some(r#"{"type":"a:b","data":{"x": 1.0}}"#)),
            (r#"a:b {"x":"} y"} route:12"#, Some(r#"{"type":"a:b","data":{"x":"} y"},"target":"route:12"}"#)),
            (
                "a:b [1, 2] route:12,depot:4",
                Some(r#"{"type":"a:b","data":[1, 2],"target":["route:12","depot:4"]}"#),
            ),
            ("a:b \"text\"  route:12", Some(r#"{"type":"a:b","data":"text","target":"route:12"}"#)),
            ("a:b null route:12", Some(r#"{"type":"a:b","data":null,"target":"route:12"}"#)),
            ("a:b 12 route:12", Some(r#"{"type":"a:b","data":12,"target":"route:12"}"#)),
            (r#"a"b {}"#, Some(r#"{"type":"a\"b","data":{}}"#)),
        ] {
            assert_eq!(envelope(line).unwrap().as_deref(), expected, "{line:?}");
        }
    }

    #[test]
    fn lines_that_cannot_be_sent_say_why() {
        for (line, reason) in [
            (r#"{"type":"#, "not a JSON object"),
            (r#"{"type":"a:b"} x"#, "not a JSON object"),
            ("a:b route:12", "after the type comes JSON"),
            ("a:b {x}", "after the type comes JSON"),
            ("a:b {} route", "no target"),
            ("a:b {} route:12,", "no target"),
            ("a:b {} route:12 depot:4", "no target"),
        ] {
            let refused = envelope(line).expect_err(line).to_string();
            assert!(refused.contains(reason), "{line}: {refused}");
        }
    }
}
