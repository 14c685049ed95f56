//! Who listens to what: which subscriptions a received message goes to.
//!
//! Shared by the handles, which add, and the connection's task, which dispatches. The lock covers a
//! look-up and pushes that never wait, and is never held across an await.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use signalbox_protocol::Received;

use crate::closed::Closed;
use crate::subscription::{Inbox, Subscription};

#[derive(Debug, Clone)]
pub(crate) struct Listeners {
    table: Arc<Mutex<Table>>,
    messages_max: usize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Table {
    by_type: HashMap<Box<str>, Vec<Weak<Inbox>>>,
    any: Vec<Weak<Inbox>>,
    closed: Option<Closed>,
}

impl Listeners {
    /// With these bounds for each subscription's queue.
    pub(crate) fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self { table: Arc::default(), messages_max, bytes_max }
    }

    /// The same listeners; later ones have these bounds.
    pub(crate) fn with_bounds(self, messages_max: usize, bytes_max: usize) -> Self {
        Self { messages_max, bytes_max, ..self }
    }

    pub(crate) fn on(&self, message_type: &str) -> Subscription {
        self.listen(|table| table.by_type.entry(message_type.into()).or_default())
    }

    pub(crate) fn on_any(&self) -> Subscription {
        self.listen(|table| &mut table.any)
    }

    /// Hands `message` to all who listen; answers how many older ones were dropped for it.
    pub(crate) fn dispatch(&self, message: Received) -> u64 {
        let mut table = self.lock();
        let message = Arc::new(message);
        let mut dropped = push_to_all(&mut table.any, &message);
        if let Some(inboxes) = table.by_type.get_mut(message.message_type.as_str()) {
            dropped += push_to_all(inboxes, &message);
            if inboxes.is_empty() {
                table.by_type.remove(message.message_type.as_str());
            }
        }
        dropped
    }

    /// Ends all subscriptions, and those that will still be made.
    pub(crate) fn close(&self, closed: &Closed) {
        let mut table = self.lock();
        table.closed = Some(closed.clone());
        for inbox in table.by_type.values().flatten().chain(&table.any).filter_map(Weak::upgrade) {
            inbox.close(closed.clone());
        }
    }

    fn listen(&self, place: impl FnOnce(&mut Table) -> &mut Vec<Weak<Inbox>>) -> Subscription {
        let inbox = Arc::new(Inbox::new(self.messages_max, self.bytes_max));
        let mut table = self.lock();
        if let Some(closed) = &table.closed {
            inbox.close(closed.clone());
        }
        let inboxes = place(&mut table);
        inboxes.retain(|inbox| inbox.strong_count() > 0);
        inboxes.push(Arc::downgrade(&inbox));
        Subscription::new(inbox)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Pushes to those that still listen and forgets the others.
fn push_to_all(inboxes: &mut Vec<Weak<Inbox>>, message: &Arc<Received>) -> u64 {
    let mut dropped = 0;
    inboxes.retain(|inbox| {
        let Some(inbox) = inbox.upgrade() else { return false };
        dropped += inbox.push(Arc::clone(message));
        true
    });
    dropped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::closed::CloseCause;

    fn message(message_type: &str) -> Received {
        let text = format!(
            r#"{{"id":"1","type":"{message_type}","timestamp":"","source":"s:s","data":1,"metadata":{{}}}}"#
        );
        serde_json::from_str(&text).expect("it is a message")
    }

    fn waiting(subscription: &mut Subscription) -> usize {
        std::iter::from_fn(|| subscription.try_recv()).filter(Result::is_ok).count()
    }

    #[test]
    fn a_message_goes_to_who_listens_to_its_type_or_to_all() {
        let listeners = Listeners::new(10, 1_000);
        let (mut any, mut first, mut second) =
            (listeners.on_any(), listeners.on("order:new"), listeners.on("order:new"));
        listeners.dispatch(message("order:new"));
        listeners.dispatch(message("order:gone"));
        assert_eq!((waiting(&mut any), waiting(&mut first), waiting(&mut second)), (2, 1, 1));
    }

    #[test]
    fn what_was_dropped_is_counted_over_all_listeners() {
        let listeners = Listeners::new(1, 1_000);
        let (_any, _type) = (listeners.on_any(), listeners.on("a:b"));
        assert_eq!([0, 2, 1], ["a:b", "a:b", "c:d"].map(|name| listeners.dispatch(message(name))));
    }

    #[test]
    fn a_dropped_subscription_leaves_nothing_behind() {
        let listeners = Listeners::new(10, 1_000);
        drop(listeners.on("a:b"));
        listeners.dispatch(message("a:b"));
        drop(listeners.on_any());
        let _kept = listeners.on_any();
        let table = listeners.lock();
        assert!(table.by_type.is_empty());
        assert_eq!(table.any.len(), 1);
    }

    #[test]
    fn a_subscription_made_after_the_end_is_at_its_end() {
        let listeners = Listeners::new(10, 1_000);
        let mut before = listeners.on("a:b");
        listeners.close(&CloseCause::ByClient.into());
        let mut after = listeners.on("a:b");
        assert!(before.try_recv().unwrap().is_err());
        assert!(after.try_recv().unwrap().is_err());
    }
}
