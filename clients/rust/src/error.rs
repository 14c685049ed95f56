//! What can go wrong when connecting, sending and asking.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use signalbox_protocol::Fault;
use signalbox_protocol::close::Advice;
use thiserror::Error;
use tokio_tungstenite::tungstenite::Error as SocketError;

use crate::closed::Closed;
use crate::pending::NoAnswer;
use crate::target::InvalidTarget;

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The URL is not one that this client can connect to.
    #[error("{url} is not a URL of the form {scheme}://host:port/path")]
    InvalidUrl {
        /// The URL.
        url: String,
        /// What it has to begin with.
        scheme: &'static str,
    },
    /// No token: whoever provides them has none at the moment.
    #[error("no token")]
    NoToken(#[source] TokenError),
    /// The token can't stand in a header.
    #[error("the token holds characters that can't be sent")]
    InvalidToken,
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

/// Why there is no token.
pub type TokenError = Box<dyn std::error::Error + Send + Sync>;

impl ConnectError {
    /// What to do about it: the one table of what can go wrong before there is a connection.
    pub fn advice(&self) -> Advice {
        match self {
            Self::Refused { status, .. } => match status {
                401 => Advice::Reauthenticate,
                // Too slow, too early, too many.
                408 | 425 | 429 => Advice::Reconnect,
                400..=499 => Advice::GiveUp,
                _ => Advice::Reconnect,
            },
            Self::Closed(closed) => closed.advice,
            Self::InvalidUrl { .. } | Self::InvalidToken => Advice::GiveUp,
            Self::NoToken(_)
            | Self::Unreachable { .. }
            | Self::Upgrade(_)
            | Self::NoWelcome(_)
            | Self::Timeout(_) => Advice::Reconnect,
        }
    }
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
    /// The outgoing queue is full, and stayed so for this long.
    #[error("no room in the outgoing queue for {0:?}")]
    QueueFull(Duration),
    /// There is no connection, and the configuration says that such messages don't wait for one.
    #[error("there is no connection at the moment")]
    Offline,
    /// The client has ended.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// Why a question has no answer.
#[derive(Debug, Clone, Error)]
pub enum RequestError {
    /// It was not accepted for sending.
    #[error(transparent)]
    Send(#[from] SendError),
    /// It was accepted and then not sent, or the node has said that it did nothing: certainly not carried out.
    #[error("not sent: {0}")]
    NotSent(#[source] Unanswered),
    /// It was sent and the answer did not come: it may have been carried out.
    #[error("outcome unknown: {0}")]
    Unknown(#[source] Unanswered),
    /// The gateway answered with `system:error`.
    #[error(transparent)]
    Refused(#[from] Fault),
    /// So many questions are waiting for an answer already.
    #[error("{0} requests are waiting for an answer already")]
    TooMany(usize),
    /// The answer has another shape than this client knows.
    #[error("the answer can't be read")]
    Unreadable(#[source] Arc<serde_json::Error>),
}

impl RequestError {
    /// What the sender of a message is told, who knows whether it was `written`.
    pub(crate) fn of(why: NoAnswer, written: bool) -> Self {
        let unanswered = match why {
            NoAnswer::Refused(fault) => return Self::Refused(fault),
            NoAnswer::TooLarge { bytes, bytes_max } => {
                return SendError::TooLarge { bytes, bytes_max }.into();
            }
            NoAnswer::RefusedAgain(fault) => return Self::Unknown(Unanswered::Refused(fault)),
            NoAnswer::Lost(closed) => Unanswered::Closed(closed),
            NoAnswer::TooLate(limit) => Unanswered::Timeout(limit),
        };
        if written { Self::Unknown(unanswered) } else { Self::NotSent(unanswered) }
    }
}

/// What ended the waiting for an answer.
#[derive(Debug, Clone, Error)]
pub enum Unanswered {
    /// The time limit.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The end of the connection, or of the client.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// It was sent again because the first answer was lost, and this time refused.
    #[error("refused when it was sent again: {0}")]
    Refused(#[source] Fault),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::closed::CloseCause;

    #[test]
    fn every_refusal_has_its_advice() {
        use Advice::{GiveUp, Reauthenticate, Reconnect};
        for (status, advice) in [
            (302, Reconnect),
            (400, GiveUp),
            (401, Reauthenticate),
            (403, GiveUp),
            (404, GiveUp),
            (408, Reconnect),
            (429, Reconnect),
            (500, Reconnect),
            (502, Reconnect),
            (503, Reconnect),
        ] {
            let refused = ConnectError::Refused { status, retry_after: None, body: String::new() };
            assert_eq!(refused.advice(), advice, "{status}");
        }
        assert_eq!(ConnectError::Timeout(Duration::ZERO).advice(), Reconnect);
        assert_eq!(ConnectError::NoToken("none".into()).advice(), Reconnect);
        let forbidden = CloseCause::ByNode { code: 4403, reason: "".into() };
        assert_eq!(ConnectError::Closed(forbidden.into()).advice(), GiveUp);
        assert_eq!(ConnectError::InvalidUrl { url: String::new(), scheme: "ws" }.advice(), GiveUp);
    }
}
