//! What is stored of messages, and how they get to other nodes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::MIB;
use crate::config::units::{bytes, period};

/// What the logs of durable topics keep.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Durable {
    /// Messages kept of each topic.
    pub messages_max: u64,
    /// Bytes kept of each topic.
    #[serde(with = "bytes")]
    pub bytes_max: usize,
    /// How long a message is kept.
    #[serde(with = "period")]
    pub age: Duration,
    /// Kinds of topics that keep something else: `order 5000 8MiB 10m`.
    pub kinds: Vec<String>,
    /// Replicas of Redis that must have a message before it is acknowledged.
    pub replicas: u32,
    /// How long they are waited for.
    #[serde(with = "period")]
    pub replicas_wait: Duration,
    /// How often what was delivered is compared with the logs.
    #[serde(with = "period")]
    pub check_interval: Duration,
}

impl Default for Durable {
    fn default() -> Self {
        Self {
            messages_max: 1_000,
            bytes_max: MIB,
            age: Duration::from_secs(120),
            kinds: Vec::new(),
            replicas: 0,
            replicas_wait: Duration::from_millis(500),
            check_interval: Duration::from_secs(10),
        }
    }
}

/// What may wait to be published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Bus {
    /// Bytes that may wait for one destination.
    #[serde(with = "bytes")]
    pub destination_bytes_max: usize,
    /// Bytes that may wait in all.
    #[serde(with = "bytes")]
    pub total_bytes_max: usize,
    /// So long at most a busy destination's messages gather before they are published.
    #[serde(with = "period")]
    pub gather: Duration,
}

impl Default for Bus {
    fn default() -> Self {
        Self { destination_bytes_max: 4 * MIB, total_bytes_max: 64 * MIB, gather: Duration::from_millis(2) }
    }
}
