//! Who listens to what: which subscriptions a received message goes to.
//!
//! Shared by the handles, which add, and the client's task, which looks up. The lock covers a look-up, and is never
//! held across an await.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

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

    /// Those who listen to this type, or to all.
    pub(crate) fn of(&self, message_type: &str) -> Vec<Arc<Inbox>> {
        let mut table = self.lock();
        let mut inboxes = live(&mut table.any);
        if let Some(by_type) = table.by_type.get_mut(message_type) {
            inboxes.append(&mut live(by_type));
            if by_type.is_empty() {
                table.by_type.remove(message_type);
            }
        }
        inboxes
    }

    /// Everybody who listens to anything.
    pub(crate) fn all(&self) -> Vec<Arc<Inbox>> {
        let mut table = self.lock();
        let mut inboxes = live(&mut table.any);
        table.by_type.retain(|_, by_type| {
            inboxes.append(&mut live(by_type));
            !by_type.is_empty()
        });
        inboxes
    }

    /// Ends all subscriptions, and those that will still be made.
    pub(crate) fn close(&self, closed: &Closed) {
        self.lock().closed = Some(closed.clone());
        for inbox in self.all() {
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
        drop(live(inboxes));
        inboxes.push(Arc::downgrade(&inbox));
        Subscription::new(inbox)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those whose reader is still there; the others are forgotten.
fn live(inboxes: &mut Vec<Weak<Inbox>>) -> Vec<Arc<Inbox>> {
    let mut found = Vec::new();
    inboxes.retain(|inbox| {
        let inbox = inbox.upgrade().filter(|inbox| !inbox.is_left());
        inbox.inspect(|inbox| found.push(Arc::clone(inbox))).is_some()
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::closed::CloseCause;

    #[test]
    fn a_message_goes_to_who_listens_to_its_type_or_to_all() {
        let listeners = Listeners::new(10, 1_000);
        let kept = (listeners.on_any(), listeners.on("order:new"), listeners.on("order:new"));
        assert_eq!(["order:new", "order:gone"].map(|name| listeners.of(name).len()), [3, 1]);
        assert_eq!(listeners.all().len(), 3);
        drop(kept);
    }

    #[test]
    fn a_dropped_subscription_leaves_nothing_behind() {
        let listeners = Listeners::new(10, 1_000);
        drop(listeners.on("a:b"));
        assert!(listeners.of("a:b").is_empty());
        drop(listeners.on("c:d"));
        assert!(listeners.all().is_empty());
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
