//! Loads under way on this node: who asks for what is being loaded waits for it.
//!
//! The lock is held for a look-up, never across an await. A load that is abandoned (its asker was cancelled)
//! ends as its `Flight` is dropped, and wakes those who wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use signalbox_protocol::Tenant;
use tokio::sync::watch;

use super::entry::Entry;
use super::key::Key;

/// What is loaded: for whom, what, under which version of the pool.
type Name = (Tenant, Key, Option<u64>);
type Outcome = Option<Result<Arc<Entry>, ()>>;
type UnderWay = Arc<Mutex<HashMap<Name, watch::Receiver<Outcome>>>>;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Flights {
    under_way: UnderWay,
}

/// What somebody who wants an entry has to do.
pub(super) enum Role {
    /// Load it.
    Loader(Flight),
    /// Wait for it.
    Waiter(Wait),
}

impl Flights {
    pub(super) fn under_way(&self) -> usize {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(super) fn join(&self, name: Name) -> Role {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(landing) = under_way.get(&name) {
            return Role::Waiter(Wait(landing.clone()));
        }
        let (outcome, landing) = watch::channel(None);
        under_way.insert(name.clone(), landing);
        Role::Loader(Flight { name, outcome, under_way: Arc::clone(&self.under_way) })
    }
}

/// A load. Dropped, it makes room for another.
pub(super) struct Flight {
    name: Name,
    outcome: watch::Sender<Outcome>,
    under_way: UnderWay,
}

impl Flight {
    /// Tells those who wait; `None`: it failed.
    pub(super) fn land(self, entry: Option<&Arc<Entry>>) {
        self.outcome.send_replace(Some(entry.cloned().ok_or(())));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

/// How a load ended.
pub(super) enum Landed {
    Loaded(Arc<Entry>),
    Failed,
    Abandoned,
}

/// Waits for somebody else's load.
pub(super) struct Wait(watch::Receiver<Outcome>);

impl Wait {
    pub(super) async fn landed(&mut self) -> Landed {
        match self.0.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Ok(entry))) => Landed::Loaded(Arc::clone(entry)),
            Ok(_) => Landed::Failed,
            Err(_) => Landed::Abandoned,
        }
    }
}
