//! What crates that build on this one share between the nodes of one process: one value per type, and
//! announcements to whoever follows a topic.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use signalbox_protocol::control::Position;
use signalbox_protocol::{Tenant, Topic};

use super::bus::Exchange;
use super::log::Logs;
use crate::bus::Announcement;
use crate::mutex::lock;

type Values = HashMap<TypeId, Arc<dyn Any + Send + Sync>>;

/// A handle to what the nodes of one process share; clones are the same.
#[derive(Clone)]
pub struct Commons {
    values: Arc<Mutex<Values>>,
    exchange: Arc<Exchange>,
    logs: Arc<Logs>,
}

impl fmt::Debug for Commons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commons").finish_non_exhaustive()
    }
}

impl Commons {
    pub(super) fn new(exchange: Arc<Exchange>, logs: Arc<Logs>) -> Self {
        Self { values: Arc::default(), exchange, logs }
    }

    /// The one value of this type, made at the first call.
    pub fn value<T: Any + Send + Sync + Default>(&self) -> Arc<T> {
        let mut values = lock(&self.values);
        let value = values.entry(TypeId::of::<T>()).or_insert_with(|| Arc::new(T::default()));
        Arc::clone(value).downcast().expect("a value is kept under its own type")
    }

    /// Tells every node that follows the topic, in the order of the calls.
    pub fn announce(&self, announcement: &Announcement) {
        self.exchange.announce(announcement);
    }

    /// Stores a message that can't come again in the log of a group topic, and tells every node that follows it.
    pub fn append(&self, tenant: &Tenant, topic: &Topic, body: &Bytes) -> Position {
        self.logs.publish(tenant, topic, body)
    }
}
