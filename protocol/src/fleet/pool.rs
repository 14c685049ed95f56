//! Pools: the passengers of one route or one depot. A pool's name is the topic in which it announces its changes.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::topic::Topic;

/// Text that names no pool.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("a pool is route:ID or depot:ID, the id of 1 to 128 characters of A-Z a-z 0-9 . _ ~ @ + -")]
pub struct InvalidPool;

/// What kind of place a pool stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PoolKind {
    /// People along a route, in both directions.
    Route,
    /// People at a depot.
    Depot,
}

impl PoolKind {
    /// As in topics and paths.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Depot => "depot",
        }
    }

    /// The kind of that name.
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "route" => Some(Self::Route),
            "depot" => Some(Self::Depot),
            _ => None,
        }
    }

    /// The namespace that gets a copy of what pools of this kind announce.
    pub fn namespace(self) -> &'static str {
        match self {
            Self::Route => "route-reservoir",
            Self::Depot => "depot-reservoir",
        }
    }
}

/// One pool: `route:12`, `depot:4`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pool {
    topic: Topic,
}

impl Pool {
    /// The pool of this name.
    ///
    /// # Errors
    /// [`InvalidPool`].
    pub fn try_new(name: &str) -> Result<Self, InvalidPool> {
        let topic = Topic::try_new(name).map_err(|_| InvalidPool)?;
        if PoolKind::of(topic.kind()).is_some() { Ok(Self { topic }) } else { Err(InvalidPool) }
    }

    /// The pool of this kind and id.
    ///
    /// # Errors
    /// [`InvalidPool`].
    pub fn of(kind: PoolKind, id: &str) -> Result<Self, InvalidPool> {
        let topic = Topic::of(kind.as_str(), id).map_err(|_| InvalidPool)?;
        Ok(Self { topic })
    }

    /// Route or depot.
    pub fn kind(&self) -> PoolKind {
        PoolKind::of(self.topic.kind()).expect("checked when it was made")
    }

    /// The id behind the colon.
    pub fn id(&self) -> &str {
        self.topic.id()
    }

    /// The topic of its changes.
    pub fn topic(&self) -> &Topic {
        &self.topic
    }

    /// `kind:id`.
    pub fn as_str(&self) -> &str {
        self.topic.as_str()
    }
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Pool {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Pool {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::try_new(&name).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_routes_and_depots_are_pools() {
        for name in ["route:12", "depot:4", "route:a.b~c"] {
            assert_eq!(Pool::try_new(name).unwrap().as_str(), name);
        }
        for name in ["", "route:", "12", "vehicle:V1", "Route:12", "route:a b", "route:{x}"] {
            assert_eq!(Pool::try_new(name), Err(InvalidPool), "{name}");
        }
        let depot = Pool::of(PoolKind::Depot, "4").unwrap();
        assert_eq!((depot.kind().namespace(), depot.id()), ("depot-reservoir", "4"));
    }
}
