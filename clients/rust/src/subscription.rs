//! A bounded queue of received messages, from the client's task to one reader.
//!
//! When it is full, ephemeral messages make room, the oldest first, and the reader is told how many before it gets
//! the next one. Durable messages are never dropped: if one does not fit, the task waits and reads no more from the
//! socket until there is room, so that a slow reader slows the node down.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use signalbox_protocol::Received;
use thiserror::Error;
use tokio::sync::Notify;

use crate::closed::Closed;
use crate::event::Lost;

/// The queue keeps this much capacity when it is empty.
const IDLE_CAPACITY: usize = 16;

/// What comes for one reader: the messages of one type, or all of them.
///
/// Dropping it ends it. One that is kept and not read holds the whole client up as soon as its queue is full of
/// durable messages: answers to requests come behind them.
#[derive(Debug)]
pub struct Subscription {
    inbox: Arc<Inbox>,
}

/// Why there is no next message.
#[derive(Debug, Clone, Error)]
pub enum RecvError {
    /// The reader was too slow: so many ephemeral messages were dropped here. The next call goes on behind them.
    #[error("{0} messages were dropped: the queue was full")]
    Missed(u64),
    /// Durable messages of a topic may be missing here, of any type. The next call goes on behind them.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// The client ended and everything that came was read.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl Subscription {
    pub(crate) fn new(inbox: Arc<Inbox>) -> Self {
        Self { inbox }
    }

    /// The next message; waits for it, across reconnects, until the client ends.
    ///
    /// # Errors
    /// [`RecvError::Missed`] and [`RecvError::Lost`] where messages are missing, [`RecvError::Closed`] at the end.
    ///
    /// # Cancel safety
    /// No message is lost.
    pub async fn recv(&mut self) -> Result<Arc<Received>, RecvError> {
        loop {
            if let Some(next) = self.inbox.take() {
                return next;
            }
            self.inbox.changed.notified().await;
        }
    }

    /// The next message, if one has come already.
    ///
    /// # Errors
    /// As [`Subscription::recv`].
    pub fn try_recv(&mut self) -> Option<Result<Arc<Received>, RecvError>> {
        self.inbox.take()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.inbox.leave();
    }
}

/// What is handed to readers.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    Message(Arc<Received>),
    Lost(Arc<Lost>),
}

impl Item {
    /// Whether it must not be dropped.
    fn is_durable(&self) -> bool {
        match self {
            Self::Message(message) => message.offset.is_some(),
            Self::Lost(_) => true,
        }
    }

    /// The bytes that it counts for: what can be long about it.
    fn price(&self) -> usize {
        match self {
            Self::Message(message) => message.data.get().len() + message.metadata.get().len(),
            Self::Lost(_) => 0,
        }
    }
}

/// What came of offering something to a reader.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Offer {
    /// It is queued, and so many others were dropped for it.
    Taken { dropped: u64 },
    /// It must not be dropped, and there is no room.
    Full,
}

/// The queue behind a [`Subscription`].
#[derive(Debug)]
pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    /// For the reader.
    changed: Notify,
    /// For the task.
    room: Notify,
    messages_max: usize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
    missed: u64,
    closed: Option<Closed>,
    /// The reader has gone.
    left: bool,
}

impl Inbox {
    pub(crate) fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self { queue: Mutex::default(), changed: Notify::new(), room: Notify::new(), messages_max, bytes_max }
    }

    /// Queues `item` if that is possible without dropping what must not be dropped. An empty queue takes everything.
    pub(crate) fn offer(&self, item: &Item) -> Offer {
        let mut queue = self.lock();
        if queue.left {
            return Offer::Taken { dropped: 0 };
        }
        let price = item.price();
        let fits = |queue: &Queue| {
            queue.items.is_empty()
                || (queue.items.len() < self.messages_max && queue.bytes + price <= self.bytes_max)
        };
        let mut dropped = 0;
        while !fits(&queue) && queue.drop_oldest_ephemeral() {
            dropped += 1;
        }
        let taken = fits(&queue);
        if taken {
            queue.bytes += price;
            queue.items.push_back(item.clone());
        } else if !item.is_durable() {
            dropped += 1;
        }
        queue.missed += dropped;
        drop(queue);
        self.changed.notify_one();
        if taken || !item.is_durable() { Offer::Taken { dropped } } else { Offer::Full }
    }

    /// Waits until the reader took something or has gone.
    ///
    /// # Cancel safety
    /// It may return once too often.
    pub(crate) async fn room(&self) {
        self.room.notified().await;
    }

    pub(crate) fn close(&self, closed: Closed) {
        self.lock().closed.get_or_insert(closed);
        self.changed.notify_one();
    }

    pub(crate) fn is_left(&self) -> bool {
        self.lock().left
    }

    fn leave(&self) {
        let mut queue = self.lock();
        queue.left = true;
        queue.items = VecDeque::new();
        drop(queue);
        self.room.notify_one();
    }

    fn take(&self) -> Option<Result<Arc<Received>, RecvError>> {
        let mut queue = self.lock();
        if queue.missed > 0 {
            return Some(Err(RecvError::Missed(std::mem::take(&mut queue.missed))));
        }
        let next = match queue.pop() {
            Some(Item::Message(message)) => Ok(message),
            Some(Item::Lost(lost)) => Err(Arc::unwrap_or_clone(lost).into()),
            None => return queue.closed.clone().map(|closed| Err(closed.into())),
        };
        drop(queue);
        self.room.notify_one();
        Some(next)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.bytes -= item.price();
        if self.items.is_empty() && self.items.capacity() > IDLE_CAPACITY {
            self.items.shrink_to(IDLE_CAPACITY);
        }
        Some(item)
    }

    /// Whether there was one.
    fn drop_oldest_ephemeral(&mut self) -> bool {
        let Some(at) = self.items.iter().position(|item| !item.is_durable()) else { return false };
        if let Some(item) = self.items.remove(at) {
            self.bytes -= item.price();
        }
        true
    }
}

#[cfg(test)]
mod tests;
