//! What waits to be written to one socket.
//!
//! Anybody may put a frame in. The connection's own task takes frames out; where it shares its socket, a flusher
//! does so as well, whoever holds the line. Bounded in messages and in bytes. Memory is allocated only while something
//! is queued. Order is kept; under pressure the newest ephemeral message per conflation key survives, then the oldest
//! ephemeral messages go.

mod line;
mod queue;

use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::Waker;

use atomic_waker::AtomicWaker;
use bytes::Bytes;
use signalbox_protocol::close::CloseCode;
use tokio::net::TcpStream;

pub(super) use self::line::Line;
pub use self::line::Wrote;
use self::queue::Queue;
use super::writing::{BYTES_MAX, FRAMES_MAX};
use crate::metrics::Volumes;

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
    /// The same for a stored message.
    Stored,
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
    /// Dropped itself: the connection is closing and takes nothing more.
    Closing,
    /// Dropped itself, though it may not be: so the connection has been told to close with 4413.
    Overflow,
}

/// The outbound queue of one connection.
#[derive(Debug)]
pub struct Outbox {
    queue: Mutex<Queue>,
    line: Mutex<Line>,
    writer: AtomicWaker,
    /// A flusher has been told, and has not come yet.
    awaits_flusher: AtomicBool,
    /// The close code once somebody asked for a close; 0 before.
    closing: AtomicU16,
    bounds: Bounds,
}

/// What the writing task gets in one go.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Those of the frames that are messages (not pings or pongs).
    pub messages: Volumes,
    /// Nothing is left in the outbox.
    pub is_last: bool,
}

impl Outbox {
    /// An empty outbox.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            queue: Mutex::new(Queue::new()),
            line: Mutex::default(),
            writer: AtomicWaker::new(),
            awaits_flusher: AtomicBool::new(false),
            closing: AtomicU16::new(0),
            bounds,
        }
    }

    /// Queues a frame and wakes the connection's task.
    pub fn push(&self, frame: Bytes, keep: Keep) -> Pushed {
        let pushed = self.queue(frame, keep);
        self.writer.wake();
        pushed
    }

    /// Queues a frame that somebody else sees to.
    fn queue(&self, frame: Bytes, keep: Keep) -> Pushed {
        if self.closing().is_some() {
            return Pushed::Closing;
        }
        let pushed = self.lock().push(frame, keep, self.bounds);
        if pushed == Pushed::Overflow {
            let is_first = self.begin_closing(CloseCode::SlowConsumer);
            self.writer.wake();
            return if is_first { Pushed::Overflow } else { Pushed::Closing };
        }
        pushed
    }

    /// Queues a frame for the next flush. True: a flusher is to be told of it.
    pub fn push_for_flush(&self, frame: Bytes, keep: Keep) -> (Pushed, bool) {
        let pushed = self.queue(frame, keep);
        (pushed, !self.awaits_flusher.swap(true, Ordering::AcqRel))
    }

    /// No flusher will come: the connection's task writes what is queued.
    pub fn leave_to_task(&self) {
        self.awaits_flusher.swap(false, Ordering::AcqRel);
        self.writer.wake();
    }

    /// Writes what is queued, as far as the socket takes it at once; the rest is the task's. `scratch`: for the frames.
    pub fn flush(&self, scratch: &mut Vec<Bytes>) -> Wrote {
        // Before anything is taken: what is queued from here on tells a flusher again.
        self.awaits_flusher.swap(false, Ordering::AcqRel);
        let line = match self.line.try_lock() {
            Ok(line) => Some(line),
            Err(TryLockError::Poisoned(line)) => Some(line.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        let flushed =
            line.and_then(|mut line| line.flush(|batch| self.take(batch, FRAMES_MAX, BYTES_MAX), scratch));
        match flushed {
            Some((wrote, true)) => wrote,
            Some((wrote, false)) => {
                self.writer.wake();
                wrote
            }
            None => {
                self.writer.wake();
                Wrote::default()
            }
        }
    }

    /// Lets flushers write to the socket of the connection's task, from `answer` on: this and what is queued are written as
    /// far as the socket takes them at once. In what was written the answer is not counted.
    pub fn open(&self, stream: Arc<TcpStream>, answer: Bytes) -> Wrote {
        self.line().open(stream, answer, |batch| self.take(batch, FRAMES_MAX, BYTES_MAX))
    }

    /// Whether flushers may write to the socket.
    #[cfg(test)]
    pub(super) fn may_be_flushed(&self) -> bool {
        self.line().is_shared()
    }

    /// What is being written. The task waits for a flusher here, for the time of one write.
    pub(super) fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a stored message if there is room for it, and the connection is not closing; else it is given
    /// back, and its giver waits.
    pub fn offer(&self, frame: Bytes) -> Result<(), Bytes> {
        let mut queue = self.lock();
        if self.closing().is_some() || !queue.fits(frame.len(), self.bounds) {
            return Err(frame);
        }
        queue.append(frame, Keep::Stored);
        drop(queue);
        self.writer.wake();
        Ok(())
    }

    /// Puts an answer in front of everything queued: the welcome, which comes first.
    pub fn push_front(&self, frame: Bytes) {
        self.lock().push_front(frame);
        self.writer.wake();
    }

    /// Asks for a ping to be sent with the next flush. Control frames have a place of their own beside the queue. True: a
    /// flusher is to be told of it.
    pub fn ping_for_flush(&self) -> bool {
        self.lock().ping = true;
        !self.awaits_flusher.swap(true, Ordering::AcqRel)
    }

    /// Asks for a pong to be sent; a newer one replaces one not yet sent (RFC 6455, 5.5.3).
    pub fn pong(&self, frame: Bytes) {
        self.lock().pong = Some(frame);
        self.writer.wake();
    }

    /// Closes the connection after what is queued; the first code stays.
    pub fn close(&self, code: CloseCode) {
        self.begin_closing(code);
        self.writer.wake();
    }

    /// False: somebody has.
    fn begin_closing(&self, code: CloseCode) -> bool {
        self.closing.compare_exchange(0, code.as_u16(), Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Drops what is queued; how many messages that were.
    pub fn clear(&self) -> usize {
        self.lock().clear()
    }

    /// Drops what is queued and takes nothing more: nobody will write. How many messages were dropped.
    pub fn end(&self) -> usize {
        let mut queue = self.lock();
        queue.ended = true;
        queue.clear()
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

    /// Messages and bytes queued now.
    pub fn queued(&self) -> (usize, usize) {
        let queue = self.lock();
        (queue.len(), queue.bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A panic while it was held leaves at worst a wrong count; the data is still frames.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "outbox_tests.rs"]
mod tests;
