//! How clients come in, and how long they stay.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use signalbox_protocol::limits;

use super::KIB;
use crate::config::units::{bytes, period};

/// What a handshake may cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Handshake {
    /// From accepting the socket to having read the request's head.
    #[serde(with = "period")]
    pub timeout: Duration,
    /// Bytes of a request's head.
    #[serde(with = "bytes")]
    pub header_bytes_max: usize,
    /// Header fields of a request.
    pub headers_max: usize,
}

impl Default for Handshake {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(10), header_bytes_max: 16 * KIB, headers_max: 64 }
    }
}

/// How many may come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admission {
    /// Handshakes begun in one second.
    pub handshakes_per_second: u32,
    /// Handshakes under way at once.
    pub handshakes_max: usize,
    /// Sockets that were accepted and have not sent a request yet.
    pub silent_sockets_max: usize,
    /// Agent types for which a part of the above is kept free.
    pub reserved_for: Vec<String>,
    /// That part.
    pub reserved_percent: u32,
}

impl Default for Admission {
    fn default() -> Self {
        Self {
            handshakes_per_second: 20_000,
            handshakes_max: 256,
            silent_sockets_max: 512,
            reserved_for: vec!["vehicle".to_owned(), "driver".to_owned()],
            reserved_percent: 20,
        }
    }
}

/// When a silent client counts as gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Heartbeat {
    /// Silence after which the node pings.
    #[serde(with = "period")]
    pub interval: Duration,
    /// Silence after which the connection is closed with 4408.
    #[serde(with = "period")]
    pub timeout: Duration,
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { interval: limits::HEARTBEAT_INTERVAL, timeout: limits::HEARTBEAT_TIMEOUT }
    }
}

/// What one message may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Message {
    /// Bytes of one message; more closes with 1009.
    #[serde(with = "bytes")]
    pub bytes_max: usize,
}

impl Default for Message {
    fn default() -> Self {
        Self { bytes_max: limits::MESSAGE_BYTES_MAX }
    }
}

/// What one connection may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Connection {
    /// Topics that one connection may be subscribed to.
    pub subscriptions_max: usize,
    /// After this long it is sent to connect again; 0 is never.
    #[serde(with = "period")]
    pub max_age: Duration,
    /// By up to this part of it some are sent earlier than others.
    pub max_age_dither_percent: u32,
    /// Beyond the nodes' mean and so much more, the excess is sent to connect again; 0 is never.
    pub shed_over_mean_percent: u32,
    /// How long there has to be an excess.
    #[serde(with = "period")]
    pub shed_after: Duration,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            subscriptions_max: limits::SUBSCRIPTIONS_MAX,
            max_age: Duration::ZERO,
            max_age_dither_percent: 50,
            shed_over_mean_percent: 0,
            shed_after: Duration::from_secs(15),
        }
    }
}
