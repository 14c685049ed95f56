//! What a node holds of its cluster: one handle per trait, all of one back end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use signalbox_protocol::NodeId;

use crate::memory::Commons;
use crate::redis::Scripts;
use crate::row::Generation;
use crate::{
    Announcement, Bus, Directory, Error, Lease, Locks, Log, Measured, Orders, Presence, Revocations,
};

/// The node that this process is: its id for life, its generation as leases come and go.
#[derive(Debug)]
pub struct ThisNode {
    id: NodeId,
    generation: AtomicU32,
}

impl ThisNode {
    /// A node that has held no lease yet (generation 0).
    pub fn new(id: NodeId) -> Arc<Self> {
        Arc::new(Self { id, generation: AtomicU32::new(0) })
    }

    /// Its id.
    pub fn id(&self) -> &NodeId {
        &self.id
    }

    /// The generation of its latest lease; 0 before the first.
    pub fn generation(&self) -> Generation {
        self.generation.load(Ordering::Acquire)
    }

    /// Steps to the next generation and returns it. Only the task that keeps the lease calls this.
    pub fn next_generation(&self) -> Generation {
        self.generation.fetch_add(1, Ordering::AcqRel) + 1
    }
}

/// One node's view of what the nodes share.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// The node that looks.
    pub node: Arc<ThisNode>,
    /// Which connections exist.
    pub directory: Arc<dyn Directory>,
    /// Who is in a group.
    pub presence: Arc<dyn Presence>,
    /// How frames reach other nodes.
    pub bus: Arc<dyn Bus>,
    /// Which nodes are alive.
    pub lease: Arc<dyn Lease>,
    /// Locks on resources.
    pub locks: Arc<dyn Locks>,
    /// Who looks at an order, and who accepted it.
    pub orders: Arc<dyn Orders>,
    /// The messages of durable topics.
    pub log: Arc<dyn Log>,
    /// Whose tokens are no longer taken.
    pub revocations: Arc<dyn Revocations>,
    /// Whether the back end can be reached now; the memory back end always can.
    pub reachable: tokio::sync::watch::Receiver<bool>,
    /// What was measured on the way to the others; the memory back end measures nothing.
    pub measured: Arc<Measured>,
    /// Where crates that build on this one keep what their nodes share.
    pub backing: Backing,
}

/// The back end as crates that build on this one see it: a place for state of their own.
#[derive(Debug, Clone)]
pub enum Backing {
    /// One process.
    Memory(Commons),
    /// One Redis.
    Redis(Scripts),
}

impl Backing {
    /// Connections to Redis for large answers and long work that are open now. They come as they are needed, and stay.
    pub fn pooled(&self) -> usize {
        match self {
            Self::Memory(_) => 0,
            Self::Redis(scripts) => scripts.pooled(),
        }
    }

    /// Announces something that no script announces by itself.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: nobody was told. [`Error::OutcomeUnknown`].
    pub async fn announce(&self, announcement: &Announcement) -> Result<(), Error> {
        match self {
            Self::Memory(commons) => commons.announce(announcement),
            Self::Redis(scripts) => {
                let channel = scripts.channel(&announcement.tenant, &announcement.topic);
                let call = scripts.publish(&channel, &announcement.encode());
                scripts.write(&announcement.tenant, call).await?;
            }
        }
        Ok(())
    }
}
