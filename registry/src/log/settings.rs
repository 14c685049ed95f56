//! How long, how many and how much a log keeps.

use std::collections::BTreeMap;
use std::time::Duration;

/// What a topic keeps. Whatever comes first ends a message; the newest stays however long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Most messages.
    pub messages_max: u64,
    /// Most bytes of messages.
    pub bytes_max: u64,
    /// How long a message is kept, the newest too. A repeated id is known for as long, at least.
    pub age: Duration,
}

impl Default for Retention {
    /// 1,000 messages, 1 MiB, two minutes.
    fn default() -> Self {
        Self { messages_max: 1_000, bytes_max: 1024 * 1024, age: Duration::from_secs(120) }
    }
}

/// What topics keep, by their kind. Every node of a cluster should have the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// Kinds with a retention of their own.
    pub by_kind: BTreeMap<String, Retention>,
    /// All others.
    pub others: Retention,
}

impl LogSettings {
    /// What topics of a kind keep.
    pub fn of(&self, kind: &str) -> Retention {
        self.by_kind.get(kind).copied().unwrap_or(self.others)
    }
}

/// An append is acknowledged only when replicas have it. Less than what consensus gives: a replica that does not
/// have a message may still be promoted; but whoever was told that a message is stored was told so by several.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strict {
    /// So many replicas.
    pub replicas: u32,
    /// How long they are waited for, less than the longest wait for an answer. Then the outcome is unknown: the
    /// message is stored, and asking again waits again.
    pub within: Duration,
}
