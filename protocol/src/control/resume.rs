//! `system:resume`, `system:resumed`: what lets a client go on elsewhere.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Positions;
use crate::Topic;

/// What `system:resume` asks for: everything after these places, and what comes from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ResumeRequest {
    /// The last message that the client has of each topic.
    pub positions: Positions,
}

/// `system:resumed`: how it goes on with each topic. With a null `correlationId` nobody asked: the
/// continuity of a connected client broke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Resumed {
    /// What was found of each topic.
    pub topics: BTreeMap<Topic, TopicResumed>,
}

/// How it goes on with one topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct TopicResumed {
    /// Whether nothing is missing.
    pub recovered: bool,
    /// Why something may be missing; `null` if nothing is.
    pub reason: Option<Discontinuity>,
    /// The log's life from now on.
    pub epoch: String,
    /// The next message of the topic has the number after this one.
    pub offset: u64,
    /// How many messages follow that the client missed.
    pub replayed: u64,
}

/// Why messages of a topic may be missing behind a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Discontinuity {
    /// The log has begun another life: nobody can say what happened between.
    Epoch,
    /// There were more messages, or longer ones, than the log keeps.
    Trimmed,
    /// They are older than the log keeps them, or the position is.
    Expired,
    /// A reason that this release doesn't know.
    #[serde(other)]
    Other,
}

impl fmt::Display for Discontinuity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Epoch => "the log began another life",
            Self::Trimmed => "the log had no room for all",
            Self::Expired => "they were too old to be kept",
            Self::Other => "a reason that this release doesn't know",
        })
    }
}
