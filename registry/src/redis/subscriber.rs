//! This node's subscriptions: one [`Feed`] for each server, and what holds for all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use signalbox_protocol::NodeId;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::feed::Feed;
use super::follow::{Followed, Group};
use super::inlet::Inlet;
use super::slot_map::Map;
use super::store::Store;
use crate::Error;
use crate::bus::BusHealth;
use crate::mutex::lock;

/// A newest probe older than this ends a connection.
pub(super) const PROBE_AGE_MAX: Duration = Duration::from_secs(2);

/// Keeps this node subscribed.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) node: NodeId,
    pub(super) store: Arc<Store>,
    pub(super) followed: Arc<Followed>,
    pub(super) inlet: Arc<Inlet>,
    /// Longest wait for an answer.
    pub(super) patience: Duration,
    feeds: Mutex<Vec<Arc<Feed>>>,
}

impl Subscriber {
    pub(super) fn new(
        node: NodeId,
        store: Arc<Store>,
        followed: Arc<Followed>,
        inlet: Arc<Inlet>,
        patience: Duration,
    ) -> Arc<Self> {
        Arc::new(Self { node, store, followed, inlet, patience, feeds: Mutex::default() })
    }

    /// Builds everything anew.
    pub(super) fn renew(&self) {
        lock(&self.feeds).iter().for_each(|feed| feed.renew());
    }

    /// Which processes the subscriptions are at, as far as they stand.
    pub(super) fn run_ids(&self) -> Vec<String> {
        lock(&self.feeds).iter().filter_map(|feed| feed.run_id()).collect()
    }

    /// As good as that of the server that is worst off.
    pub(super) fn health(&self) -> BusHealth {
        let feeds = lock(&self.feeds);
        let ages: Option<Vec<_>> = feeds.iter().map(|feed| feed.probe_age()).collect();
        let probe_age = ages.and_then(|ages| ages.into_iter().max());
        let fresh = probe_age.is_some_and(|age| age < PROBE_AGE_MAX);
        BusHealth { probe_age, healthy: fresh && feeds.iter().all(|feed| feed.is_verified()) }
    }

    /// Keeps a feed for each server until `stop`.
    pub(super) async fn run(self: Arc<Self>, tracker: TaskTracker, stop: CancellationToken) {
        let keep = async {
            let mut maps = self.store.links.maps();
            loop {
                let map = Arc::clone(&maps.borrow_and_update());
                self.feed_from(&map, &tracker);
                if maps.changed().await.is_err() {
                    return;
                }
            }
        };
        stop.run_until_cancelled(keep).await;
    }

    fn feed_from(self: &Arc<Self>, map: &Map, tracker: &TaskTracker) {
        let mut feeds = lock(&self.feeds);
        let mut known: HashMap<_, _> = feeds.drain(..).map(|feed| (Arc::as_ptr(&feed.shard), feed)).collect();
        for shard in map.shards() {
            let feed = known.remove(&Arc::as_ptr(shard)).unwrap_or_else(|| {
                let feed = Feed::new(Arc::clone(self), Arc::clone(shard));
                tracker.spawn(Arc::clone(&feed).run());
                tracker.spawn(Arc::clone(&feed).probe());
                feed
            });
            feeds.push(feed);
        }
        drop(feeds);
        // What they had is wanted from others now.
        known.into_values().for_each(|feed| feed.end());
    }

    /// Follows a group topic; fails at once while Redis is away.
    pub(super) async fn follow(&self, group: Group) -> Result<(), Error> {
        let slot = self.store.slot_of_topic(&group.0, &group.1);
        if !self.store.links.first().is_up(slot) {
            return Err(Error::Unavailable(None));
        }
        self.followed.want(group, 2 * self.patience).await
    }
}
