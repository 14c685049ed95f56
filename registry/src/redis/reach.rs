//! Whether every server can be asked by every link.

use std::sync::{Mutex, Weak};

use tokio::sync::watch;

use super::link::Link;
use crate::mutex::lock;

/// Whether all links of all shards are up.
#[derive(Debug, Default)]
pub(super) struct Reach {
    links: Mutex<Vec<Weak<Link>>>,
    reachable: watch::Sender<bool>,
}

impl Reach {
    /// As it changes.
    pub(super) fn reachable(&self) -> watch::Receiver<bool> {
        self.reachable.subscribe()
    }

    /// From now on these are meant.
    pub(super) fn watch(&self, links: Vec<Weak<Link>>) {
        *lock(&self.links) = links;
        self.look();
    }

    /// A link went up or down.
    pub(super) fn look(&self) {
        let links = lock(&self.links);
        let reachable =
            !links.is_empty() && links.iter().all(|link| link.upgrade().is_some_and(|link| link.is_up()));
        self.reachable.send_if_modified(|now| std::mem::replace(now, reachable) != reachable);
    }
}
