//! What a lock is on: a name that its users agree on, e.g. `order:99` or `bay-4`.

use std::fmt;
use std::sync::Arc;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::topic::Topic;

/// Most characters of a resource's name.
pub const RESOURCE_CHARS_MAX: usize = 200;

/// The name of something that can be locked: 1 to 200 characters of `A-Z a-z 0-9 . _ ~ @ + : -`, so that
/// every topic is one. Cloning costs a counter.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource(Arc<str>);

/// A string that can't be a resource.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("a resource is 1 to 200 characters of A-Z a-z 0-9 . _ ~ @ + : -")]
pub struct InvalidResource;

impl Resource {
    /// Checks `text` and keeps a copy of it.
    ///
    /// # Errors
    /// [`InvalidResource`] when it is empty, longer than 200, or holds another character.
    pub fn try_new(text: &str) -> Result<Self, InvalidResource> {
        let allowed = |byte: u8| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'~' | b'@' | b'+' | b':' | b'-')
        };
        if (1..=RESOURCE_CHARS_MAX).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidResource)
        }
    }

    /// The resource's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a topic stands for can be locked under the topic's name.
impl From<&Topic> for Resource {
    fn from(topic: &Topic) -> Self {
        Self(topic.as_str().into())
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Resource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Resource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(ResourceVisitor)
    }
}

struct ResourceVisitor;

impl Visitor<'_> for ResourceVisitor {
    type Value = Resource;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a resource as a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Resource, E> {
        Resource::try_new(text).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topic::{ID_CHARS_MAX, KIND_CHARS_MAX};

    #[test]
    fn only_plain_names_are_resources() {
        for good in ["bay-4", "order:99", "a:b:c", "A.b_c~d@e+f-9", &"x".repeat(200)] {
            assert_eq!(Resource::try_new(good).unwrap().as_str(), good);
        }
        for bad in ["", "a b", "a}b", "{a", "a|b", "a/b", "é", "a\u{0}", "a\n", &"x".repeat(201)] {
            assert_eq!(Resource::try_new(bad), Err(InvalidResource), "{bad:?}");
        }
    }

    #[test]
    fn every_topic_is_a_resource() {
        let longest = format!("{}:{}", "k".repeat(KIND_CHARS_MAX), "i".repeat(ID_CHARS_MAX));
        for topic in ["order:99", "vehicle:V~1@2+3.x", &longest] {
            let topic = Topic::try_new(topic).unwrap();
            assert_eq!(Resource::try_new(topic.as_str()), Ok(Resource::from(&topic)));
        }
    }

    #[test]
    fn a_resource_is_a_string_in_json() {
        let resource: Resource = serde_json::from_str(r#""order:99""#).unwrap();
        assert_eq!(serde_json::to_string(&resource).unwrap(), r#""order:99""#);
        assert!(serde_json::from_str::<Resource>(r#""a{b}""#).is_err());
    }
}
