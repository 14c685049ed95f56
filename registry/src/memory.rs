//! The back end of a process that stands alone: everything the nodes share lives in this process.
//!
//! An embedded node is a cluster of one; tests join several nodes to one [`MemoryCluster`]. No task runs
//! here: whoever calls does the work. Time is tokio's, so that a paused clock lets leases end.

mod bus;
mod commons;
mod directory;
mod lease;
mod lock;
mod order;
mod presence;
mod table;

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

pub use self::commons::Commons;
use crate::changes::Changes;
use crate::cluster::Backing;
use crate::mutex;
use crate::{Cluster, ThisNode};
use bus::{Exchange, MemoryBus};
use lock::{LockTable, MemoryLocks};
use order::MemoryOrders;
use table::Shared;

/// What the nodes of one process share.
#[derive(Debug)]
pub struct MemoryCluster {
    /// Rows and leases, under one lock: an answer sees both at one moment.
    shared: Mutex<Shared>,
    /// What a refresh of older rows must not undo.
    changes: Changes,
    /// Who holds which lock, and who waits.
    locks: Arc<LockTable>,
    /// Who looks at which order, and who accepted it.
    orders: Arc<MemoryOrders>,
    /// Who can be posted to.
    exchange: Arc<Exchange>,
    /// What other crates keep here.
    commons: Commons,
    /// Always true; kept so that receivers of it stay open.
    reachable: watch::Sender<bool>,
}

impl MemoryCluster {
    /// A cluster without nodes.
    pub fn new() -> Arc<Self> {
        let exchange = Arc::<Exchange>::default();
        let locks = LockTable::new();
        Arc::new(Self {
            shared: Mutex::default(),
            changes: Changes::default(),
            orders: MemoryOrders::new(&locks, &exchange),
            locks,
            commons: Commons::new(Arc::clone(&exchange)),
            exchange,
            reachable: watch::Sender::new(true),
        })
    }

    /// Lets `node` take part. Its rows are seen once it holds a lease.
    pub fn join(self: &Arc<Self>, node: Arc<ThisNode>) -> Cluster {
        let bus = MemoryBus::join(&self.exchange, node.id().clone());
        Cluster {
            node,
            directory: Arc::clone(self) as _,
            presence: Arc::clone(self) as _,
            bus,
            lease: Arc::clone(self) as _,
            locks: MemoryLocks::new(&self.locks),
            orders: Arc::clone(&self.orders) as _,
            reachable: self.reachable.subscribe(),
            backing: Backing::Memory(self.commons.clone()),
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        mutex::lock(&self.shared)
    }
}
