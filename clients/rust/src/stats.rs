//! What one client did so far.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What one client did so far, over all of its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientStats {
    /// Messages handed to a socket.
    pub sent: u64,
    /// Messages received, welcomes not counted.
    pub received: u64,
    /// `system:error` messages and frames that could not be read.
    pub errors: u64,
    /// Connections after the first.
    pub reconnects: u64,
    /// Ephemeral messages dropped because a subscription's queue was full.
    pub missed: u64,
    /// Messages that came again and were not handed over again.
    pub duplicates: u64,
    /// Messages that came too early: something before them was missing, and was asked for.
    pub gaps: u64,
    /// Times that messages of a topic were declared missing.
    pub losses: u64,
    /// Messages that were not accepted for sending: no room, or no connection.
    pub refused: u64,
    /// Durable messages sent again, because the acknowledgement did not come or the node could not take them.
    pub resent: u64,
    /// Durable messages that are not known to be stored.
    pub undelivered: u64,
    /// Since the client was made, until it ended.
    pub uptime: Duration,
    /// How much of that it was connected.
    pub connected: Duration,
    /// Where the client is in its life.
    pub state: ClientState,
}

/// Where a client is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientState {
    /// A connection is being made, or its topics are being resumed.
    Connecting,
    /// In use.
    Open,
    /// It waits before it connects again.
    Waiting,
    /// Ended, for good.
    Closed,
}

/// What is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Count {
    Sent,
    Received,
    Errors,
    Reconnects,
    Missed,
    Duplicates,
    Gaps,
    Losses,
    Refused,
    Resent,
    Undelivered,
}

/// The counters behind [`ClientStats`]: written by the client's task, read by handles.
#[derive(Debug, Default)]
pub(crate) struct Counters([AtomicU64; 11]);

impl Counters {
    pub(crate) fn count(&self, what: Count) {
        self.add(what, 1);
    }

    pub(crate) fn add(&self, what: Count, number: u64) {
        self.0[what as usize].fetch_add(number, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self, uptime: Duration, connected: Duration, state: ClientState) -> ClientStats {
        let of = |what: Count| self.0[what as usize].load(Ordering::Relaxed);
        ClientStats {
            sent: of(Count::Sent),
            received: of(Count::Received),
            errors: of(Count::Errors),
            reconnects: of(Count::Reconnects),
            missed: of(Count::Missed),
            duplicates: of(Count::Duplicates),
            gaps: of(Count::Gaps),
            losses: of(Count::Losses),
            refused: of(Count::Refused),
            resent: of(Count::Resent),
            undelivered: of(Count::Undelivered),
            uptime,
            connected,
            state,
        }
    }
}
