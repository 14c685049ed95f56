//! What one customer, agent, address or connection may take, and who is believed about addresses.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::units::{bytes, period};

/// Bounds of what is taken of one node; 0 is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections at once.
    pub connections_max: u32,
    /// Connections of one tenant.
    pub tenant_connections_max: u32,
    /// Connections of one agent.
    pub agent_connections_max: u32,
    /// Connections from one address.
    pub address_connections_max: u32,
    /// New connections from one address in a second.
    pub address_connects_per_second: u32,
    /// Messages of one connection in a second.
    pub messages_per_second: u32,
    /// Bytes of them.
    pub bytes_per_second: u32,
    /// Messages of one tenant in a second.
    pub tenant_messages_per_second: u32,
    /// Bytes of them.
    pub tenant_bytes_per_second: u32,
    /// Attempts in a second to get a lock, of one connection or by HTTP of one agent.
    pub lock_attempts_per_second: u32,
    /// Refusals within 10 s that close a connection.
    pub refusals_max: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 0,
            tenant_connections_max: 0,
            agent_connections_max: 0,
            address_connections_max: 0,
            address_connects_per_second: 0,
            messages_per_second: 0,
            bytes_per_second: 0,
            tenant_messages_per_second: 0,
            tenant_bytes_per_second: 0,
            lock_attempts_per_second: 0,
            refusals_max: 100,
        }
    }
}

/// What plain HTTP may hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// Connections at once.
    pub connections_max: usize,
    /// How long a client may take to read an answer.
    #[serde(with = "period")]
    pub answer_timeout: Duration,
    /// Bytes of bodies at once.
    #[serde(with = "bytes")]
    pub bodies_bytes_max: usize,
}

impl Default for Http {
    fn default() -> Self {
        Self { connections_max: 1_024, answer_timeout: Duration::from_secs(30), bodies_bytes_max: 64 << 20 }
    }
}

/// Proxies before the node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Proxy {
    /// Where they connect from.
    pub trusted: Vec<String>,
    /// Whether they begin with a header of the PROXY protocol.
    pub protocol: bool,
}
