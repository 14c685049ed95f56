//! The sections of [`Config`](super::Config): typed values and their defaults, nothing else.
//! Units and reasons stand in [`SETTINGS`](super::SETTINGS).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use signalbox_protocol::{Topic, limits};

use super::Secret;
use super::units::{bytes, period};

mod auth;

pub use auth::Auth;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

mod redis;
mod shares;
mod tls;
mod trace;

pub use self::redis::{Redis, RedisMode};
pub use self::shares::{Http, Limits, Proxy};
pub use self::tls::Tls;
pub use self::trace::Trace;

/// This node, as others see it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// The address told to others; the listening address when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertise: Option<String>,
}

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
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            bytes_max: limits::OUTBOX_BYTES_MAX,
            messages_max: limits::OUTBOX_MESSAGES_MAX,
            total_bytes_max: 0,
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

/// Who waits, and for how long that is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reservoir {
    /// How long a passenger waits who gave no end.
    #[serde(with = "period")]
    pub waiting_max: Duration,
    /// How long a passenger is remembered who was dropped off, cancelled or given up.
    #[serde(with = "period")]
    pub ended_kept: Duration,
}

impl Default for Reservoir {
    fn default() -> Self {
        Self { waiting_max: Duration::from_secs(24 * 3_600), ended_kept: Duration::from_secs(3_600) }
    }
}

/// Strapi as the store of one tenant's passengers; without a URL there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Strapi {
    /// `http://host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The API token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// Whose passengers it holds.
    pub tenant: String,
    /// Longest wait for an answer.
    #[serde(with = "period")]
    pub request_timeout: Duration,
    /// How long a change is tried again that Strapi fails with an error of its own.
    #[serde(with = "period")]
    pub give_up_after: Duration,
    /// Changes that may wait for it.
    pub outbox_max: u64,
    /// How long an answer to a query is remembered.
    #[serde(with = "period")]
    pub cache_ttl: Duration,
}

impl Default for Strapi {
    fn default() -> Self {
        Self {
            url: None,
            token: None,
            tenant: "default".to_owned(),
            request_timeout: Duration::from_secs(5),
            give_up_after: Duration::from_secs(600),
            outbox_max: 10_000,
            cache_ttl: Duration::from_secs(5),
        }
    }
}

/// Orders that one driver accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Orders {
    /// Topics that hear of an accepted order, beside its own.
    pub announce: Vec<Topic>,
}

impl Default for Orders {
    fn default() -> Self {
        let drivers = Topic::of("agent_type", "driver").expect("a constant topic");
        Self { announce: vec![drivers] }
    }
}

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
