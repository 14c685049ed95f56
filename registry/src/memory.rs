//! The back end of a process that stands alone: everything the nodes share lives in this process.
//!
//! An embedded node is a cluster of one; tests join several nodes to one [`MemoryCluster`]. No task runs
//! here: whoever calls does the work. Time is tokio's, so that a paused clock lets leases end.

mod bus;
mod commons;
mod directory;
mod lease;
mod lock;
mod log;
mod order;
mod presence;
mod revocation;
mod table;

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

pub use self::commons::Commons;
use crate::changes::Changes;
use crate::cluster::Backing;
use crate::log::LogSettings;
use crate::mutex;
use crate::{Cluster, ThisNode};
use bus::{Exchange, MemoryBus};
use lock::{LockTable, MemoryLocks};
use log::Logs;
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
    /// What was said in topics.
    logs: Arc<Logs>,
    /// Who can be posted to.
    exchange: Arc<Exchange>,
    /// Whose tokens are no longer taken.
    revoked: Mutex<revocation::Revoked>,
    /// What other crates keep here.
    commons: Commons,
    /// Always true; kept so that receivers of it stay open.
    reachable: watch::Sender<bool>,
}

impl MemoryCluster {
    /// A cluster without nodes.
    pub fn new() -> Arc<Self> {
        Self::with_log(LogSettings::default())
    }

    /// A cluster without nodes whose topics keep what `settings` say.
    pub fn with_log(settings: LogSettings) -> Arc<Self> {
        let exchange = Arc::<Exchange>::default();
        let (locks, logs) = (LockTable::new(), Logs::new(settings, &exchange));
        Arc::new(Self {
            shared: Mutex::default(),
            changes: Changes::default(),
            orders: MemoryOrders::new(&locks, &logs),
            locks,
            commons: Commons::new(Arc::clone(&exchange), Arc::clone(&logs)),
            logs,
            exchange,
            revoked: Mutex::default(),
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
            log: Arc::clone(self) as _,
            revocations: Arc::clone(self) as _,
            reachable: self.reachable.subscribe(),
            measured: Arc::default(),
            backing: Backing::Memory(self.commons.clone()),
        }
    }

    /// Forgets all logs, as a Redis does that was emptied. For tests.
    pub fn lose_logs(&self) {
        self.logs.lose();
    }

    /// How many entries connections have left: rows, and what leads to them. For tests.
    pub fn leftovers(&self) -> usize {
        self.shared().entries()
    }

    /// Whether no lease is alive, and nobody follows a topic. For tests.
    pub fn is_deserted(&self) -> bool {
        !self.shared().has_leases() && self.exchange.is_silent()
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        mutex::lock(&self.shared)
    }
}
