//! The bus between nodes of one process: a post is delivered by whoever posts, through the receiver's inbox.
//!
//! The inbox keeps what the Redis bus keeps: one listener call at a time, in the order of the posts, and a
//! post made inside a listener waits its turn instead of nesting. A lone node finds nobody else on the
//! exchange and pays one atomic read per post.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, RwLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use signalbox_protocol::{NodeId, Tenant, Topic};

use crate::bus::{Announcement, Break, BusCounters, BusHealth};
use crate::mutex::lock;
use crate::{Bus, BusListener, Destination, Error, Logged, Parcel};

/// Most parcels that wait for one node's listener; only a listener that is being called lets any wait.
const INBOX_PARCELS_MAX: usize = 65_536;

/// Where the nodes of one process find each other.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    nodes: RwLock<HashMap<NodeId, Weak<MemoryBus>>>,
    /// Nodes on the exchange, gone ones included until somebody joins.
    count: AtomicUsize,
    groups: RwLock<HashMap<(Tenant, Topic), Vec<NodeId>>>,
}

impl Exchange {
    fn find(&self, node: &NodeId) -> Option<Arc<MemoryBus>> {
        self.nodes.read().expect("nothing panics while it holds this lock").get(node)?.upgrade()
    }

    /// Tells every node that follows the topic. What a full inbox refuses is counted there.
    pub(super) fn announce(&self, announcement: &Announcement) {
        let group = (announcement.tenant.clone(), announcement.topic.clone());
        self.tell_followers(&group, || Arrival::Announcement(announcement.clone()));
    }

    /// Tells every node that follows the topic of a message of its log.
    pub(super) fn tell(&self, logged: &Logged) {
        let group = (logged.tenant.clone(), logged.topic.clone());
        self.tell_followers(&group, || Arrival::Logged(logged.clone()));
    }

    fn tell_followers(&self, group: &(Tenant, Topic), arrival: impl Fn() -> Arrival) {
        let groups = self.groups.read().expect("nothing panics while it holds this lock");
        let nodes = groups.get(group).cloned().unwrap_or_default();
        drop(groups);
        for node in nodes.iter().filter_map(|node| self.find(node)) {
            if !node.take_in(arrival()) {
                lock(&node.counters).parcels_dropped += 1;
            }
        }
    }

    /// The nodes other than `origin` that a destination stands for.
    fn receivers(&self, to: &Destination, origin: &NodeId) -> Vec<Arc<MemoryBus>> {
        match to {
            Destination::Node(node) if node == origin => Vec::new(),
            Destination::Node(node) => self.find(node).into_iter().collect(),
            Destination::Group(tenant, topic) => {
                let groups = self.groups.read().expect("nothing panics while it holds this lock");
                let nodes = groups.get(&(tenant.clone(), topic.clone())).cloned().unwrap_or_default();
                drop(groups);
                nodes.iter().filter(|node| *node != origin).filter_map(|node| self.find(node)).collect()
            }
        }
    }
}

#[derive(Debug)]
enum Arrival {
    Parcel(NodeId, Parcel),
    Announcement(Announcement),
    Logged(Logged),
    Break(Break),
}

#[derive(Debug, Default)]
struct Inbox {
    waiting: VecDeque<Arrival>,
    /// Somebody is calling the listener, and goes on until nothing waits.
    open: bool,
}

/// One node's end.
pub(super) struct MemoryBus {
    node: NodeId,
    exchange: Arc<Exchange>,
    listener: OnceLock<Arc<dyn BusListener>>,
    inbox: Mutex<Inbox>,
    followed: Mutex<HashMap<(Tenant, Topic), u64>>,
    counters: Mutex<BusCounters>,
}

impl fmt::Debug for MemoryBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBus").field("node", &self.node).finish_non_exhaustive()
    }
}

impl MemoryBus {
    pub(super) fn join(exchange: &Arc<Exchange>, node: NodeId) -> Arc<Self> {
        let bus = Arc::new(Self {
            node: node.clone(),
            exchange: Arc::clone(exchange),
            listener: OnceLock::new(),
            inbox: Mutex::default(),
            followed: Mutex::default(),
            counters: Mutex::default(),
        });
        let mut nodes = exchange.nodes.write().expect("nothing panics while it holds this lock");
        nodes.retain(|_, node| node.strong_count() > 0);
        nodes.insert(node, Arc::downgrade(&bus));
        exchange.count.store(nodes.len(), Ordering::Release);
        drop(nodes);
        bus
    }

    /// Hands a parcel to every receiver; how many took it.
    fn send(&self, to: &Destination, parcel: &Parcel) -> Result<u64, Error> {
        if matches!(to, Destination::Group(..)) && self.exchange.count.load(Ordering::Acquire) < 2 {
            return Ok(0);
        }
        let receivers = self.exchange.receivers(to, &self.node);
        let mut taken = 0;
        for receiver in &receivers {
            taken += u64::from(receiver.take_in(Arrival::Parcel(self.node.clone(), parcel.clone())));
        }
        let refused = receivers.len() as u64 - taken;
        let nobody = u64::from(receivers.is_empty() && matches!(to, Destination::Node(_)));
        let mut counters = lock(&self.counters);
        counters.parcels_dropped += refused + nobody;
        counters.batches_out += u64::from(taken > 0);
        counters.parcels_out += u64::from(taken > 0);
        if let (Parcel::Deliver { frame, .. }, 1..) = (parcel, taken) {
            counters.bytes_out += frame.len() as u64;
        }
        drop(counters);
        if refused > 0 { Err(Error::BusFull { to: format!("{to:?}") }) } else { Ok(taken) }
    }

    /// Puts an arrival in line and, unless somebody is at it, calls the listener until nothing waits.
    /// False when the line is full.
    fn take_in(&self, arrival: Arrival) -> bool {
        let mut inbox = lock(&self.inbox);
        if inbox.waiting.len() >= INBOX_PARCELS_MAX {
            return false;
        }
        inbox.waiting.push_back(arrival);
        if std::mem::replace(&mut inbox.open, true) {
            return true;
        }
        while let Some(next) = inbox.waiting.pop_front() {
            drop(inbox);
            self.hand_over(next);
            inbox = lock(&self.inbox);
        }
        inbox.open = false;
        true
    }

    fn hand_over(&self, arrival: Arrival) {
        let Some(listener) = self.listener.get() else { return };
        match arrival {
            Arrival::Parcel(from, parcel) => {
                let mut counters = lock(&self.counters);
                counters.batches_in += 1;
                counters.parcels_in += 1;
                drop(counters);
                listener.on_parcel(&from, parcel);
            }
            Arrival::Announcement(announcement) => {
                lock(&self.counters).announcements_in += 1;
                listener.on_announcement(announcement);
            }
            Arrival::Logged(logged) => {
                lock(&self.counters).announcements_in += 1;
                listener.on_logged(logged);
            }
            Arrival::Break(what) => listener.on_break(what),
        }
    }
}

#[async_trait]
impl Bus for MemoryBus {
    fn attach(&self, listener: Arc<dyn BusListener>) {
        assert!(self.listener.set(listener).is_ok(), "a listener is attached once");
    }

    fn post(&self, to: &Destination, parcel: Parcel) -> Result<(), Error> {
        self.send(to, &parcel).map(|_| ())
    }

    fn post_confirmed(&self, to: &Destination, parcel: Parcel) -> BoxFuture<'static, Result<u64, Error>> {
        std::future::ready(self.send(to, &parcel)).boxed()
    }

    async fn subscribe(&self, tenant: &Tenant, topic: &Topic) -> Result<(), Error> {
        let key = (tenant.clone(), topic.clone());
        let mut followed = lock(&self.followed);
        let count = followed.entry(key.clone()).or_default();
        *count += 1;
        if *count == 1 {
            let mut groups = self.exchange.groups.write().expect("nothing panics while it holds this lock");
            groups.entry(key).or_default().push(self.node.clone());
        }
        Ok(())
    }

    fn unsubscribe(&self, tenant: &Tenant, topic: &Topic) {
        let key = (tenant.clone(), topic.clone());
        let mut followed = lock(&self.followed);
        let Some(count) = followed.get_mut(&key) else { return };
        *count -= 1;
        if *count == 0 {
            followed.remove(&key);
            self.exchange.leave(&key, &self.node);
        }
    }

    fn resubscribe(&self) {
        lock(&self.counters).reconnects += 1;
        self.take_in(Arrival::Break(Break::Reconnected));
    }

    fn topics(&self) -> Vec<(Tenant, Topic, u64)> {
        let followed = lock(&self.followed);
        followed.iter().map(|((tenant, topic), count)| (tenant.clone(), topic.clone(), *count)).collect()
    }

    async fn followed(&self, tenant: &Tenant) -> Result<Vec<(Topic, u64)>, Error> {
        let groups = self.exchange.groups.read().expect("nothing panics while it holds this lock");
        let of_tenant = groups.iter().filter(|((of, _), _)| of == tenant);
        Ok(of_tenant.map(|((_, topic), nodes)| (topic.clone(), nodes.len() as u64)).collect())
    }

    fn health(&self) -> BusHealth {
        BusHealth { probe_age: Some(Duration::ZERO), healthy: true }
    }

    fn counters(&self) -> BusCounters {
        BusCounters { subscriptions: lock(&self.followed).len() as u64, ..*lock(&self.counters) }
    }
}

impl Exchange {
    /// Whether nobody follows anything.
    pub(super) fn is_silent(&self) -> bool {
        self.groups.read().expect("nothing panics while it holds this lock").is_empty()
    }

    fn leave(&self, group: &(Tenant, Topic), node: &NodeId) {
        let mut groups = self.groups.write().expect("nothing panics while it holds this lock");
        if let Some(nodes) = groups.get_mut(group) {
            nodes.retain(|other| other != node);
            if nodes.is_empty() {
                groups.remove(group);
            }
        }
    }
}

impl Drop for MemoryBus {
    fn drop(&mut self) {
        for group in lock(&self.followed).keys() {
            self.exchange.leave(group, &self.node);
        }
    }
}
