//! What handles have for the task to send: bounded in messages and in bytes.
//!
//! Handles push, the task takes at once. The room that a message takes is given back only when it was written, or,
//! if it is durable, when it is over: so the bound covers everything that waits anywhere in the client. The order
//! of pushes is kept: both semaphores serve in turn. The lock covers a few instructions and is never held across
//! an await.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore, TryAcquireError};

use crate::deliveries::Delivery;
use crate::pending::Question;

/// The queue keeps this much capacity when it is empty.
const IDLE_CAPACITY: usize = 16;

/// Something to send.
#[derive(Debug)]
pub(crate) enum Command {
    Plain(Plain),
    /// A durable message, and who waits for another client's answer to it.
    Durable(Delivery, Option<Question>),
}

/// A message that is sent once, and who waits for its answer.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) text: String,
    pub(crate) question: Option<Question>,
    /// The room that it takes in the outbox; 0 if it gave that back.
    pub(crate) price: u32,
}

/// Why a push failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PushError {
    /// There is no room, and the push was not to wait.
    Full,
    /// The client takes no more messages.
    Closed,
}

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
    /// Somebody stopped waiting for a message that may not have been written yet.
    abandoned: bool,
    /// No handle is left, or one asked to close: what is queued is still sent.
    finishing: bool,
}

impl Command {
    fn bytes(&self) -> usize {
        match self {
            Self::Plain(plain) => plain.text.len(),
            Self::Durable(delivery, _) => delivery.text.len(),
        }
    }

    fn set_price(&mut self, price: u32) {
        match self {
            Self::Plain(plain) => plain.price = price,
            Self::Durable(delivery, _) => delivery.price = price,
        }
    }
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
    pub(crate) async fn push(&self, command: Command) -> Result<(), PushError> {
        let price = self.price(&command);
        let message = self.messages.acquire().await.map_err(|_| PushError::Closed)?;
        let bytes = self.bytes.acquire_many(price).await.map_err(|_| PushError::Closed)?;
        self.queue(command, price)?;
        message.forget();
        bytes.forget();
        Ok(())
    }

    /// Queues if there is room.
    pub(crate) fn try_push(&self, command: Command) -> Result<(), PushError> {
        let price = self.price(&command);
        let refused = |error| match error {
            TryAcquireError::NoPermits => PushError::Full,
            TryAcquireError::Closed => PushError::Closed,
        };
        let message = self.messages.try_acquire().map_err(refused)?;
        let bytes = self.bytes.try_acquire_many(price).map_err(refused)?;
        self.queue(command, price)?;
        message.forget();
        bytes.forget();
        Ok(())
    }

    fn queue(&self, mut command: Command, price: u32) -> Result<(), PushError> {
        command.set_price(price);
        let mut queue = self.lock();
        if queue.finishing {
            return Err(PushError::Closed);
        }
        queue.commands.push_back(command);
        drop(queue);
        self.changed.notify_one();
        Ok(())
    }

    /// Gives back the room of a message.
    pub(crate) fn release(&self, price: u32) {
        if price > 0 {
            self.messages.add_permits(1);
            self.bytes.add_permits(price as usize);
        }
    }

    /// Returns when there is something to take, when something was abandoned, or when nothing will come any more
    /// and that is news to the task. For the task alone.
    ///
    /// # Cancel safety
    /// Nothing is lost: it takes nothing.
    pub(crate) async fn changed(&self, knows_end: bool) {
        loop {
            {
                let queue = self.lock();
                if !queue.commands.is_empty() || queue.abandoned || (queue.finishing && !knows_end) {
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
        Some(command)
    }

    /// Somebody stopped waiting for a message.
    pub(crate) fn abandon(&self) {
        self.lock().abandoned = true;
        self.changed.notify_one();
    }

    /// Whether that happened since the last call.
    pub(crate) fn take_abandoned(&self) -> bool {
        std::mem::take(&mut self.lock().abandoned)
    }

    /// Whether nothing will come any more.
    pub(crate) fn is_finishing(&self) -> bool {
        self.lock().finishing
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
        self.lock().commands.clear();
    }

    /// The bytes of room that a command takes: never more than there are.
    fn price(&self, command: &Command) -> u32 {
        u32::try_from(command.bytes()).unwrap_or(u32::MAX).clamp(1, self.bytes_max)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
