//! What one client did so far.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What one client did so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientStats {
    /// Messages handed to the socket.
    pub sent: u64,
    /// Messages received, the welcome not counted.
    pub received: u64,
    /// `system:error` messages and frames that could not be read.
    pub errors: u64,
    /// Messages dropped because a subscription's queue was full.
    pub missed: u64,
    /// For how long the connection has been open, or was.
    pub uptime: Duration,
    /// Where the connection is in its life.
    pub state: ClientState,
}

/// Where a client's connection is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientState {
    /// In use.
    Open,
    /// Ended.
    Closed,
}

/// The counters behind [`ClientStats`]: written by the connection's task, read by handles.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    sent: AtomicU64,
    received: AtomicU64,
    errors: AtomicU64,
    missed: AtomicU64,
}

impl Counters {
    pub(crate) fn count_sent(&self) {
        self.sent.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_received(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_error(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_missed(&self, messages: u64) {
        self.missed.fetch_add(messages, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self, uptime: Duration, state: ClientState) -> ClientStats {
        ClientStats {
            sent: self.sent.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            missed: self.missed.load(Ordering::Relaxed),
            uptime,
            state,
        }
    }
}
