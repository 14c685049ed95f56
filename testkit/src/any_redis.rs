//! What tests run on: a Redis, however it is set up.

use crate::{RedisCluster, RedisServer, Sentinels};

/// The variable that chooses the kind for tests that run on any: `single`, which is the default, `sentinel`
/// or `cluster`.
const CHOICE: &str = "TEST_REDIS";

/// A Redis of one kind or another.
#[derive(Debug)]
pub enum AnyRedis {
    /// One server.
    Single(RedisServer),
    /// A master that sentinels watch.
    Watched(Sentinels),
    /// Several masters.
    Cluster(RedisCluster),
}

impl AnyRedis {
    /// Starts what `TEST_REDIS` says.
    ///
    /// # Panics
    /// When it says something else.
    pub async fn chosen() -> Self {
        match std::env::var(CHOICE).as_deref() {
            Err(_) | Ok("single") => Self::single().await,
            Ok("sentinel") => Self::watched().await,
            Ok("cluster") => Self::cluster().await,
            Ok(other) => panic!("{CHOICE} is {other}"),
        }
    }

    /// Starts one server.
    pub async fn single() -> Self {
        Self::Single(RedisServer::start().await)
    }

    /// Starts a watched master.
    pub async fn watched() -> Self {
        Self::Watched(Sentinels::start().await)
    }

    /// Starts three masters.
    pub async fn cluster() -> Self {
        Self::Cluster(RedisCluster::start().await)
    }

    /// The one server that it is.
    ///
    /// # Panics
    /// When it is something else.
    pub fn only(&mut self) -> &mut RedisServer {
        match self {
            Self::Single(server) => server,
            Self::Watched(_) | Self::Cluster(_) => panic!("this is for one server"),
        }
    }

    /// What a node is told.
    pub fn url(&self) -> String {
        match self {
            Self::Single(server) => server.url(),
            Self::Watched(sentinels) => sentinels.url(),
            Self::Cluster(cluster) => cluster.url(),
        }
    }

    /// The servers that take writes now.
    pub fn masters(&self) -> Vec<&RedisServer> {
        match self {
            Self::Single(server) => vec![server],
            Self::Watched(sentinels) => vec![sentinels.master()],
            Self::Cluster(cluster) => cluster.masters(),
        }
    }

    /// Runs `redis-cli` with `args` where `key` is, and returns what it prints.
    ///
    /// # Panics
    /// As [`RedisServer::cli`].
    pub fn cli_at(&self, key: &str, args: &[&str]) -> String {
        match self {
            Self::Single(server) => server.cli(args),
            Self::Watched(sentinels) => sentinels.master().cli(args),
            Self::Cluster(cluster) => cluster.master_of(cluster.slot(key)).cli(args),
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
