//! The topics that are compared with their logs from time to time: all groups, and of the others those that have a log. They
//! are listed as they come and go, since a look at all topics of a node holds its messages up.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ahash::RandomState;

use super::TopicKey;

/// Changed only by whoever holds the topic's place in the hub's table.
#[derive(Debug, Default)]
pub(super) struct Checklist(Mutex<HashSet<TopicKey, RandomState>>);

impl Checklist {
    pub(super) fn add(&self, key: &TopicKey) {
        self.lock().insert(key.clone());
    }

    pub(super) fn strike(&self, key: &TopicKey) {
        let mut all = self.lock();
        all.remove(key);
        // What a crowd has left behind is given back.
        if all.capacity() > 64 && all.len() < all.capacity() / 8 {
            all.shrink_to_fit();
        }
    }

    pub(super) fn all(&self) -> Vec<TopicKey> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<TopicKey, RandomState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
