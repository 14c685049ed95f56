//! What tells a retry from a new request.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::limits::MESSAGE_ID_CHARS_MAX;

/// Text that can't be a request id.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("a request_id is 1 to 128 characters without control characters")]
pub struct InvalidRequestId;

/// The id of a request, chosen by whoever asks: the same id again is a retry. Scoped to tenant and subject.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Box<str>);

impl RequestId {
    /// Checks `text` and keeps a copy of it.
    ///
    /// # Errors
    /// [`InvalidRequestId`].
    pub fn try_new(text: &str) -> Result<Self, InvalidRequestId> {
        let fits = (1..=MESSAGE_ID_CHARS_MAX).contains(&text.chars().count());
        if fits && !text.chars().any(char::is_control) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidRequestId)
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for RequestId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RequestId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::try_new(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_short_text_without_control_characters() {
        for good in ["1", "a b", "0192-7c", &"ü".repeat(128)] {
            assert_eq!(RequestId::try_new(good).unwrap().as_str(), good);
        }
        for bad in ["", "a\nb", "\u{0}", &"x".repeat(129)] {
            assert_eq!(RequestId::try_new(bad), Err(InvalidRequestId), "{bad:?}");
        }
    }
}
