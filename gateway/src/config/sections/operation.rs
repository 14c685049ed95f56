//! How a node ends, what it logs, and the threads that it runs on.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::units::period;

/// How the node stops.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stop {
    /// From not being ready to refusing handshakes: the load balancer's time to notice.
    #[serde(with = "period")]
    pub balancer_wait: Duration,
    /// Connections closed with 1012 each second.
    pub closes_per_second: u32,
    /// The longest that a stop may take in all.
    #[serde(with = "period")]
    pub timeout: Duration,
}

impl Default for Stop {
    fn default() -> Self {
        Self {
            balancer_wait: Duration::from_secs(1),
            closes_per_second: 500,
            timeout: Duration::from_secs(30),
        }
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// For people or for machines.
    pub format: LogFormat,
    /// Which events, in the syntax of `RUST_LOG`.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The threads that everything runs on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Runtime {
    /// Worker threads; 0 means one per core.
    pub worker_threads: usize,
}
