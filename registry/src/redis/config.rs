//! Where Redis is, what kind it is, and the bounds of what is asked of it.

use std::fmt;
use std::time::Duration;

use crate::log::{LogSettings, Strict};

/// What the servers of a URL are.
#[derive(Clone, PartialEq, Eq)]
pub enum Mode {
    /// The one Redis that all nodes share.
    Single,
    /// Those that say which Redis it is.
    Sentinel {
        /// What they call it.
        service: String,
        /// Who logs in to them, if that takes a name; the user of the URL is for Redis.
        user: Option<String>,
        /// With which password, if they want one.
        password: Option<String>,
    },
    /// Some of a Redis Cluster, which tell of all.
    Cluster,
}

impl fmt::Debug for Mode {
    /// Leaves the password out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single => "Single",
            Self::Sentinel { .. } => "Sentinel",
            Self::Cluster => "Cluster",
        })
    }
}

/// Where Redis is, and the bounds of what is asked of it.
#[derive(Clone)]
pub struct RedisConfig {
    /// `redis://[user][:password@]host[:port][,host[:port]..][/db]`, or `rediss://` for TLS.
    pub url: String,
    /// What the URL names.
    pub mode: Mode,
    /// Certificates in PEM that vouch for a `rediss://` server; `None`: those that the machine trusts.
    pub ca: Option<Vec<u8>>,
    /// What every key and channel begins with.
    pub prefix: String,
    /// Longest wait for an answer.
    pub command_timeout: Duration,
    /// Longest wait for a connection, log-in included.
    pub connect_timeout: Duration,
    /// Multiplexed connections that carry the hot path.
    pub links: usize,
    /// Connections for large answers and sweeps.
    pub pool_connections: usize,
    /// Time to live of rows that nobody refreshes; refresh them at least twice as often.
    pub row_ttl: Duration,
    /// Most bytes that wait for one destination of the bus.
    pub bus_destination_bytes_max: usize,
    /// Most bytes that wait for all of them.
    pub bus_bytes_max: usize,
    /// So long at most a batch is held back where much goes the same way; zero: never.
    pub bus_gather: Duration,
    /// What durable topics keep.
    pub log: LogSettings,
    /// Whether appends wait for replicas. What scripts announce by themselves does not.
    pub log_strict: Option<Strict>,
}

impl RedisConfig {
    /// The defaults for a Redis at `url`.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            mode: Mode::Single,
            ca: None,
            prefix: "sb".to_owned(),
            command_timeout: Duration::from_millis(500),
            connect_timeout: Duration::from_secs(1),
            links: 2,
            pool_connections: 4,
            row_ttl: Duration::from_secs(120),
            bus_destination_bytes_max: 4 * 1024 * 1024,
            bus_bytes_max: 64 * 1024 * 1024,
            bus_gather: Duration::from_millis(2),
            log: LogSettings::default(),
            log_strict: None,
        }
    }
}

impl fmt::Debug for RedisConfig {
    /// Leaves the URL out: it may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}
