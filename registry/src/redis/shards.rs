//! The servers that a node talks to.
//!
//! A single Redis, and one behind sentinels, is one [`Shard`] that has every slot. In a Cluster there are several, and a
//! [`Map`] of the slots that `topology` keeps. Calls go by a [`Road`].

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::address::Address;
use super::endpoint::Endpoint;
use super::fault::Redirect;
use super::link::Link;
use super::pool::{PoolBounds, Pools};
use super::reach::Reach;
use super::road::Road;
use super::slot_map::Map;
use crate::measured::Measured;

/// One master, as a node uses it.
pub(super) struct Shard {
    pub(super) endpoint: Endpoint,
    links: Vec<Arc<Link>>,
    pub(super) pools: Pools,
    /// Ends what runs for it.
    pub(super) stop: CancellationToken,
}

impl fmt::Debug for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shard").field("address", &self.endpoint.latest()).finish_non_exhaustive()
    }
}

impl Shard {
    pub(super) fn links(&self) -> &[Arc<Link>] {
        &self.links
    }

    /// Whether its server is there.
    pub(super) fn is_at(&self, address: &Address) -> bool {
        self.endpoint.latest().as_ref() == Some(address)
    }
}

/// All servers of a node.
#[derive(Debug)]
pub(super) struct Links {
    per_shard: usize,
    command_timeout: Duration,
    map: watch::Sender<Arc<Map>>,
    reach: Arc<Reach>,
    pub(super) measured: Arc<Measured>,
    /// Somebody was sent elsewhere, or found nobody: the map should be looked at.
    pub(super) stale: Notify,
}

impl Links {
    pub(super) fn new(per_shard: usize, command_timeout: Duration, measured: &Arc<Measured>) -> Self {
        Self {
            per_shard: per_shard.max(1),
            command_timeout,
            map: watch::Sender::default(),
            reach: Arc::default(),
            measured: Arc::clone(measured),
            stale: Notify::new(),
        }
    }

    /// A shard whose links are not kept up yet.
    pub(super) fn new_shard(
        &self,
        endpoint: Endpoint,
        pools: PoolBounds,
        stop: CancellationToken,
    ) -> Arc<Shard> {
        let measured = &self.measured;
        let link =
            |number| Link::new(number, self.command_timeout, Arc::clone(&self.reach), Arc::clone(measured));
        let links = (0..self.per_shard).map(link).collect();
        Arc::new(Shard { links, pools: Pools::new(pools, endpoint.clone()), endpoint, stop })
    }

    /// One server has everything.
    pub(super) fn only(&self, shard: Arc<Shard>) {
        self.put(Map::of_one(shard));
    }

    /// From now on it is so.
    pub(super) fn put(&self, map: Map) {
        let links = map.shards().iter().flat_map(|shard| &shard.links).map(Arc::downgrade).collect();
        self.map.send_replace(Arc::new(map));
        self.reach.watch(links);
    }

    pub(super) fn map(&self) -> Arc<Map> {
        Arc::clone(&self.map.borrow())
    }

    /// Connections of all pools.
    pub(super) fn pooled(&self) -> usize {
        self.map.borrow().shards().iter().map(|shard| shard.pools.len()).sum()
    }

    /// The map, as it changes.
    pub(super) fn maps(&self) -> watch::Receiver<Arc<Map>> {
        self.map.subscribe()
    }

    /// A server says that a slot is elsewhere.
    pub(super) fn moved(&self, redirect: &Redirect) {
        self.stale.notify_one();
        self.map.send_if_modified(|map| {
            let moved = map.with_moved(redirect);
            moved.map(|moved| *map = Arc::new(moved)).is_some()
        });
    }

    /// The way of everything about `name`: always the same links.
    pub(super) fn of(&self, name: impl Hash) -> Road<'_> {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        Road::new(self, (hasher.finish() % self.per_shard as u64) as usize)
    }

    /// The way of what concerns all.
    pub(super) fn first(&self) -> Road<'_> {
        Road::new(self, 0)
    }

    /// Whether all links are up, as it changes.
    pub(super) fn reachable(&self) -> watch::Receiver<bool> {
        self.reach.reachable()
    }
}
