//! A bounded queue of received messages, from the connection's task to one reader.
//!
//! When it is full the oldest message goes, and the reader is told how many went before it gets the
//! next one. The task never waits for a reader.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use signalbox_protocol::Received;
use thiserror::Error;
use tokio::sync::Notify;

use crate::closed::Closed;

/// The queue keeps this much capacity when it is empty.
const IDLE_CAPACITY: usize = 16;

/// What comes for one reader: the messages of one type, or all of them.
///
/// Dropping it ends it.
#[derive(Debug)]
pub struct Subscription {
    inbox: Arc<Inbox>,
}

/// Why there is no next message.
#[derive(Debug, Clone, Error)]
pub enum RecvError {
    /// The reader was too slow: so many messages were dropped here. The next call goes on behind them.
    #[error("{0} messages were dropped: the queue was full")]
    Missed(u64),
    /// The connection ended and everything that came was read.
    #[error(transparent)]
    Closed(#[from] Closed),
}

impl Subscription {
    pub(crate) fn new(inbox: Arc<Inbox>) -> Self {
        Self { inbox }
    }

    /// The next message; waits for it until the connection ends.
    ///
    /// # Errors
    /// [`RecvError::Missed`] where messages were dropped, [`RecvError::Closed`] at the end.
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

/// The queue behind a [`Subscription`].
#[derive(Debug)]
pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    changed: Notify,
    messages_max: usize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Arc<Received>>,
    bytes: usize,
    missed: u64,
    closed: Option<Closed>,
}

impl Inbox {
    pub(crate) fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self { queue: Mutex::default(), changed: Notify::new(), messages_max, bytes_max }
    }

    /// Queues `message`; answers how many were dropped to make room for it.
    pub(crate) fn push(&self, message: Arc<Received>) -> u64 {
        let mut queue = self.lock();
        queue.bytes += price(&message);
        queue.messages.push_back(message);
        let mut dropped = 0;
        while queue.messages.len() > 1
            && (queue.messages.len() > self.messages_max || queue.bytes > self.bytes_max)
        {
            queue.pop();
            dropped += 1;
        }
        queue.missed += dropped;
        drop(queue);
        self.changed.notify_one();
        dropped
    }

    pub(crate) fn close(&self, closed: Closed) {
        self.lock().closed.get_or_insert(closed);
        self.changed.notify_one();
    }

    fn take(&self) -> Option<Result<Arc<Received>, RecvError>> {
        let mut queue = self.lock();
        if queue.missed > 0 {
            return Some(Err(RecvError::Missed(std::mem::take(&mut queue.missed))));
        }
        match queue.pop() {
            Some(message) => Some(Ok(message)),
            None => queue.closed.clone().map(|closed| Err(closed.into())),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn pop(&mut self) -> Option<Arc<Received>> {
        let message = self.messages.pop_front()?;
        self.bytes -= price(&message);
        if self.messages.is_empty() && self.messages.capacity() > IDLE_CAPACITY {
            self.messages.shrink_to(IDLE_CAPACITY);
        }
        Some(message)
    }
}

/// The bytes that a message counts for: what can be long about it.
fn price(message: &Received) -> usize {
    message.data.get().len() + message.metadata.get().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::closed::CloseCause;

    fn message(number: usize, bytes: usize) -> Arc<Received> {
        let data = "x".repeat(bytes - 2);
        let text = format!(
            r#"{{"id":"{number}","type":"a:b","timestamp":"","source":"s:s","data":"{data}","metadata":{{}}}}"#
        );
        Arc::new(serde_json::from_str(&text).expect("it is a message"))
    }

    fn read(subscription: &mut Subscription) -> String {
        match subscription.try_recv() {
            None => "nothing".to_owned(),
            Some(Ok(message)) => message.id.clone(),
            Some(Err(RecvError::Missed(count))) => format!("missed {count}"),
            Some(Err(RecvError::Closed(_))) => "closed".to_owned(),
        }
    }

    #[test]
    fn a_full_queue_drops_the_oldest_and_says_so_in_its_place() {
        let inbox = Arc::new(Inbox::new(2, 1_000));
        let mut subscription = Subscription::new(Arc::clone(&inbox));
        for number in 1..=5 {
            inbox.push(message(number, 10));
        }
        assert_eq!(["missed 3", "4", "5", "nothing"], [(); 4].map(|()| read(&mut subscription)).as_slice());
    }

    #[test]
    fn the_queue_is_bounded_in_bytes_but_takes_one_message_of_any_size() {
        let inbox = Arc::new(Inbox::new(100, 1_000));
        let mut subscription = Subscription::new(Arc::clone(&inbox));
        assert_eq!(inbox.push(message(1, 5_000)), 0);
        assert_eq!(inbox.push(message(2, 400)), 1);
        assert_eq!(inbox.push(message(3, 400)), 0);
        assert_eq!(inbox.push(message(4, 400)), 1);
        assert_eq!(["missed 2", "3", "4", "nothing"], [(); 4].map(|()| read(&mut subscription)).as_slice());
    }

    #[tokio::test]
    async fn the_end_comes_after_what_was_queued() {
        let inbox = Arc::new(Inbox::new(2, 1_000));
        let mut subscription = Subscription::new(Arc::clone(&inbox));
        let (first, ()) = tokio::join!(subscription.recv(), async {
            inbox.push(message(1, 10));
            inbox.close(CloseCause::ByClient.into());
            inbox.close(CloseCause::Lost(None).into());
        });
        assert_eq!(first.unwrap().id, "1");
        for _ in 0..2 {
            let end = subscription.recv().await.unwrap_err();
            assert!(
                matches!(end, RecvError::Closed(Closed { cause: CloseCause::ByClient, .. })),
                "the first reason stays: {end:?}"
            );
        }
    }
}
