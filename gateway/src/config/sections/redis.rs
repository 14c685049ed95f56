//! What the nodes share their state through.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::units::period;
use crate::config::{RedisUrl, Secret};

/// What the servers of `redis.url` are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RedisMode {
    /// The one Redis.
    Single,
    /// Sentinels, which say where it is.
    Sentinel,
    /// Servers of a Redis Cluster.
    Cluster,
}

/// What the nodes share it through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// Which Redis; absent means embedded: one node, in memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<RedisUrl>,
    /// What it names.
    pub mode: RedisMode,
    /// What the sentinels call the master.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentinel_service: Option<String>,
    /// Who logs in to the sentinels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentinel_user: Option<String>,
    /// With which password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentinel_password: Option<Secret>,
    /// Certificates that vouch for a `rediss://` server; absent means those of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// What every key and channel begins with.
    pub prefix: String,
    /// How long one command or script may take.
    #[serde(with = "period")]
    pub command_timeout: Duration,
    /// How long connecting may take.
    #[serde(with = "period")]
    pub connect_timeout: Duration,
    /// Multiplexed connections of the hot path.
    pub links: usize,
    /// Connections for what needs one of its own.
    pub pool_size: usize,
    /// How long a row outlives the last refresh by its node.
    #[serde(with = "period")]
    pub row_ttl: Duration,
    /// How often a node's rows are compared with its sockets.
    #[serde(with = "period")]
    pub audit_interval: Duration,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            url: None,
            mode: RedisMode::Single,
            sentinel_service: None,
            sentinel_user: None,
            sentinel_password: None,
            ca_file: None,
            prefix: "sb".to_owned(),
            command_timeout: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(1),
            links: 2,
            pool_size: 4,
            row_ttl: Duration::from_secs(600),
            audit_interval: Duration::from_secs(30),
        }
    }
}

impl Redis {
    /// Whether `url` names sentinels.
    pub fn is_sentinel(&self) -> bool {
        self.mode == RedisMode::Sentinel
    }
}
