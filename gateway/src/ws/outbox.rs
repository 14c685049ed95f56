//! What waits to be written to one socket.
//!
//! Anybody may put a frame in; only the connection's own task takes frames out. Bounded in messages and
//! in bytes. Memory is allocated only while something is queued. Order is kept; under pressure the newest
//! ephemeral message per conflation key survives, then the oldest ephemeral messages go.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use atomic_waker::AtomicWaker;
use bytes::Bytes;
use signalbox_protocol::close::CloseCode;

/// From this many queued messages on, an ephemeral message replaces an older one of its conflation key.
/// Below it a client is merely a moment behind, and gets everything.
const PRESSURE_MESSAGES: usize = 32;

/// Number of the first item; below it is room for what is put in front.
const FIRST_NUMBER: u64 = 1 << 32;

/// How much an outbox holds. An empty one always takes one message, however large.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Messages.
    pub messages_max: usize,
    /// Bytes of frames.
    pub bytes_max: usize,
}

/// What may happen to a queued frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// May be dropped under pressure; replaced by a newer one of the same key unless that is 0.
    Ephemeral {
        /// The conflation key, hashed.
        conflation: u64,
    },
    /// Never dropped: an answer to this client. If it doesn't fit, the client is too slow.
    Always,
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// Queued; nothing was lost.
    Queued,
    /// Queued in place of an older message of its key.
    Conflated,
    /// Queued; this many older ephemeral messages were dropped to make room.
    Displaced(u32),
    /// Dropped itself: what is queued may not be dropped for it.
    Dropped,
    /// The connection is closing and takes nothing more.
    Closing,
    /// An answer did not fit: the connection has been told to close with 4413.
    Overflow,
}

/// The outbound queue of one connection.
#[derive(Debug)]
pub struct Outbox {
    queue: Mutex<Queue>,
    writer: AtomicWaker,
    /// The close code once somebody asked for a close; 0 before.
    closing: AtomicU16,
    bounds: Bounds,
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Item>,
    /// Number of the item at the front; numbers never repeat.
    front: u64,
    /// Items that were taken out of the middle and still stand in `items`, empty.
    removed: usize,
    bytes: usize,
    /// Conflation key -> number of its newest item; exists only under pressure.
    #[expect(clippy::box_collection, reason = "forty bytes less in every idle connection")]
    newest: Option<Box<HashMap<u64, u64>>>,
    ping: bool,
    pong: Option<Bytes>,
}

#[derive(Debug)]
struct Item {
    frame: Bytes,
    keep: Keep,
}

/// What the writing task gets in one go.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// How many of the frames are messages (not pings or pongs).
    pub messages: usize,
    /// Nothing is left in the outbox.
    pub is_last: bool,
}

impl Outbox {
    /// An empty outbox.
    pub fn new(bounds: Bounds) -> Self {
        let queue = Queue { front: FIRST_NUMBER, ..Queue::default() };
        Self { queue: Mutex::new(queue), writer: AtomicWaker::new(), closing: AtomicU16::new(0), bounds }
    }

    /// Queues a frame and wakes the writer.
    pub fn push(&self, frame: Bytes, keep: Keep) -> Pushed {
        if self.closing().is_some() {
            return Pushed::Closing;
        }
        let pushed = self.lock().push(frame, keep, self.bounds);
        if pushed == Pushed::Overflow {
            self.close(CloseCode::SlowConsumer);
        }
        self.writer.wake();
        pushed
    }

    /// Queues what may not be dropped if there is room for it; else it is given back, and its giver waits.
    pub fn offer(&self, frame: Bytes) -> Result<(), Bytes> {
        if self.closing().is_some() {
            return Ok(());
        }
        let mut queue = self.lock();
        if !queue.fits(frame.len(), self.bounds) {
            return Err(frame);
        }
        queue.append(frame, Keep::Always);
        drop(queue);
        self.writer.wake();
        Ok(())
    }

    /// Puts an answer in front of everything queued: the welcome, which comes first.
    pub fn push_front(&self, frame: Bytes) {
        let mut queue = self.lock();
        queue.bytes += frame.len();
        queue.newest = None;
        queue.front -= 1;
        queue.items.push_front(Item { frame, keep: Keep::Always });
        drop(queue);
        self.writer.wake();
    }

    /// Asks for a ping to be sent. Control frames have a place of their own beside the queue.
    pub fn ping(&self) {
        self.lock().ping = true;
        self.writer.wake();
    }

    /// Asks for a pong to be sent; a newer one replaces one not yet sent (RFC 6455, 5.5.3).
    pub fn pong(&self, frame: Bytes) {
        self.lock().pong = Some(frame);
        self.writer.wake();
    }

    /// Closes the connection after what is queued; the first code stays. A peer that is gone would not take what
    /// is queued: that is dropped.
    pub fn close(&self, code: CloseCode) {
        let first =
            self.closing.compare_exchange(0, code.as_u16(), Ordering::AcqRel, Ordering::Acquire).is_ok();
        if first && code == CloseCode::HeartbeatMissed {
            self.lock().clear();
        }
        self.writer.wake();
    }

    /// The code that the connection is to be closed with, if it is.
    pub fn closing(&self) -> Option<CloseCode> {
        CloseCode::from_u16(self.closing.load(Ordering::Acquire))
    }

    /// Registers the task that writes.
    pub fn register(&self, writer: &Waker) {
        self.writer.register(writer);
    }

    /// Moves frames to `batch`: control frames first, then messages in order, until `batch` holds
    /// `frames_max` or `bytes_max` is passed.
    pub fn take(&self, batch: &mut Vec<Bytes>, frames_max: usize, bytes_max: usize) -> Taken {
        self.lock().take(batch, frames_max, bytes_max)
    }

    /// Bytes queued now.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panic while it was held leaves at worst a wrong count; the data is still frames.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn push(&mut self, frame: Bytes, keep: Keep, bounds: Bounds) -> Pushed {
        let conflated = self.conflate(keep);
        let mut displaced = 0;
        while !self.fits(frame.len(), bounds) {
            if !self.drop_oldest_ephemeral() {
                return match keep {
                    Keep::Ephemeral { .. } => Pushed::Dropped,
                    Keep::Always => Pushed::Overflow,
                };
            }
            displaced += 1;
        }
        self.append(frame, keep);
        match (conflated, displaced) {
            (true, 0) => Pushed::Conflated,
            (false, 0) => Pushed::Queued,
            (conflated, displaced) => Pushed::Displaced(displaced + u32::from(conflated)),
        }
    }

    fn fits(&self, bytes: usize, bounds: Bounds) -> bool {
        let messages = self.items.len() - self.removed;
        messages == 0 || (messages < bounds.messages_max && self.bytes + bytes <= bounds.bytes_max)
    }

    fn clear(&mut self) {
        self.items = VecDeque::new();
        self.removed = 0;
        self.bytes = 0;
        self.newest = None;
    }

    fn append(&mut self, frame: Bytes, keep: Keep) {
        if let (Some(newest), Keep::Ephemeral { conflation: conflation @ 1.. }) = (&mut self.newest, keep) {
            newest.insert(conflation, self.front + self.items.len() as u64);
        }
        self.bytes += frame.len();
        self.items.push_back(Item { frame, keep });
    }

    /// Removes the queued message that the one to come replaces.
    fn conflate(&mut self, keep: Keep) -> bool {
        let Keep::Ephemeral { conflation: conflation @ 1.. } = keep else { return false };
        if self.items.len() < PRESSURE_MESSAGES {
            return false;
        }
        if self.newest.is_none() {
            self.newest = Some(Box::new(self.index()));
        }
        let number = self.newest.as_mut().and_then(|newest| newest.remove(&conflation));
        let Some(number) = number else { return false };
        // An item that was written meanwhile lies before the front.
        let place = number.checked_sub(self.front).and_then(|place| usize::try_from(place).ok());
        place.is_some_and(|place| self.remove(place))
    }

    fn index(&self) -> HashMap<u64, u64> {
        let numbered = (self.front..).zip(&self.items);
        numbered
            .filter_map(|(number, item)| match item.keep {
                Keep::Ephemeral { conflation: conflation @ 1.. } => Some((conflation, number)),
                Keep::Ephemeral { .. } | Keep::Always => None,
            })
            .collect()
    }

    fn drop_oldest_ephemeral(&mut self) -> bool {
        let droppable = |item: &Item| matches!(item.keep, Keep::Ephemeral { .. }) && !item.frame.is_empty();
        self.items.iter().position(droppable).is_some_and(|place| self.remove(place))
    }

    fn remove(&mut self, place: usize) -> bool {
        let Some(item) = self.items.get_mut(place).filter(|item| !item.frame.is_empty()) else {
            return false;
        };
        self.bytes -= item.frame.len();
        item.frame = Bytes::new();
        self.removed += 1;
        self.compact();
        true
    }

    /// Forgets removed items: those at the front at once, those in the middle when they are the majority.
    fn compact(&mut self) {
        while self.items.front().is_some_and(|item| item.frame.is_empty()) {
            self.items.pop_front();
            self.front += 1;
            self.removed -= 1;
        }
        if self.removed > PRESSURE_MESSAGES + self.items.len() / 2 {
            self.items.retain(|item| !item.frame.is_empty());
            self.removed = 0;
            self.newest = None;
        }
    }

    fn take(&mut self, batch: &mut Vec<Bytes>, frames_max: usize, bytes_max: usize) -> Taken {
        batch.extend(self.pong.take());
        if std::mem::take(&mut self.ping) {
            batch.push(super::frame::ping());
        }
        let mut bytes = 0;
        let mut messages = 0;
        while batch.len() < frames_max && bytes < bytes_max {
            let Some(item) = self.items.pop_front() else { break };
            self.front += 1;
            if item.frame.is_empty() {
                self.removed -= 1;
                continue;
            }
            bytes += item.frame.len();
            messages += 1;
            batch.push(item.frame);
        }
        self.bytes -= bytes;
        if self.items.is_empty() {
            self.items = VecDeque::new();
            self.newest = None;
        }
        Taken { messages, is_last: self.items.is_empty() }
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
