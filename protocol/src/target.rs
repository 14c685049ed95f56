//! Where a message goes.

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use crate::error::{ErrorCode, Fault};
use crate::limits::TARGETS_MAX;
use crate::topic::Topic;

/// The topics that a message names. Nearly always one, which then needs no allocation of its own.
pub type Topics = SmallVec<[Topic; 1]>;

/// Where a message goes; on the wire `null`, a topic, or a list of topics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Target {
    /// The message names no topic: the connection's namespace, or the type's only one.
    #[default]
    Default,
    /// These topics: at least one, at most [`TARGETS_MAX`], none twice.
    Topics(Topics),
}

impl Target {
    /// Whether no topic is named.
    pub fn is_default(&self) -> bool {
        *self == Self::Default
    }

    /// The named topics; empty for [`Target::Default`].
    pub fn topics(&self) -> &[Topic] {
        match self {
            Self::Default => &[],
            Self::Topics(topics) => topics,
        }
    }

    /// Reads the raw value of an envelope's `target`. `null` is [`Target::Default`].
    pub(crate) fn parse(raw: &RawValue) -> Result<Self, Fault> {
        let text = raw.get();
        let read = match text.as_bytes() {
            // A topic holds nothing that JSON would have to escape.
            [b'"', .., b'"'] if !text.contains('\\') => Topic::try_new(&text[1..text.len() - 1])
                .map(Self::from)
                .map_err(|invalid| format!("the target is not a topic: {invalid}")),
            _ => serde_json::from_str(text).map_err(|error| crate::json::without_position(&error)),
        };
        read.map_err(|message| Fault::new(ErrorCode::InvalidTarget, message).in_field("target"))
    }
}

impl From<Topic> for Target {
    fn from(topic: Topic) -> Self {
        Self::Topics(SmallVec::from_buf([topic]))
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.topics() {
            [] => serializer.serialize_none(),
            [topic] => topic.serialize(serializer),
            topics => serializer.collect_seq(topics),
        }
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TargetVisitor)
    }
}

struct TargetVisitor;

impl<'de> Visitor<'de> for TargetVisitor {
    type Value = Target;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a topic, a list of 1 to {TARGETS_MAX} topics, or null")
    }

    fn visit_unit<E>(self) -> Result<Target, E> {
        Ok(Target::Default)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Target, E> {
        Topic::try_new(text)
            .map(Target::from)
            .map_err(|invalid| E::custom(format_args!("the target is not a topic: {invalid}")))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Target, A::Error> {
        let mut topics = Topics::new();
        let mut listed = 0;
        while let Some(topic) = list.next_element::<Topic>()? {
            listed += 1;
            if listed > TARGETS_MAX {
                return Err(A::Error::custom(format_args!(
                    "a message names at most {TARGETS_MAX} topics: send it several times, or to a group"
                )));
            }
            if !topics.contains(&topic) {
                topics.push(topic);
            }
        }
        if topics.is_empty() {
            return Err(A::Error::custom(
                "the list of topics is empty: name a topic, or leave the target out",
            ));
        }
        Ok(Target::Topics(topics))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Target, Fault> {
        Target::parse(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_target_is_nothing_a_topic_or_a_list() {
        for (json, topics) in [
            ("null", vec![]),
            (r#""route:12""#, vec!["route:12"]),
            (r#""route\u003a12""#, vec!["route:12"]),
            (r#"["route:12"]"#, vec!["route:12"]),
            (r#"["route:12", "depot:4", "route:12"]"#, vec!["route:12", "depot:4"]),
        ] {
            let target = parse(json).unwrap();
            assert_eq!(target.topics().iter().map(Topic::as_str).collect::<Vec<_>>(), topics, "{json}");
        }
    }

    #[test]
    fn anything_else_is_an_invalid_target_that_says_what_to_do() {
        let many = |count: usize| serde_json::to_string(&vec!["route:1"; count]).unwrap();
        assert!(parse(&many(TARGETS_MAX)).is_ok());
        for (json, says) in [
            ("5", "expected a topic"),
            ("true", "expected a topic"),
            ("{}", "expected a topic"),
            ("1e999", "number out of range"),
            (r#""route""#, "a topic is kind:id"),
            (r#""route:\u0000""#, "a topic is kind:id"),
            (r#""""#, "a topic is kind:id"),
            (r#""\ud800""#, "hex escape"),
            ("[]", "empty"),
            (r#"["route:1", "x"]"#, "a topic is kind:id"),
            (r#"["route:1", 5]"#, "expected a topic as a string"),
            (r#"[["route:1"]]"#, "expected a topic as a string"),
            (&many(TARGETS_MAX + 1), "at most 64 topics"),
        ] {
            let fault = parse(json).unwrap_err();
            assert_eq!(fault.code, ErrorCode::InvalidTarget, "{json}");
            assert!(fault.message.contains(says), "{json}: {fault}");
            assert!(!fault.message.contains("line 1"), "{json}: {fault}");
        }
    }

    #[test]
    fn a_target_is_written_in_its_shortest_form() {
        for json in ["null", r#""route:12""#, r#"["route:12","depot:4"]"#] {
            assert_eq!(serde_json::to_string(&parse(json).unwrap()).unwrap(), json);
        }
    }
}
