//! One connection as the rest of the node sees it: who it is, its outbox, what it did. Only its own task reads the
//! socket and waits for it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use signalbox_protocol::{Agent, ConnectionId, NodeId, SessionId, Tenant, Topic};
use signalbox_registry::Row;
use signalbox_registry::row::Generation;

use super::Flusher;
use crate::rights::{Grant, Rights};
use crate::ws::outbox::{Bounds, Keep, Outbox, Pushed};

/// Who a connection is; fixed at its handshake.
#[derive(Debug)]
pub struct Profile {
    /// The customer.
    pub tenant: Tenant,
    /// Who is talking.
    pub agent: Agent,
    /// The principal behind it; `None`: the agent itself.
    pub subject: Option<Box<str>>,
    /// The topic `session:S` of its session.
    pub session: Topic,
    /// Whether the client named that session.
    pub session_named: bool,
    /// Its business area.
    pub pillar: Option<Box<str>>,
    /// The namespace that it joined by its path.
    pub namespace: Option<Box<str>>,
    /// Milliseconds since 1970.
    pub connected_at_ms: u64,
}

impl Profile {
    /// The session's id.
    pub fn session_id(&self) -> SessionId {
        SessionId::try_new(self.session.id()).expect("a session topic was made of a session id")
    }

    /// The principal: what was told, or the agent's own name.
    pub fn subject(&self) -> &str {
        self.subject.as_deref().unwrap_or(self.agent.as_str())
    }
}

/// A connection's handle; shared by the hub, its own task and whoever delivers to it.
#[derive(Debug)]
pub struct Connection {
    id: ConnectionId,
    number: u64,
    profile: Profile,
    outbox: Outbox,
    flusher: Arc<Flusher>,
    /// What its token grants; empty without one. Replaced when it shows another.
    grant: ArcSwapOption<Grant>,
    /// Every topic it follows but `connection:`; joined and parted by its own task only.
    topics: Mutex<Vec<Topic>>,
    /// What it sent and got, written by its own task and its flusher.
    pub traffic: Traffic,
}

/// Counts of one connection since it began, and when it came and was last heard (seconds since the node's start).
#[derive(Debug, Default)]
pub struct Traffic {
    pub messages_in: AtomicU32,
    pub messages_out: AtomicU32,
    pub bytes_in: AtomicU64,
    pub bytes_out: AtomicU64,
    pub errors: AtomicU32,
    pub opened_at: AtomicU32,
    pub heard_at: AtomicU32,
    pub pinged_at: AtomicU32,
}

impl Connection {
    /// A connection of `node` with nothing queued and no topics. `flusher` writes what is delivered to it.
    pub fn new(
        (node, number): (&NodeId, u64),
        profile: Profile,
        bounds: Bounds,
        flusher: Arc<Flusher>,
    ) -> Self {
        Self {
            id: ConnectionId::of_node(node, number),
            number,
            profile,
            outbox: Outbox::new(bounds),
            flusher,
            grant: ArcSwapOption::empty(),
            topics: Mutex::default(),
            traffic: Traffic::default(),
        }
    }

    /// Its id, known to the whole cluster.
    pub fn id(&self) -> &ConnectionId {
        &self.id
    }

    /// Its number on this node.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Who it is.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// What its token grants; `None`: it came without one.
    pub fn grant(&self) -> Option<Arc<Grant>> {
        self.grant.load_full()
    }

    /// Holds it to another grant from its next message on. Topics that it follows already stay.
    pub fn set_grant(&self, grant: impl Into<Arc<Grant>>) {
        self.grant.store(Some(grant.into()));
    }

    /// What it may do now.
    pub fn rights(&self) -> Rights {
        Rights::of(self.grant())
    }

    /// Queues a frame that others sent; it leaves with the next flush.
    pub fn deliver(self: &Arc<Self>, frame: Bytes, keep: Keep) -> Pushed {
        let (pushed, is_to_be_told) = self.outbox.push_for_flush(frame, keep);
        if is_to_be_told {
            self.flusher.tell(self);
        }
        pushed
    }

    /// Who writes what is delivered to it.
    pub fn flusher(&self) -> &Arc<Flusher> {
        &self.flusher
    }

    /// Pings the client with the next flush.
    pub fn ping(self: &Arc<Self>) {
        if self.outbox.ping_for_flush() {
            self.flusher.tell(self);
        }
    }

    /// Where answers to it go, and what closes it.
    pub fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// The namespaces it is in now, sorted.
    pub fn namespaces(&self) -> Vec<String> {
        let topics = self.lock_topics();
        let mut names: Vec<String> = topics
            .iter()
            .filter(|topic| topic.kind() == "namespace")
            .map(|topic| topic.id().to_owned())
            .collect();
        names.sort_unstable();
        names
    }

    /// How many topics it joined beyond its own.
    pub fn joined_len(&self) -> usize {
        // Its own are the session, the agent, the agent type, and what it told of itself.
        let told = [self.profile.pillar.is_some(), self.profile.namespace.is_some()];
        let own = 3 + told.into_iter().filter(|told| *told).count();
        self.lock_topics().len().saturating_sub(own)
    }

    /// The topics that it follows now, but `connection:`.
    pub fn topics(&self) -> Vec<Topic> {
        self.lock_topics().clone()
    }

    /// Whether it follows the topic.
    pub fn follows(&self, topic: &Topic) -> bool {
        self.lock_topics().contains(topic)
    }

    /// Its directory record, as of now.
    pub fn row(&self, node_id: &NodeId, generation: Generation, activity_ms: u64) -> Row {
        Row {
            connection_id: self.id.clone(),
            tenant: self.profile.tenant.clone(),
            agent: self.profile.agent.clone(),
            session_id: self.profile.session_id(),
            session_named: self.profile.session_named,
            pillar: self.profile.pillar.as_deref().map(str::to_owned),
            namespaces: self.namespaces(),
            node_id: node_id.clone(),
            generation,
            connected_at_ms: self.profile.connected_at_ms,
            last_activity_ms: activity_ms,
        }
    }

    pub(super) fn add_topic(&self, topic: Topic) -> bool {
        let mut topics = self.lock_topics();
        let new = !topics.contains(&topic);
        if new {
            // Exact growth: most connections follow a handful for their whole life.
            topics.reserve_exact(1);
            topics.push(topic);
        }
        new
    }

    pub(super) fn drop_topic(&self, topic: &Topic) -> bool {
        let mut topics = self.lock_topics();
        let place = topics.iter().position(|followed| followed == topic);
        place.map(|place| topics.swap_remove(place)).is_some()
    }

    pub(super) fn take_topics(&self) -> Vec<Topic> {
        std::mem::take(&mut *self.lock_topics())
    }

    fn lock_topics(&self) -> MutexGuard<'_, Vec<Topic>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Traffic {
    /// Notes that it begins.
    pub fn opened(&self, at_seconds: u32) {
        self.opened_at.store(at_seconds, Relaxed);
        self.heard_at.store(at_seconds, Relaxed);
    }

    /// Notes that bytes arrived.
    pub fn heard(&self, bytes: usize, at_seconds: u32) {
        self.bytes_in.fetch_add(bytes as u64, Relaxed);
        self.heard_at.store(at_seconds, Relaxed);
    }

    /// Notes what was written.
    pub fn wrote(&self, messages: usize, bytes: usize) {
        self.messages_out.fetch_add(messages as u32, Relaxed);
        self.bytes_out.fetch_add(bytes as u64, Relaxed);
    }
}
