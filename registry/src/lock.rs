//! Locks: at most one holder of a resource at a time, a number with each grant that only ever grows, and a
//! line in which whoever waits comes first who came first.
//!
//! A lock ends with its time to live, whatever its holder believes; so it is for politeness. What must not
//! happen twice is refused by the *fence* of the grant, checked where the change is committed.
//! Whoever knows the token holds the lock: it may come from another connection than the one that asked.

pub(crate) mod tally;

use std::time::Duration;

use async_trait::async_trait;
use signalbox_protocol::{Agent, RequestId, Resource, Tenant};
use tokio::time::Instant;
use uuid::Uuid;

use crate::Error;

/// How long the one whose turn it is has to take the lock, before the next in line gets the turn.
pub const TURN: Duration = Duration::from_millis(250);
/// How long a resource's fence is remembered after its latest grant. The next one is greater all the same,
/// as long as clocks don't run backwards.
pub const FENCE_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// The longest time to live; a longer one is cut. A fence outlives its lock.
pub const TTL_MAX: Duration = FENCE_KEPT;
/// The longest wait; a longer one is cut.
pub const WAIT_MAX: Duration = Duration::from_secs(60 * 60);
/// Most that stand in line for one resource; whoever comes then is denied.
pub const WAITERS_MAX: usize = 4_096;

/// A wish for a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The customer.
    pub tenant: Tenant,
    /// What to lock.
    pub resource: Resource,
    /// Who will hold it: what others are told.
    pub owner: Agent,
    /// The principal behind the owner, to whom `request_id` belongs.
    pub subject: String,
    /// Makes a retry safe: the same subject with the same id gets the grant that stands, if it is its own.
    pub request_id: Option<RequestId>,
    /// How long the lock lasts unless it is renewed, in whole milliseconds: at least one, at most [`TTL_MAX`].
    pub ttl: Duration,
    /// How long to stand in line for it, at most [`WAIT_MAX`]; zero for not at all.
    pub wait: Duration,
}

impl Ask {
    /// Until when to wait, if at all.
    pub(crate) fn waits_until(&self) -> Option<Instant> {
        (!self.wait.is_zero()).then(|| Instant::now() + self.wait.min(WAIT_MAX))
    }
}

/// A lock that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The secret that proves it: 32 hexadecimal digits.
    pub token: String,
    /// Greater than that of every earlier grant of this resource; below 2^53.
    pub fence: u64,
    /// How long it lasts from now.
    pub ttl: Duration,
}

/// A lock that is not held by whoever asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Who holds it now; `None` where nobody does, be it free or promised to somebody in line.
    pub held_by: Option<Agent>,
    /// When asking again may help. The lock may have been renewed until then.
    pub retry_after: Duration,
}

/// What came of asking for a lock, or of renewing one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acquired {
    /// It is held.
    Granted(Grant),
    /// It is not; nothing was changed.
    Denied(Denial),
}

/// What came of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Released {
    /// The lock is no longer held.
    Released,
    /// The token is not, or no longer, that of the holder; nothing was changed.
    Denied(Denial),
}

/// What anybody may know of a lock that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// What is locked.
    pub resource: Resource,
    /// Who holds it.
    pub owner: Agent,
    /// The fence of the grant.
    pub fence: u64,
    /// How long it lasts from now.
    pub remaining: Duration,
    /// How many stand in line for it.
    pub waiters: u64,
}

/// Some of the locks of a tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldPage {
    /// In no order; may be empty though more follow.
    pub items: Vec<Held>,
    /// What the next page is asked for with; `None` after the last.
    pub cursor: Option<String>,
}

/// What became of the locks that one node was asked for, since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LockCounters {
    /// Grants, repeated answers to a retry not among them.
    pub grants: u64,
    /// Denials of an acquisition, after waiting or at once.
    pub denials: u64,
    /// Renewals.
    pub renewals: u64,
    /// Releases.
    pub releases: u64,
    /// Renewals and releases that were denied.
    pub refusals: u64,
    /// Acquisitions that stood in line.
    pub waits: u64,
    /// Turns that waiters of this node were told of.
    pub wakes: u64,
    /// Locks that this node found expired while somebody waited for them.
    pub expiries: u64,
    /// Turns that this node found unused.
    pub turns_missed: u64,
    /// Acquisitions that stand in line now.
    pub waiting: u64,
}

/// Locks on the resources of tenants.
///
/// What changes something answers [`Error::Unavailable`] if nothing was done and [`Error::OutcomeUnknown`] if it
/// may have been, or may still be for the longest wait of a command; then ask again with the same `request_id`.
#[async_trait]
pub trait Locks: Send + Sync + std::fmt::Debug {
    /// Takes a lock, or stands in line for it for up to `ask.wait`; the line is served in the order of arrival.
    /// While somebody stands in line whoever else comes is denied, or lines up behind.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the line. A grant that was on its way is given back, unless the ask has a
    /// `request_id` with which it can still be claimed.
    async fn acquire(&self, ask: &Ask) -> Result<Acquired, Error>;

    /// Lets a lock last for its time to live again, or from now on for another.
    async fn renew(
        &self,
        tenant: &Tenant,
        resource: &Resource,
        token: &str,
        ttl: Option<Duration>,
    ) -> Result<Acquired, Error>;

    /// Ends a lock, and gives the turn to the first in line.
    async fn release(&self, tenant: &Tenant, resource: &Resource, token: &str) -> Result<Released, Error>;

    /// Who holds a resource; `None` if nobody does.
    async fn inspect(&self, tenant: &Tenant, resource: &Resource) -> Result<Option<Held>, Error>;

    /// The locks of a tenant, at most `limit` at a time: for operators, since it looks at every key that
    /// there is. `cursor` is the one of the page before. What changes meanwhile may be told or not.
    ///
    /// # Errors
    /// [`Error::Unreadable`] when `cursor` is not one of those.
    async fn list(&self, tenant: &Tenant, cursor: Option<&str>, limit: usize) -> Result<HeldPage, Error>;

    /// What became of the locks that this node was asked for.
    fn counters(&self) -> LockCounters;
}

/// A time to live as it is kept: whole milliseconds within the bounds.
pub(crate) fn ttl_ms(ttl: Duration) -> u64 {
    ttl.min(TTL_MAX).as_millis().max(1) as u64
}

/// Characters of a token.
pub(crate) const TOKEN_CHARS: usize = 32;

/// A new token: 128 bits that nobody can guess.
pub(crate) fn new_token() -> String {
    // Each of the two has 6 bits that are known, in other places after the rotation.
    let (one, other) = (Uuid::new_v4().as_u128(), Uuid::new_v4().as_u128());
    format!("{:032x}", one ^ other.rotate_left(64))
}
