//! Orders: who is looking at one, and who has accepted it.
//!
//! An acceptance is written once, in the same step in which everybody is told and in which that is stored in the
//! log of the order. It needs no lock; but who holds
//! the lock `order:ID` keeps others from accepting meanwhile, and both count their fences in one row.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use signalbox_protocol::{Agent, OrderId, RequestId, Resource, Tenant, Topic};

use crate::Error;

/// How long somebody counts as looking at an order after saying so.
pub const VIEWED: Duration = Duration::from_secs(5 * 60);
/// How long an acceptance is remembered.
pub const ACCEPTED_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// Most viewers that are told by name.
pub const VIEWERS_MAX: usize = 1_000;

/// Who is looking at an order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Viewers {
    /// How many.
    pub count: u64,
    /// Who, in the order of their names; at most [`VIEWERS_MAX`].
    pub viewers: Vec<Agent>,
    /// Whether the call that answered this changed who they are.
    pub changed: bool,
}

/// A wish to accept an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acceptance {
    /// The customer.
    pub tenant: Tenant,
    /// The order.
    pub order_id: OrderId,
    /// Who accepts.
    pub by: Agent,
    /// The principal behind, to whom `request_id` belongs.
    pub subject: String,
    /// Makes a retry known whichever agent of the subject asks; who accepted needs none.
    pub request_id: Option<RequestId>,
    /// The event that tells everybody: one envelope in JSON, cut where the fence goes as a number.
    pub event: [Bytes; 2],
}

impl Acceptance {
    /// The lock that keeps others from accepting.
    pub(crate) fn resource(&self) -> Resource {
        Resource::from(&topic(&self.order_id))
    }
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// The order is accepted, by this request or by the one that it repeats.
    Accepted {
        /// Who accepted it.
        by: Agent,
        /// Greater than every fence of the lock of this order before.
        fence: u64,
        /// It was accepted, and told to the followers of the order, just now.
        first: bool,
        /// The event, until [`Orders::announced`] says that it was told to whoever else has to know.
        event: Option<Bytes>,
    },
    /// It is not; nothing was changed and nobody was told.
    Denied {
        /// Why.
        reason: AcceptanceDenied,
        /// Who accepted it, or holds its lock.
        held_by: Agent,
    },
}

/// Why an order can't be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcceptanceDenied {
    /// Somebody else has accepted it.
    Accepted,
    /// Somebody else holds its lock.
    Locked,
}

/// The orders of tenants, as far as nodes share them. Errors as for [`Locks`](crate::Locks).
#[async_trait]
pub trait Orders: Send + Sync + std::fmt::Debug {
    /// Notes that an agent looks at an order, for [`VIEWED`] from now, or that it no longer does.
    async fn view(
        &self,
        tenant: &Tenant,
        order_id: &OrderId,
        agent: &Agent,
        viewing: bool,
    ) -> Result<Viewers, Error>;

    /// Who is looking at an order.
    async fn viewers(&self, tenant: &Tenant, order_id: &OrderId) -> Result<Viewers, Error>;

    /// Accepts an order, unless somebody else has or holds its lock. In the same step the event is stored in the log
    /// of `order:ID`, and its followers are told, those on this node included.
    async fn accept(&self, acceptance: &Acceptance) -> Result<Accepted, Error>;

    /// The acceptance of an order was told to whoever else has to know.
    async fn announced(&self, tenant: &Tenant, order_id: &OrderId) -> Result<(), Error>;
}

/// The topic of an order.
pub(crate) fn topic(order_id: &OrderId) -> Topic {
    Topic::of("order", order_id.as_str()).expect("an order's id is that of a topic")
}
