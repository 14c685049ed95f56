//! What tests run on: a Redis, however it is set up.

use std::sync::Arc;

use crate::{RedisServer, Sentinels};

/// A Redis of one kind or another; clones are the same.
#[derive(Debug, Clone)]
pub enum AnyRedis {
    /// One server.
    Single(Arc<RedisServer>),
    /// A master that sentinels watch.
    Watched(Arc<Sentinels>),
}

impl AnyRedis {
    /// Starts one server.
    pub async fn single() -> Self {
        Self::Single(Arc::new(RedisServer::start().await))
    }

    /// Starts a watched master.
    pub async fn watched() -> Self {
        Self::Watched(Arc::new(Sentinels::start().await))
    }

    /// What a node is told.
    pub fn url(&self) -> String {
        match self {
            Self::Single(server) => server.url(),
            Self::Watched(sentinels) => sentinels.url(),
        }
    }

    /// The servers that take writes now.
    pub fn masters(&self) -> Vec<&RedisServer> {
        match self {
            Self::Single(server) => vec![server],
            Self::Watched(sentinels) => vec![sentinels.master()],
        }
    }

    /// Runs `redis-cli` with `args` where `key` is, and returns what it prints.
    ///
    /// # Panics
    /// As [`RedisServer::cli`].
    pub fn cli_at(&self, _key: &str, args: &[&str]) -> String {
        match self {
            Self::Single(server) => server.cli(args),
            Self::Watched(sentinels) => sentinels.master().cli(args),
        }
    }

    /// Runs `redis-cli` with `args` at all that take writes, and returns what they print, one below the other.
    ///
    /// # Panics
    /// As [`RedisServer::cli`].
    pub fn cli_everywhere(&self, args: &[&str]) -> String {
        self.masters().iter().map(|server| server.cli(args)).collect::<Vec<_>>().join("\n")
    }
}
