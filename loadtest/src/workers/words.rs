//! What the tester and its further processes say to each other: one line of JSON each time.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

use crate::latency::Latencies;
use crate::plant::Flaw;
use crate::tally::Tally;

/// What a process is told to do. It answers each with one [`Told`] that is no progress.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub(crate) enum Order {
    /// Open these connections and keep them, answering pings.
    Connect(Share),
    /// Send to each of them in turn, through the node after its own.
    Message(Load),
    /// Close them.
    Leave,
    /// Connect so many pairs, each from one node to the next.
    Pair { share: Share, window: Option<u32> },
    /// Let the pairs talk.
    Exchange(Load),
}

/// The part of a run's clients that one process drives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Share {
    /// The process, from 0.
    pub(crate) process: usize,
    /// `ws://host:port/ws` of each node.
    pub(crate) urls: Vec<String>,
    /// Keeps this run's agents apart from others.
    pub(crate) run: String,
    /// The number of its first client.
    pub(crate) first: usize,
    /// How many there are.
    pub(crate) count: usize,
    /// Handshakes under way at once.
    pub(crate) at_once: usize,
    /// Its first client is thrown out, to see that this is found.
    pub(crate) loses_one: bool,
}

/// How messages are sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Load {
    /// By this process.
    pub(crate) per_second: f64,
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
    pub(crate) payload_bytes: usize,
    /// Planted by one of the processes.
    pub(crate) plant: Option<Flaw>,
    /// Where the machine's hiccups are written, if somebody watches.
    pub(crate) hiccups: Option<PathBuf>,
}

/// What a process answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "told", rename_all = "snake_case")]
pub(crate) enum Told {
    /// So many more are connected.
    Progress { more: u64 },
    /// All are connected, and how long the handshakes took.
    Connected { handshakes: Latencies },
    /// All pairs are connected.
    Paired,
    /// What came of the messages.
    Messaged(Box<Tally>),
    /// All are closed; so many had ended by themselves.
    Left { lost: usize },
    /// It could not be done.
    Failed { error: String },
}
