//! What can go wrong when connecting, sending and asking.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use signalbox_protocol::Fault;
use thiserror::Error;
use tokio_tungstenite::tungstenite::Error as SocketError;

use crate::closed::Closed;
use crate::target::InvalidTarget;

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The URL is not one that this client can connect to.
    #[error("{url} is not a URL of the form ws://host:port/path")]
    InvalidUrl {
        /// The URL.
        url: String,
    },
    /// No TCP connection.
    #[error("{address} can't be reached")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The node answered the upgrade with another status than 101.
    #[error("the node answered {status} instead of upgrading: {body}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// When to try again, if the node says so.
        retry_after: Option<Duration>,
        /// What the node says, cut at some length.
        body: String,
    },
    /// The upgrade failed in another way.
    #[error("the upgrade to a WebSocket failed")]
    Upgrade(#[source] Box<SocketError>),
    /// The node closed the connection instead of welcoming it, e.g. for the lack of a token.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The first frame was not a welcome that this client can read.
    #[error("the first frame was not a welcome")]
    NoWelcome(#[source] Option<serde_json::Error>),
    /// No welcome within the configured time.
    #[error("not connected within {0:?}")]
    Timeout(Duration),
}

/// Why a message was not sent.
#[derive(Debug, Clone, Error)]
pub enum SendError {
    /// The type is not `group:name`.
    #[error("{0} is not a message type: it has to be group:name, of a-z and _, at most 64 characters")]
    InvalidType(String),
    /// The target is not a topic or a list of topics.
    #[error(transparent)]
    InvalidTarget(#[from] InvalidTarget),
    /// What was to be answered has no `correlationId`.
    #[error("the message asks for no answer: it has no correlationId")]
    NotARequest,
    /// The data can't be written as JSON.
    #[error("the data can't be written as JSON")]
    InvalidData(#[source] Arc<serde_json::Error>),
    /// Longer than the node takes.
    #[error("the message has {bytes} bytes; the node takes {bytes_max}")]
    TooLarge {
        /// Bytes of the encoded message.
        bytes: usize,
        /// `message_bytes_max` of the welcome.
        bytes_max: usize,
    },
    /// The outgoing queue stayed full for so long.
    #[error("no room in the outgoing queue for {0:?}")]
    QueueFull(Duration),
    /// The connection is closed.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// Why a question has no answer.
#[derive(Debug, Clone, Error)]
pub enum RequestError {
    /// It was not sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The gateway answered with `system:error`.
    #[error(transparent)]
    Refused(#[from] Fault),
    /// No answer within this time. It may have been carried out.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// So many questions are waiting for an answer already.
    #[error("{0} requests are waiting for an answer already")]
    TooMany(usize),
    /// The answer has another shape than this client knows.
    #[error("the answer can't be read")]
    Unreadable(#[source] Arc<serde_json::Error>),
    /// The connection closed before the answer came. It may have been carried out.
    #[error(transparent)]
    Closed(#[from] Closed),
}
