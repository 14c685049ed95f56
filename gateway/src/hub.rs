//! The sockets of this node, and who of them follows which topic.
//!
//! Shared by every task; no call here waits. A connection is in the hub from before it is registered in the
//! directory until before it is unregistered. Removal is by the very connection, never by its name alone.

mod census;
mod checklist;
mod connection;
mod flusher;
mod followers;
mod hold;
mod members;
mod roll;
mod tail;

use ahash::RandomState;
use bytes::Bytes;
use dashmap::DashMap;
use signalbox_protocol::vocabulary::Vocabulary;
use signalbox_protocol::{ConnectionId, Tenant, Topic};

pub use self::census::Census;
use self::checklist::Checklist;
pub use self::connection::{Connection, Profile};
pub use self::flusher::Flusher;
pub use self::followers::Followers;
pub use self::hold::{Caught, Hold};
use self::roll::Roll;
pub use self::tail::Question;
use crate::metrics::Metrics;
use crate::ws::outbox::Keep;

/// A topic of one tenant: the tenant is part of the key, so nothing crosses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TopicKey {
    /// The customer.
    pub tenant: Tenant,
    /// The topic.
    pub topic: Topic,
}

impl TopicKey {
    /// The key of `topic` of `tenant`; costs two counters.
    pub fn new(tenant: &Tenant, topic: &Topic) -> Self {
        Self { tenant: tenant.clone(), topic: topic.clone() }
    }
}

/// A frame on its way to local sockets.
#[derive(Debug, Clone)]
pub struct Delivery<'a> {
    /// The customer.
    pub tenant: &'a Tenant,
    /// Whom it is for.
    pub topic: &'a Topic,
    /// The conflation key, hashed; 0 where nothing conflates.
    pub conflation: u64,
    /// The frame.
    pub frame: &'a Bytes,
    /// The connection that sent it and gets no echo; its number on this node.
    pub except: Option<u64>,
    /// Connections that follow this topic as well get the same there, and are left out.
    pub spared: Option<&'a Topic>,
}

/// All connections of this node.
#[derive(Debug, Default)]
pub struct Hub {
    connections: DashMap<ConnectionId, std::sync::Arc<Connection>, RandomState>,
    topics: DashMap<TopicKey, Followers, RandomState>,
    checklist: Checklist,
    roll: Roll,
    census: Census,
    vocabulary: std::sync::Arc<Vocabulary>,
    metrics: Metrics,
}

type Shared = std::sync::Arc<Connection>;

impl Hub {
    /// An empty hub that counts in `metrics`, and takes for groups what the vocabulary says.
    pub fn new(metrics: Metrics, vocabulary: std::sync::Arc<Vocabulary>) -> Self {
        Self { metrics, vocabulary, ..Self::default() }
    }

    /// Takes a connection in; it follows no topic yet but its own `connection:`.
    pub fn insert(&self, connection: &Shared) {
        let before = self.connections.insert(connection.id().clone(), Shared::clone(connection));
        if let Some(before) = before {
            self.census.strike(before.profile());
        }
        self.census.add(connection.profile());
        self.roll.add(connection);
    }

    /// Takes the connection out, with all its topics. Returns the topics it followed.
    pub fn remove(&self, connection: &Shared) -> Vec<Topic> {
        let held = self.connections.remove_if(connection.id(), |_, held| Shared::ptr_eq(held, connection));
        if held.is_some() {
            self.census.strike(connection.profile());
        }
        self.roll.strike(connection);
        let topics = connection.take_topics();
        for topic in topics.iter().chain([&connection_topic(connection)]) {
            self.drop_member(connection, topic);
        }
        topics
    }

    /// Lets the connection follow a topic, and wait for what `hold` says; false if it already did.
    pub fn join(&self, connection: &Shared, topic: &Topic, hold: Option<Hold>) -> bool {
        let key = TopicKey::new(&connection.profile().tenant, topic);
        let mut entry = self.topics.entry(key).or_default();
        // The map's own copy of the topic is what the connection keeps, so that its text exists once.
        let shared = entry.key().topic.clone();
        if !connection.add_topic(shared) {
            return false;
        }
        if entry.members.is_empty() && self.is_group(entry.key()) {
            self.checklist.add(entry.key());
        }
        entry.add(Shared::clone(connection), hold);
        true
    }

    /// Ends that; false if it did not follow the topic.
    pub fn part(&self, connection: &Shared, topic: &Topic) -> bool {
        let followed = connection.drop_topic(topic);
        if followed {
            self.drop_member(connection, topic);
        }
        followed
    }

    fn drop_member(&self, connection: &Shared, topic: &Topic) {
        let key = TopicKey::new(&connection.profile().tenant, topic);
        self.topics.remove_if_mut(&key, |_, followers| {
            followers.remove(connection.number());
            let is_nobodys = followers.members.is_empty();
            if is_nobodys && (followers.has_tail() || self.is_group(&key)) {
                self.checklist.strike(&key);
            }
            is_nobodys
        });
    }

    fn is_group(&self, key: &TopicKey) -> bool {
        !self.vocabulary.is_point_kind(key.topic.kind())
    }

    /// Works on a topic that somebody here follows, with its place in the table locked: short work only.
    pub fn with<R>(&self, key: &TopicKey, work: impl FnOnce(&mut Followers) -> R) -> Option<R> {
        if key.topic.kind() == "connection" {
            self.follow_itself(key);
        }
        let mut followers = self.topics.get_mut(key)?;
        let had_tail = followers.has_tail();
        let done = work(&mut followers);
        if !had_tail && followers.has_tail() {
            self.checklist.add(key);
        }
        Some(done)
    }

    /// A connection's own `connection:` topic has a place in the table from its first stored message on.
    fn follow_itself(&self, key: &TopicKey) {
        let connection = ConnectionId::try_new(key.topic.id()).ok().and_then(|id| self.get(&id));
        let of_tenant = connection.filter(|connection| connection.profile().tenant == key.tenant);
        let Some(connection) = of_tenant else { return };
        let mut followers = self.topics.entry(key.clone()).or_default();
        if followers.members.is_empty() && self.holds(&connection) {
            followers.add(connection, None);
        }
        let is_nobodys = followers.members.is_empty();
        drop(followers);
        if is_nobodys {
            self.topics.remove_if(key, |_, followers| followers.members.is_empty());
        }
    }

    /// Queues the frame on every local socket that follows the topic. Returns how many follow it.
    pub fn deliver(&self, delivery: &Delivery<'_>) -> usize {
        if delivery.topic.kind() == "connection" {
            return self.deliver_to_connection(delivery);
        }
        let key = TopicKey::new(delivery.tenant, delivery.topic);
        let Some(followers) = self.topics.get(&key) else { return 0 };
        let told = followers.members.iter().filter(|member| !followers.is_joining(member.number()));
        told.for_each(|connection| self.queue(connection, delivery));
        followers.members.len()
    }

    fn deliver_to_connection(&self, delivery: &Delivery<'_>) -> usize {
        let connection = ConnectionId::try_new(delivery.topic.id()).ok().and_then(|id| self.get(&id));
        match connection.filter(|connection| connection.profile().tenant == *delivery.tenant) {
            Some(connection) => {
                self.queue(&connection, delivery);
                1
            }
            None => 0,
        }
    }

    fn queue(&self, connection: &Shared, delivery: &Delivery<'_>) {
        let is_spared = || delivery.spared.is_some_and(|topic| connection.follows(topic));
        if delivery.except == Some(connection.number()) || is_spared() {
            return;
        }
        let keep = Keep::Ephemeral { conflation: delivery.conflation };
        self.metrics.count_push(connection.deliver(delivery.frame.clone(), keep));
    }

    /// The connection of that id.
    pub fn get(&self, id: &ConnectionId) -> Option<Shared> {
        self.connections.get(id).map(|held| Shared::clone(&held))
    }

    /// Whether this very connection is still here.
    pub fn holds(&self, connection: &Shared) -> bool {
        self.connections.get(connection.id()).is_some_and(|held| Shared::ptr_eq(&held, connection))
    }

    /// How many connections there are of which kind.
    pub fn census(&self) -> &Census {
        &self.census
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// Calls `visit` with each connection. No lock is held on the topics; short work only.
    pub fn for_each(&self, mut visit: impl FnMut(&Shared)) {
        self.connections.iter().for_each(|held| visit(&held));
    }

    /// Calls `visit` with each connection whose number `choose` picks, in steps, within half a second: whoever has a message
    /// does not wait behind all of them, as with [`for_each`](Self::for_each).
    pub async fn walk(&self, choose: impl Fn(u64) -> bool, visit: impl FnMut(&Shared)) {
        self.roll.walk(choose, visit).await;
    }

    /// The next connections behind that number on this node, `size` at most, in their order.
    pub fn page(&self, after: Option<u64>, size: usize) -> Vec<Shared> {
        self.roll.page(after, size)
    }

    /// The number of who came last; `None`: nobody is here.
    pub fn newest(&self) -> Option<u64> {
        self.roll.newest()
    }

    /// All connections, as they are now.
    pub fn snapshot(&self) -> Vec<Shared> {
        let mut all = Vec::with_capacity(self.len());
        self.for_each(|connection| all.push(Shared::clone(connection)));
        all
    }

    /// The tenant's topics that somebody here follows, with how many do, in no order.
    pub fn topics(&self, tenant: &Tenant) -> Vec<(Topic, usize)> {
        let of_tenant = self.topics.iter().filter(|entry| entry.key().tenant == *tenant);
        of_tenant.map(|entry| (entry.key().topic.clone(), entry.value().members.len())).collect()
    }

    /// Of the groups and of the other topics that have a log here those that `choose` picks.
    pub fn pick_logged<T>(&self, choose: impl Fn(&TopicKey, &Followers) -> Option<T>) -> Vec<T> {
        let listed = self.checklist.all().into_iter();
        listed
            .filter_map(|key| self.topics.get(&key).and_then(|followers| choose(&key, &followers)))
            .collect()
    }

    /// Of all topics that somebody here follows those that `choose` picks. It takes its time: whoever has a message waits.
    pub fn pick<T>(&self, choose: impl Fn(&TopicKey, &Followers) -> Option<T>) -> Vec<T> {
        self.topics.iter().filter_map(|entry| choose(entry.key(), entry.value())).collect()
    }

    /// How many topics somebody here follows.
    pub fn topics_len(&self) -> usize {
        self.topics.len()
    }
}

fn connection_topic(connection: &Connection) -> Topic {
    Topic::of("connection", connection.id().as_str())
        .expect("connection ids have the characters of topic ids")
}

#[cfg(test)]
pub(crate) mod tests;
