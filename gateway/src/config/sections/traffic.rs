//! What one connection may send, and what may wait for it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use signalbox_protocol::limits;

use crate::config::units::{bytes, period};

/// What may wait to be written to one connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outbox {
    /// Bytes that may wait.
    #[serde(with = "bytes")]
    pub bytes_max: usize,
    /// Messages that may wait.
    pub messages_max: usize,
    /// Bytes that may wait for all connections together; 0 is no bound.
    #[serde(with = "bytes")]
    pub total_bytes_max: usize,
    /// So long at most messages gather after many connections were written to.
    #[serde(with = "period")]
    pub gather: Duration,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            bytes_max: limits::OUTBOX_BYTES_MAX,
            messages_max: limits::OUTBOX_MESSAGES_MAX,
            total_bytes_max: 0,
            gather: Duration::from_millis(8),
        }
    }
}

/// How much that is no envelope is borne.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Malformed {
    /// Malformed messages within the window that close with 4400.
    pub messages_max: usize,
    /// The window.
    #[serde(with = "period")]
    pub window: Duration,
}

impl Default for Malformed {
    fn default() -> Self {
        Self { messages_max: limits::MALFORMED_MAX, window: limits::MALFORMED_WINDOW }
    }
}

/// How many small frames that complete no message are borne.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Flood {
    /// Small frames within the window that complete no message. More close with 4429.
    pub frames_max: usize,
    /// The window.
    #[serde(with = "period")]
    pub window: Duration,
}

impl Default for Flood {
    fn default() -> Self {
        Self { frames_max: 4096, window: Duration::from_secs(10) }
    }
}

/// How a connection is closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Close {
    /// How long the peer's close frame is waited for.
    #[serde(with = "period")]
    pub timeout: Duration,
}

impl Default for Close {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5) }
    }
}

/// Which types are known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Catalogue {
    /// Whether types outside the catalogue travel as ephemeral events.
    pub allow_unknown_types: bool,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self { allow_unknown_types: true }
    }
}

/// What is remembered of the directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RouteCache {
    /// How long a looked-up route is believed.
    #[serde(with = "period")]
    pub ttl: Duration,
    /// Routes remembered.
    pub entries_max: usize,
}

impl Default for RouteCache {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(1), entries_max: 65_536 }
    }
}
