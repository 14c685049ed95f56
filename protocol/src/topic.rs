//! `kind:id`, the form of everything that a message can be addressed to.

use std::fmt;
use std::sync::Arc;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;
use thiserror::Error;

/// Most characters of a topic's kind.
pub const KIND_CHARS_MAX: usize = 32;
/// Most characters of a topic's id.
pub const ID_CHARS_MAX: usize = 128;

/// A checked `kind:id`, e.g. `route:12` or `vehicle:V17`. Cloning costs a counter.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Topic {
    text: Arc<str>,
    kind_chars: u8,
}

/// A string that can't be a topic.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error(
    "a topic is kind:id; the kind starts with a-z and goes on with up to 31 of a-z 0-9 _; \
     the id is 1 to 128 of A-Z a-z 0-9 . _ ~ @ + -"
)]
pub struct InvalidTopic;

impl Topic {
    /// Checks `text` and keeps a copy of it.
    ///
    /// # Errors
    /// [`InvalidTopic`] when it is not `kind:id` with the characters above.
    pub fn try_new(text: &str) -> Result<Self, InvalidTopic> {
        let (kind, id) = text.split_once(':').ok_or(InvalidTopic)?;
        if is_topic_kind(kind) && is_topic_id(id) {
            Ok(Self { text: text.into(), kind_chars: kind.len() as u8 })
        } else {
            Err(InvalidTopic)
        }
    }

    /// The topic of `kind` and `id`.
    ///
    /// # Errors
    /// [`InvalidTopic`] as for [`Topic::try_new`].
    pub fn of(kind: &str, id: &str) -> Result<Self, InvalidTopic> {
        if is_topic_kind(kind) && is_topic_id(id) {
            let mut text = SmallVec::<[u8; KIND_CHARS_MAX + 1 + ID_CHARS_MAX]>::new();
            [kind, ":", id].iter().for_each(|part| text.extend_from_slice(part.as_bytes()));
            let text = std::str::from_utf8(&text).expect("both are ASCII");
            Ok(Self { text: text.into(), kind_chars: kind.len() as u8 })
        } else {
            Err(InvalidTopic)
        }
    }

    /// What stands before the colon.
    pub fn kind(&self) -> &str {
        &self.text[..usize::from(self.kind_chars)]
    }

    /// What stands after the colon.
    pub fn id(&self) -> &str {
        &self.text[usize::from(self.kind_chars) + 1..]
    }

    /// The whole, `kind:id`.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Whether `text` may stand before the colon of a topic.
pub fn is_topic_kind(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= KIND_CHARS_MAX
        && bytes.next().is_some_and(|first| first.is_ascii_lowercase())
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Whether `text` may stand after the colon of a topic.
pub fn is_topic_id(text: &str) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'@' | b'+' | b'-');
    (1..=ID_CHARS_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Topic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Topic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TopicVisitor)
    }
}

struct TopicVisitor;

impl Visitor<'_> for TopicVisitor {
    type Value = Topic;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a topic as a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Topic, E> {
        Topic::try_new(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_splits_at_its_first_colon() {
        let topic = Topic::try_new("agent_type:driver").unwrap();
        assert_eq!((topic.kind(), topic.id(), topic.as_str()), ("agent_type", "driver", "agent_type:driver"));
        assert_eq!(Topic::of("route", "12").unwrap(), Topic::try_new("route:12").unwrap());
    }

    #[test]
    fn malformed_topics_are_refused() {
        let long_kind = format!("{}:x", "k".repeat(33));
        let long_id = format!("k:{}", "x".repeat(129));
        for bad in [
            "",
            ":",
            "route",
            "route:",
            ":12",
            "Route:1",
            "1r:1",
            "route:a b",
            "route:a:b",
            "route:\u{0}",
            "route:{x}",
            &long_kind,
            &long_id,
        ] {
            assert_eq!(Topic::try_new(bad), Err(InvalidTopic), "{bad:?}");
        }
    }
}
