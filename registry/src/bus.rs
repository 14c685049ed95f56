//! How a node hands frames to other nodes: to one node, or to all nodes that follow a group topic.
//!
//! The bus coalesces: while one batch to a destination is under way, what comes next for it gathers and
//! goes as the next batch. Batches to one destination arrive in the order in which they were queued.

pub mod announce;
pub mod batch;
pub mod logged;
pub(crate) mod streams;
pub(crate) mod wake;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use signalbox_protocol::{ConnectionId, NodeId, Tenant, Topic};

pub use self::announce::Announcement;
use crate::Error;
use crate::log::Logged;

/// Where a parcel goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Destination {
    /// One node.
    Node(NodeId),
    /// Every other node that has subscribed to this group topic.
    Group(Tenant, Topic),
}

/// One thing carried from node to node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parcel {
    /// A frame for everybody local to a topic.
    Deliver {
        /// The customer.
        tenant: Tenant,
        /// Whom it is for. To a group destination this is that group's topic, and it is not sent twice.
        topic: Topic,
        /// The conflation key, hashed; 0 where nothing conflates.
        conflation: u64,
        /// What goes to the sockets, byte for byte.
        frame: Bytes,
    },
    /// The receiver closes this connection with this WebSocket close code.
    Close {
        /// The customer; a connection of another is left alone.
        tenant: Tenant,
        /// The connection.
        connection_id: ConnectionId,
        /// The close code.
        code: u16,
    },
    /// The receiver was believed to hold this point topic and does not: forget that route.
    NotHere {
        /// The customer.
        tenant: Tenant,
        /// The point topic.
        topic: Topic,
    },
    /// A message of the log of a point topic that the receiver holds.
    Logged(Logged),
    /// The receiver stops in order. Again: nothing more.
    Drain,
    /// Tokens were revoked: the receiver reads which.
    Revoked,
}

/// Why the continuity of what arrives is in doubt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Break {
    /// The subscription was down and is back, or Redis behind it was replaced: anything may have been missed.
    Reconnected,
    /// Batches from one node to one destination are missing.
    Gap {
        /// The sender.
        from: NodeId,
        /// How many batches.
        batches: u64,
    },
}

/// Receives what other nodes sent. Called from the task that reads the bus: must not block, must not
/// await, and puts what it gets into bounded queues.
pub trait BusListener: Send + Sync {
    /// A parcel arrived from `from`, never from this node itself.
    fn on_parcel(&self, from: &NodeId, parcel: Parcel);
    /// Something was announced to a topic that this node follows, by whichever node, this one included;
    /// in the order of the changes.
    fn on_announcement(&self, announcement: Announcement);
    /// A message was appended to the log of a group topic that this node follows, by whichever node, this one
    /// included. They come in the order of their offsets; some may be missing, and some may come late.
    fn on_logged(&self, logged: Logged);
    /// Continuity is in doubt.
    fn on_break(&self, what: Break);
}

/// How the bus is doing; see also the metrics of [`BusCounters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BusHealth {
    /// Age of the newest probe that came back; `None` before the first. The in-memory bus says zero.
    pub probe_age: Option<Duration>,
    /// A probe came back within the last two seconds, and every subscription stands.
    pub healthy: bool,
}

/// Counters of one node's bus, since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BusCounters {
    /// Batches handed to Redis (to the other nodes).
    pub batches_out: u64,
    /// Parcels in them.
    pub parcels_out: u64,
    /// Bytes in them.
    pub bytes_out: u64,
    /// Parcels that were given up: the queue was full, or the batch could not be published.
    pub parcels_dropped: u64,
    /// Batches received from other nodes.
    pub batches_in: u64,
    /// Parcels received.
    pub parcels_in: u64,
    /// Announcements and messages of logs received.
    pub announcements_in: u64,
    /// Batches refused because a newer one of the same stream had been seen.
    pub batches_late: u64,
    /// Batches missing between two that arrived.
    pub batches_missed: u64,
    /// Batches that could not be decoded.
    pub batches_malformed: u64,
    /// Bytes queued now.
    pub bytes_queued: u64,
    /// Group topics followed now.
    pub subscriptions: u64,
    /// Times that the subscription was renewed from scratch.
    pub reconnects: u64,
}

/// The bus of one node.
#[async_trait]
pub trait Bus: Send + Sync + std::fmt::Debug {
    /// Tells where parcels go; once, before anything is subscribed. What arrives earlier is dropped.
    fn attach(&self, listener: Arc<dyn BusListener>);

    /// Queues a parcel and returns at once. What later fails is counted as dropped.
    ///
    /// # Errors
    /// [`Error::BusFull`] or [`Error::Unavailable`]: nothing was queued, and it was counted as dropped.
    fn post(&self, to: &Destination, parcel: Parcel) -> Result<(), Error>;

    /// Queues a parcel, in the same order as [`Bus::post`], and waits until its batch was accepted.
    /// The answer is how many nodes got it. The parcel is queued when this is called, not when it is awaited.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: not sent. [`Error::OutcomeUnknown`]: may have been sent.
    fn post_confirmed(
        &self,
        to: &Destination,
        parcel: Parcel,
    ) -> futures_util::future::BoxFuture<'static, Result<u64, Error>>;

    /// Follows a group topic; returns once parcels for it are sure to arrive. Counted: each call needs
    /// one [`Bus::unsubscribe`].
    ///
    /// # Errors
    /// [`Error::Unavailable`]: the count was not raised.
    async fn subscribe(&self, tenant: &Tenant, topic: &Topic) -> Result<(), Error>;

    /// Takes one [`Bus::subscribe`] back.
    fn unsubscribe(&self, tenant: &Tenant, topic: &Topic);

    /// Drops the subscription and builds it anew, verified by a probe. For a node that lost its lease.
    fn resubscribe(&self);

    /// The topics followed now, with how often each was subscribed, in no order.
    fn topics(&self) -> Vec<(Tenant, Topic, u64)>;

    /// The group topics of the tenant that nodes of the cluster follow, each with how many nodes do; in no order.
    async fn followed(&self, tenant: &Tenant) -> Result<Vec<(Topic, u64)>, Error>;

    /// How it is doing.
    fn health(&self) -> BusHealth;

    /// What it did.
    fn counters(&self) -> BusCounters;
}
