//! Which nodes are alive. One lease per node, so that a heartbeat costs one command per node and not
//! one per connection, and a dead node's connections vanish from every answer at once.

use std::time::Duration;

use async_trait::async_trait;
use signalbox_protocol::{Agent, NodeId, Tenant};
use thiserror::Error as ThisError;

use crate::Error;
use crate::row::Generation;

/// How long a lease lasts without a renewal.
pub const LEASE: Duration = Duration::from_secs(5);
/// How often a node renews it.
pub const RENEW_EVERY: Duration = Duration::from_millis(1_500);

/// What a node tells the others about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeCard {
    /// The node; lives as long as its process.
    pub node_id: NodeId,
    /// The generation that the lease is for.
    pub generation: Generation,
    /// Where it listens, `host:port`.
    pub address: String,
    /// Its version.
    pub version: String,
    /// When its process started, in milliseconds since 1970.
    pub started_at_ms: u64,
    /// Its counters, as the JSON text that the node wrote; the registry does not look inside.
    pub stats: String,
}

/// What came of a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// The lease was alive and lasts [`LEASE`] from now.
    Held,
    /// It was over: the node takes the next generation.
    Lost,
}

/// What a sweep did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Ended leases whose rows are now gone.
    pub leases: u64,
    /// Rows removed.
    pub rows: u64,
    /// Agents of type `service` of which no live connection is left.
    pub departed_services: Vec<(Tenant, Agent)>,
}

/// Why a lease was refused: this generation, or a later one of the node, has had its lease already.
#[derive(Debug, ThisError, Clone, Copy, PartialEq, Eq)]
#[error("generation {0} is over: the node takes the next one")]
pub struct GenerationOver(pub Generation);

/// Proof of life of the nodes.
#[async_trait]
pub trait Lease: Send + Sync + std::fmt::Debug {
    /// Begins the lease of `card.generation`, and ends those of the node's earlier generations. A caller
    /// takes [`next_generation`](crate::ThisNode::next_generation) before each attempt: a generation
    /// whose lease is over stays over.
    ///
    /// # Errors
    /// [`Error::Refused`] with [`GenerationOver`] for a generation that is over.
    async fn acquire(&self, card: &NodeCard) -> Result<(), Error>;

    /// Extends the lease and stores the card, but only if the lease is still alive.
    async fn renew(&self, card: &NodeCard) -> Result<Renewal, Error>;

    /// Ends the lease of this generation at once. What rows are left are swept.
    async fn release(&self, node_id: &NodeId, generation: Generation) -> Result<(), Error>;

    /// The live nodes, ordered by id.
    async fn live(&self) -> Result<Vec<NodeCard>, Error>;

    /// Removes the rows of ended leases, one sweeper at a time in the cluster: whoever comes while
    /// another sweeps returns at once with nothing done. Removes rows of those generations only.
    async fn sweep(&self) -> Result<Swept, Error>;
}
