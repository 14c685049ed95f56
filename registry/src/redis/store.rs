//! What every part of this back end works with: the names, the links, the pool, and the view of the leases.

use std::sync::Arc;
use std::time::Duration;

use super::config::RedisConfig;
use super::endpoint::Endpoint;
use super::link::{Link, Links};
use super::live::Live;
use super::log::LogBook;
use super::pool::{Bulk, Pools};
use crate::Error;
use crate::directory::SESSION_KEPT;
use crate::keys::Keys;
use crate::measured::Measured;

/// One Redis, as one node uses it.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) keys: Keys,
    pub(super) links: Arc<Links>,
    pub(super) live: Arc<Live>,
    /// Time to live of rows.
    pub(super) row_ttl: Duration,
    pools: Pools,
    pub(super) command_timeout: Duration,
    /// What is known of the logs.
    pub(super) log: LogBook,
    pub(super) measured: Arc<Measured>,
}

impl Store {
    pub(super) fn new(config: &RedisConfig, endpoint: &Endpoint) -> Self {
        let keys = Keys::new(&config.prefix);
        let measured = Arc::<Measured>::default();
        let links = Arc::new(Links::new(config.links, config.command_timeout, &measured));
        let live = Arc::new(Live::new(keys.clone(), Arc::clone(&links), config.command_timeout));
        let pools = Pools::new(config, endpoint.clone());
        let log = LogBook::new(config.log.clone(), config.log_strict);
        let (row_ttl, command_timeout) = (config.row_ttl, config.command_timeout);
        Self { keys, links, live, row_ttl, pools, command_timeout, log, measured }
    }

    /// The link for the leases and whatever else concerns the whole cluster.
    pub(super) fn first_link(&self) -> &Arc<Link> {
        &self.links.all()[0]
    }

    /// Until when a script that is sent now may take effect: milliseconds of Redis' clock. Whoever asked has
    /// given up by then.
    pub(super) async fn deadline_ms(&self) -> Result<u64, Error> {
        Ok(self.live.redis_now_ms().await? + self.command_timeout.as_millis() as u64)
    }

    /// A connection of its own for large answers and long work, which would hold up the links.
    pub(super) async fn bulk(&self) -> Result<Bulk, Error> {
        self.pools.bulk().await
    }

    /// Ends the pool's idle connections: Redis behind them is not the one to talk to.
    pub(super) fn renew_pool(&self) {
        self.pools.renew();
    }

    /// Seconds that a row lives unrefreshed.
    pub(super) fn row_seconds(&self) -> u64 {
        self.row_ttl.as_secs().max(1)
    }

    /// Seconds that a session stays its owner's after its last socket.
    pub(super) fn owner_seconds(&self) -> u64 {
        SESSION_KEPT.as_secs().max(self.row_seconds())
    }
}
