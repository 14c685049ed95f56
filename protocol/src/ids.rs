//! Names of connections, sessions and nodes: short checked strings that clone for the price of a counter.
//!
//! All three may stand as the id of a topic, so their characters are those of topic ids.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::topic::is_topic_id;

/// A string that can't be the id it was offered as.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
#[error("a {what} is 1 to {chars_max} characters of A-Z a-z 0-9 . _ ~ @ + -")]
pub struct InvalidId {
    /// What it was to be, for the message.
    pub what: &'static str,
    /// Most characters that such an id may have.
    pub chars_max: usize,
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $chars_max:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` and keeps a copy of it.
            ///
            /// # Errors
            /// [`InvalidId`] when it is empty, too long, or holds another character.
            pub fn try_new(text: &str) -> Result<Self, InvalidId> {
                if text.len() <= $chars_max && is_topic_id(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidId { what: $what, chars_max: $chars_max })
                }
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct IdVisitor;

                impl serde::de::Visitor<'_> for IdVisitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("a ", $what, " as a string"))
                    }

                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                        $name::try_new(text).map_err(E::custom)
                    }
                }

                deserializer.deserialize_str(IdVisitor)
            }
        }
    };
}

id_type!(
    /// One WebSocket on one node, for as long as it lives: `<node id>-<number>`. Never used twice.
    ConnectionId, "connection id", 64
);
id_type!(
    /// A client's logical presence; outlives its sockets.
    SessionId, "session id", 128
);
id_type!(
    /// One running gateway process. Holds no `-`, so that a connection id tells its node.
    NodeId, "node id", 32
);

id_type!(
    /// Somebody who waits to be picked up. As an agent it is `passenger:` and this.
    PassengerId, "passenger id", 128
);
id_type!(
    /// What picks passengers up. As an agent it is `vehicle:` and this.
    VehicleId, "vehicle id", 128
);
id_type!(
    /// An order that one driver accepts. Its topic is `order:` and this.
    OrderId, "order id", 128
);

impl ConnectionId {
    /// The id of connection `number` of `node`; the number is written in base 36.
    pub fn of_node(node: &NodeId, number: u64) -> Self {
        let mut digits = [0_u8; 13];
        let mut start = digits.len();
        let mut rest = number;
        loop {
            start -= 1;
            digits[start] = b"0123456789abcdefghijklmnopqrstuvwxyz"[(rest % 36) as usize];
            rest /= 36;
            if rest == 0 {
                break;
            }
        }
        let digits = std::str::from_utf8(&digits[start..]).expect("base 36 digits are ASCII");
        Self([node.as_str(), "-", digits].concat().into())
    }

    /// The node that holds this connection, if the id has the form that nodes give.
    pub fn node_id(&self) -> Option<NodeId> {
        let (node, number) = self.0.rsplit_once('-')?;
        (!number.is_empty()).then(|| NodeId::try_new(node).ok())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_id_tells_its_node() {
        let node = NodeId::try_new("k3x9q2").unwrap();
        for (number, text) in
            [(0, "k3x9q2-0"), (35, "k3x9q2-z"), (36, "k3x9q2-10"), (u64::MAX, "k3x9q2-3w5e11264sgsf")]
        {
            let id = ConnectionId::of_node(&node, number);
            assert_eq!(id.as_str(), text);
            assert_eq!(id.node_id(), Some(node.clone()));
        }
        assert_eq!(ConnectionId::try_new("nodash").unwrap().node_id(), None);
        assert_eq!(ConnectionId::try_new("dash-").unwrap().node_id(), None);
    }

    #[test]
    fn ids_refuse_what_topics_could_not_carry() {
        for bad in ["", "a b", "a:b", "a\u{7}", "ü", &"x".repeat(129)] {
            assert!(SessionId::try_new(bad).is_err(), "{bad:?}");
        }
        assert!(SessionId::try_new(&"x".repeat(128)).is_ok());
    }
}
