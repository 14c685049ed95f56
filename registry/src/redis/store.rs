//! What every part of this back end works with: the names, the links, and the view of the leases.

use std::sync::Arc;
use std::time::Duration;

use signalbox_protocol::{Tenant, Topic};

use super::call::Call;
use super::config::{Mode, RedisConfig};
use super::live::Live;
use super::log::LogBook;
use super::pool::Bulk;
use super::road::Road;
use super::shards::Links;
use super::text;
use crate::directory::SESSION_KEPT;
use crate::keys::Keys;
use crate::measured::Measured;
use crate::slot::slot_of;
use crate::{Error, Row};

/// One Redis, as one node uses it.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) keys: Keys,
    pub(super) links: Arc<Links>,
    pub(super) live: Arc<Live>,
    /// Time to live of rows.
    pub(super) row_ttl: Duration,
    pub(super) command_timeout: Duration,
    /// What is known of the logs.
    pub(super) log: LogBook,
    pub(super) measured: Arc<Measured>,
}

impl Store {
    pub(super) fn new(config: &RedisConfig) -> Self {
        let keys = Keys::new(&config.prefix);
        let keys = if matches!(config.mode, Mode::Cluster) { keys.sharded() } else { keys };
        let measured = Arc::<Measured>::default();
        let links = Arc::new(Links::new(config.links, config.command_timeout, &measured));
        let live = Arc::new(Live::new(keys.clone(), Arc::clone(&links), config.command_timeout));
        let log = LogBook::new(config.log.clone(), config.log_strict);
        let (row_ttl, command_timeout) = (config.row_ttl, config.command_timeout);
        Self { keys, links, live, row_ttl, command_timeout, log, measured }
    }

    /// The way of the leases and whatever else concerns the whole cluster.
    pub(super) fn first_link(&self) -> Road<'_> {
        self.links.first()
    }

    /// The way of what is written about connections: one for all of them, so that those who come together are written
    /// together, and what is done about one keeps its order.
    pub(super) fn rows(&self) -> Road<'_> {
        self.links.of("rows")
    }

    /// Tells those who follow a channel. In a Cluster a channel has a slot, as a key has.
    pub(super) fn publish(&self, channel: &str, message: &[u8]) -> Call {
        Call::new(if self.keys.is_sharded() { "SPUBLISH" } else { "PUBLISH" }).arg(channel).arg(message)
    }

    /// The slot of a topic's channel, and of whatever else belongs to it; 0 where one server has all.
    pub(super) fn slot_of_topic(&self, tenant: &Tenant, topic: &Topic) -> u16 {
        self.slot_of(|| self.keys.channel(tenant, topic))
    }

    /// The slot of a name, which is not made where one server has all.
    pub(super) fn slot_of(&self, name: impl FnOnce() -> String) -> u16 {
        if self.keys.is_sharded() { slot_of(name().as_bytes()) } else { 0 }
    }

    /// Until when a script that is sent now may take effect: milliseconds of Redis' clock. Whoever asked has
    /// given up by then. The clocks of a Cluster's servers have to agree to within a good part of that.
    pub(super) async fn deadline_ms(&self) -> Result<u64, Error> {
        Ok(self.live.redis_now_ms().await? + self.command_timeout.as_millis() as u64)
    }

    /// Connections of its own for large answers and long work, which would hold up the links.
    pub(super) async fn bulk(&self) -> Result<Bulk, Error> {
        Bulk::begin(&self.links, self.command_timeout).await
    }

    /// Lets a key live as long as an unrefreshed row.
    pub(super) fn expire(&self, key: &str) -> Call {
        Call::new("EXPIRE").arg(key).arg(self.row_seconds())
    }

    /// A row in its agent's record. Without a script, which would be a third of what a registration costs Redis.
    pub(super) fn record_write(&self, row: &Row) -> [Call; 2] {
        let key = self.keys.agent(&row.tenant, &row.agent);
        let expire = self.expire(&key);
        [Call::new("HSET").arg(key).arg(row.connection_id.as_str()).arg(text::for_agent(row)), expire]
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
