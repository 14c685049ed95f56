//! What a client tells about itself, besides the messages that come.

use std::sync::Arc;
use std::time::Duration;

use signalbox_protocol::control::{Discontinuity, DrainReason, Welcome};
use signalbox_protocol::{Fault, Topic};
use thiserror::Error;
use tokio::sync::broadcast;

use crate::closed::Closed;
use crate::error::{ConnectError, RequestError};

/// So many events wait for whoever reads them slowly; then the oldest go.
pub(crate) const EVENTS_MAX: usize = 64;

/// What happened to a client. See [`Client::events`](crate::Client::events).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// A node welcomed it, and its topics go on.
    Connected {
        /// What the node said.
        welcome: Arc<Welcome>,
    },
    /// The connection ended. Unless [`Closed::advice`] is to give up, the client connects again.
    Disconnected {
        /// Why.
        closed: Closed,
    },
    /// No node could be reached, or none wanted it; it tries again.
    NotConnected {
        /// Why.
        error: Arc<ConnectError>,
        /// How long it waits.
        retry_in: Duration,
    },
    /// The node is about to stop; the client moves.
    Draining {
        /// When it connects elsewhere.
        reconnect_in: Duration,
        /// Why the node stops.
        reason: DrainReason,
    },
    /// Messages of a topic may be missing. Every subscription is told as well, in its place among the messages:
    /// [`RecvError::Lost`](crate::RecvError::Lost).
    Lost(Lost),
    /// After a reconnect a topic could not be joined again.
    NotRejoined {
        /// The topic.
        topic: Topic,
        /// What the node says.
        fault: Fault,
    },
    /// The token that replaced an earlier one does not allow these topics any more: nothing more comes of them.
    NotAllowed {
        /// The topics.
        topics: Vec<Topic>,
    },
    /// A durable message that nobody waits for, sent with [`Client::emit`](crate::Client::emit), is not known to
    /// be stored.
    Undelivered {
        /// The message's id.
        id: String,
        /// The message's type.
        message_type: Box<str>,
        /// Whether it was not sent, was refused, or is unknown.
        error: RequestError,
    },
}

/// Messages of a topic that may be missing here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("messages of {topic} may be missing: {reason}")]
pub struct Lost {
    /// The topic.
    pub topic: Topic,
    /// Why.
    pub reason: LossReason,
}

/// Why messages may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum LossReason {
    /// The topic's log began another life: nobody can say what happened between.
    #[error("its log began another life")]
    Epoch,
    /// There were more messages, or longer ones, than the log keeps.
    #[error("its log had no room for all")]
    Trimmed,
    /// They are older than the log keeps them.
    #[error("its log no longer keeps them")]
    Expired,
    /// The node would not resume this topic.
    #[error("the node does not resume it")]
    NotResumed,
    /// The node gave no reason that this release knows.
    #[error("no known reason was given")]
    Unknown,
}

impl LossReason {
    pub(crate) fn of(told: Option<Discontinuity>) -> Self {
        match told {
            Some(Discontinuity::Epoch) => Self::Epoch,
            Some(Discontinuity::Trimmed) => Self::Trimmed,
            Some(Discontinuity::Expired) => Self::Expired,
            Some(Discontinuity::Other) | None => Self::Unknown,
        }
    }
}

/// The events of a client, from the moment on when they were asked for.
#[derive(Debug)]
pub struct Events {
    receiver: broadcast::Receiver<Event>,
}

impl Events {
    pub(crate) fn new(receiver: broadcast::Receiver<Event>) -> Self {
        Self { receiver }
    }

    /// The next event; `None` when the client has ended. Whoever reads slowly misses the oldest beyond 64: a
    /// [`Lost`] is certain to be told only in the subscriptions.
    ///
    /// # Cancel safety
    /// No event is lost.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.receiver.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(events)) => {
                    tracing::debug!(events, "events were not read in time");
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
