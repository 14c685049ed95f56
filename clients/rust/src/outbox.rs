//! What a client still has to send: bounded in messages and in bytes, allocated while something waits.
//!
//! Handles push and wait for room; the connection's task takes. The order of pushes is kept: both
//! semaphores serve in turn. The lock covers a few instructions and is never held across an await.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore};

use crate::pending::Question;

/// The queue keeps this much capacity when it is empty.
const IDLE_CAPACITY: usize = 16;

/// A message to send, and who waits for its answer.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) text: String,
    pub(crate) question: Option<Question>,
}

/// The connection takes no more messages.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OutboxClosed;

#[derive(Debug)]
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    changed: Notify,
    messages: Semaphore,
    bytes: Semaphore,
    bytes_max: u32,
}

#[derive(Debug, Default)]
struct Queue {
    commands: VecDeque<Command>,
    /// No handle is left, or one asked to close: what is queued is still sent.
    finishing: bool,
}

impl Outbox {
    pub(crate) fn new(messages_max: usize, bytes_max: usize) -> Self {
        let bytes_max = u32::try_from(bytes_max).unwrap_or(u32::MAX).min(Semaphore::MAX_PERMITS as u32);
        Self {
            queue: Mutex::default(),
            changed: Notify::new(),
            messages: Semaphore::new(messages_max.min(Semaphore::MAX_PERMITS)),
            bytes: Semaphore::new(bytes_max as usize),
            bytes_max,
        }
    }

    /// Waits for room, then queues.
    ///
    /// # Cancel safety
    /// A push that is dropped while it waits has queued nothing; its place in line is lost.
    pub(crate) async fn push(&self, command: Command) -> Result<(), OutboxClosed> {
        let message = self.messages.acquire().await.map_err(|_| OutboxClosed)?;
        let bytes = self.bytes.acquire_many(self.price(&command)).await.map_err(|_| OutboxClosed)?;
        let mut queue = self.lock();
        if queue.finishing {
            return Err(OutboxClosed);
        }
        message.forget();
        bytes.forget();
        queue.commands.push_back(command);
        drop(queue);
        self.changed.notify_one();
        Ok(())
    }

    /// Returns when there is something to take, or when nothing will come any more. For the task alone.
    ///
    /// # Cancel safety
    /// Nothing is lost: it takes nothing.
    pub(crate) async fn changed(&self) {
        loop {
            {
                let queue = self.lock();
                if queue.finishing || !queue.commands.is_empty() {
                    return;
                }
            }
            self.changed.notified().await;
        }
    }

    pub(crate) fn take(&self) -> Option<Command> {
        let mut queue = self.lock();
        let command = queue.commands.pop_front()?;
        if queue.commands.is_empty() && queue.commands.capacity() > IDLE_CAPACITY {
            queue.commands.shrink_to(IDLE_CAPACITY);
        }
        drop(queue);
        self.messages.add_permits(1);
        self.bytes.add_permits(self.price(&command) as usize);
        Some(command)
    }

    /// Whether all that will ever come was taken.
    pub(crate) fn is_finished(&self) -> bool {
        let queue = self.lock();
        queue.finishing && queue.commands.is_empty()
    }

    /// Takes no more; what is queued may still be taken.
    pub(crate) fn finish(&self) {
        self.lock().finishing = true;
        self.changed.notify_one();
    }

    /// Takes no more, drops what is queued, and fails whoever waits for room.
    pub(crate) fn shut(&self) {
        self.finish();
        self.messages.close();
        self.bytes.close();
        while self.take().is_some() {}
    }

    /// The bytes of room that a command takes: never more than there are.
    fn price(&self, command: &Command) -> u32 {
        u32::try_from(command.text.len()).unwrap_or(u32::MAX).min(self.bytes_max)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    fn command(bytes: usize) -> Command {
        Command { text: "x".repeat(bytes), question: None }
    }

    async fn has_room(outbox: &Outbox, bytes: usize) -> bool {
        timeout(Duration::from_secs(1), outbox.push(command(bytes))).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_bounded_in_messages_and_in_bytes() {
        let outbox = Outbox::new(2, 100);
        assert!(has_room(&outbox, 1).await && has_room(&outbox, 1).await);
        assert!(!has_room(&outbox, 1).await, "a third message");
        outbox.take();
        outbox.take();
        assert!(has_room(&outbox, 60).await);
        assert!(!has_room(&outbox, 60).await, "bytes 61 to 120");
        assert!(has_room(&outbox, 40).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_outbox_takes_one_message_however_large() {
        let outbox = Outbox::new(2, 100);
        assert!(has_room(&outbox, 1_000).await);
        assert!(!has_room(&outbox, 1).await);
        assert_eq!(outbox.take().map(|command| command.text.len()), Some(1_000));
        assert!(has_room(&outbox, 100).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_push_that_gave_up_takes_no_room() {
        let outbox = Outbox::new(1, 100);
        assert!(has_room(&outbox, 100).await);
        assert!(!has_room(&outbox, 100).await);
        outbox.take();
        assert!(has_room(&outbox, 100).await);
    }

    #[tokio::test]
    async fn what_was_queued_before_the_end_is_still_taken() {
        let outbox = Outbox::new(2, 100);
        outbox.push(command(1)).await.unwrap();
        outbox.finish();
        assert_eq!(outbox.push(command(1)).await, Err(OutboxClosed));
        outbox.changed().await;
        assert!(!outbox.is_finished());
        assert!(outbox.take().is_some());
        assert!(outbox.is_finished());
    }

    #[tokio::test]
    async fn shutting_fails_who_waits_for_room() {
        let outbox = Outbox::new(1, 100);
        outbox.push(command(1)).await.unwrap();
        let (second, ()) = tokio::join!(outbox.push(command(1)), async { outbox.shut() });
        assert_eq!(second, Err(OutboxClosed));
        assert!(outbox.take().is_none());
    }
}
