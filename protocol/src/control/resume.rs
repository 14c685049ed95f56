//! `system:resume`, `system:resumed`: what lets a client go on elsewhere.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Positions;
use crate::Topic;

/// What `system:resume` asks for: everything after these places, and what comes from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumeRequest {
    /// The last message that the client has of each topic.
    pub positions: Positions,
}

/// `system:resumed`: how it goes on with each topic. With a null `correlationId` nobody asked: the
/// continuity of a connected client broke.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// What was found of each topic.
    pub topics: BTreeMap<Topic, TopicResumed>,
}

/// How it goes on with one topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicResumed {
    /// Whether nothing is missing.
    pub recovered: bool,
    /// Why something may be missing; `null` if nothing is.
    pub reason: Option<LossReason>,
    /// The log's life from now on.
    pub epoch: String,
    /// The next message of the topic has the number after this one.
    pub offset: u64,
    /// How many messages follow that the client missed.
    pub replayed: u64,
}

/// Why messages of a topic may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossReason {
    /// The log is another one: Redis lost what it had.
    Epoch,
    /// The log had no room for them.
    Trimmed,
    /// They were too old to be kept.
    Expired,
    /// A reason that this release doesn't know.
    #[serde(other)]
    Other,
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Epoch => "the log is another one",
            Self::Trimmed => "the log had no room for them",
            Self::Expired => "they were too old to be kept",
            Self::Other => "for a reason that this release doesn't know",
        })
    }
}
