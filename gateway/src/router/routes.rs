//! Where point topics were found a moment ago. For ephemeral messages only: an entry may be up to its time
//! to live out of date, and a message that follows a stale one is dropped and counted, never re-sent, so that
//! nothing overtakes.

use std::time::Duration;

use dashmap::DashMap;
use signalbox_registry::directory::NodeSet;
use tokio::time::Instant;

use crate::hub::TopicKey;

/// How much is remembered, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct RouteBounds {
    /// A second at most (design, section 4).
    pub time_to_live: Duration,
    /// At this many entries new ones are not remembered.
    pub entries_max: usize,
}

/// The cache.
#[derive(Debug)]
pub struct RouteCache {
    routes: DashMap<TopicKey, (NodeSet, Instant)>,
    bounds: RouteBounds,
}

impl RouteCache {
    /// An empty cache.
    pub fn new(bounds: RouteBounds) -> Self {
        Self { routes: DashMap::new(), bounds }
    }

    /// The nodes, if they were looked up within the time to live.
    pub fn get(&self, key: &TopicKey) -> Option<NodeSet> {
        let route = self.routes.get(key)?;
        let (nodes, until) = route.value();
        (Instant::now() < *until).then(|| nodes.clone())
    }

    /// Remembers an answer. Nobody found is not remembered: the next sender asks again.
    pub fn remember(&self, key: TopicKey, nodes: NodeSet) {
        if nodes.is_empty() {
            self.routes.remove(&key);
        } else if self.routes.len() < self.bounds.entries_max {
            self.routes.insert(key, (nodes, Instant::now() + self.bounds.time_to_live));
        }
    }

    /// Forgets a route that proved wrong.
    pub fn forget(&self, key: &TopicKey) {
        self.routes.remove(key);
    }

    /// Removes what is out of date; called about once a second.
    pub fn sweep(&self) {
        let now = Instant::now();
        self.routes.retain(|_, (_, until)| now < *until);
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use signalbox_protocol::{NodeId, Tenant, Topic};

    use super::*;

    fn key(topic: &str) -> TopicKey {
        TopicKey::new(&Tenant::try_new("t").unwrap(), &Topic::try_new(topic).unwrap())
    }

    fn nodes(id: &str) -> NodeSet {
        NodeSet::from_iter([NodeId::try_new(id).unwrap()])
    }

    #[tokio::test(start_paused = true)]
    async fn a_route_is_believed_for_its_time_to_live_only() {
        let cache = RouteCache::new(RouteBounds { time_to_live: Duration::from_secs(1), entries_max: 2 });
        cache.remember(key("vehicle:1"), nodes("a"));
        tokio::time::advance(Duration::from_millis(999)).await;
        assert_eq!(cache.get(&key("vehicle:1")), Some(nodes("a")));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(cache.get(&key("vehicle:1")), None);
        cache.sweep();
        assert!(cache.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_cache_is_bounded_and_remembers_no_absence() {
        let cache = RouteCache::new(RouteBounds { time_to_live: Duration::from_secs(1), entries_max: 2 });
        for topic in ["vehicle:1", "vehicle:2", "vehicle:3"] {
            cache.remember(key(topic), nodes("a"));
        }
        assert_eq!(cache.len(), 2);
        cache.remember(key("vehicle:1"), NodeSet::new());
        assert_eq!(cache.get(&key("vehicle:1")), None);
    }
}
