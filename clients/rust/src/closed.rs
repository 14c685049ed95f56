//! Why a connection ended, and what to do about it: the one table of close codes is [`CloseCode::advice`].

use std::io;
use std::sync::Arc;
use std::time::Duration;

use signalbox_protocol::CloseCode;
use signalbox_protocol::close::Advice;
use thiserror::Error;
use tokio_tungstenite::tungstenite::error::{Error as SocketError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::error::ConnectError;

/// A connection that has ended.
#[derive(Debug, Clone, Error)]
#[error("the connection is closed: {cause}")]
pub struct Closed {
    /// Why it ended.
    #[source]
    pub cause: CloseCause,
    /// What to do about it.
    pub advice: Advice,
}

/// Why a connection ended.
#[derive(Debug, Clone, Error)]
pub enum CloseCause {
    /// The node sent a close frame.
    #[error("the node said {code} {reason}")]
    ByNode {
        /// The number in the frame; 1005 if there was none.
        code: u16,
        /// The text in the frame.
        reason: Arc<str>,
    },
    /// This side closed it.
    #[error("closed by this client")]
    ByClient,
    /// The client's task was ended from outside: its runtime was shut down, or it panicked.
    #[error("the client's task was aborted")]
    Aborted,
    /// The socket ended without a close frame; the error, if there was one.
    #[error("the connection was lost")]
    Lost(#[source] Option<Arc<io::Error>>),
    /// The node sent nothing, not even a ping, for longer than its welcome promised.
    #[error("nothing heard from the node for {0:?}")]
    Silent(Duration),
    /// The socket did not take what was to be written within this time.
    #[error("the node did not read what was sent for {0:?}")]
    Stalled(Duration),
    /// The node did not answer a `system:resume` within this time.
    #[error("the node did not resume the topics within {0:?}")]
    NotResumed(Duration),
    /// This side left it for another node.
    #[error("left for another node")]
    Moved,
    /// The node said that it stops, and did not close the connection at the time that it named.
    #[error("the node stops and did not close the connection")]
    Drained,
    /// There is no connection, and trying again would not help.
    #[error("there will be no connection")]
    NotConnected(#[source] Arc<ConnectError>),
    /// The other side doesn't speak WebSocket as this one does, or sent more than the configured bound.
    #[error("the node broke the WebSocket protocol")]
    Violation(#[source] Arc<SocketError>),
}

impl Closed {
    /// The node's close code, if it sent one and it is one of ours.
    pub fn code(&self) -> Option<CloseCode> {
        match self.cause {
            CloseCause::ByNode { code, .. } => CloseCode::from_u16(code),
            CloseCause::ByClient
            | CloseCause::Aborted
            | CloseCause::Lost(_)
            | CloseCause::Silent(_)
            | CloseCause::Stalled(_)
            | CloseCause::NotResumed(_)
            | CloseCause::Moved
            | CloseCause::Drained
            | CloseCause::Violation(_) => None,
            CloseCause::NotConnected(ref error) => match &**error {
                ConnectError::Closed(closed) => closed.code(),
                _ => None,
            },
        }
    }

    /// Whether the node has more to do than it can, or this client asks too much of it.
    pub(crate) fn is_overload(&self) -> bool {
        matches!(self.code(), Some(CloseCode::TryAgainLater | CloseCode::RateLimited))
    }

    pub(crate) fn by_frame(frame: Option<CloseFrame>) -> Self {
        const NO_CODE: u16 = 1005;
        let (code, reason) =
            frame.map_or((NO_CODE, Arc::from("")), |frame| (frame.code.into(), frame.reason.as_str().into()));
        CloseCause::ByNode { code, reason }.into()
    }

    pub(crate) fn by_error(error: SocketError) -> Self {
        match error {
            SocketError::ConnectionClosed
            | SocketError::AlreadyClosed
            | SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => CloseCause::Lost(None),
            SocketError::Io(error) => CloseCause::Lost(Some(error.into())),
            other => CloseCause::Violation(other.into()),
        }
        .into()
    }
}

impl From<CloseCause> for Closed {
    fn from(cause: CloseCause) -> Self {
        let advice = match &cause {
            // A code that is not one of ours comes from something between here and the node.
            CloseCause::ByNode { code, .. } => {
                CloseCode::from_u16(*code).map_or(Advice::Reconnect, CloseCode::advice)
            }
            CloseCause::Lost(_)
            | CloseCause::Silent(_)
            | CloseCause::Stalled(_)
            | CloseCause::NotResumed(_)
            | CloseCause::Moved
            | CloseCause::Drained => Advice::Reconnect,
            CloseCause::NotConnected(error) => error.advice(),
            CloseCause::ByClient | CloseCause::Aborted | CloseCause::Violation(_) => Advice::GiveUp,
        };
        Self { cause, advice }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio_tungstenite::tungstenite::error::CapacityError;

    fn by_code(code: u16) -> Closed {
        Closed::by_frame(Some(CloseFrame { code: code.into(), reason: "because".into() }))
    }

    #[test]
    fn every_close_code_has_its_advice() {
        use Advice::{GiveUp, Reauthenticate, Reconnect};
        let table = [
            (1000, GiveUp),
            (1001, Reconnect),
            (1002, GiveUp),
            (1007, GiveUp),
            (1008, GiveUp),
            (1009, GiveUp),
            (1011, Reconnect),
            (1012, Reconnect),
            (1013, Reconnect),
            (4400, GiveUp),
            (4401, Reauthenticate),
            (4403, GiveUp),
            (4408, Reconnect),
            (4409, GiveUp),
            (4413, Reconnect),
            (4429, Reconnect),
        ];
        assert_eq!(table.map(|(code, _)| code), CloseCode::ALL.map(CloseCode::as_u16));
        for (code, advice) in table {
            let closed = by_code(code);
            assert_eq!((closed.advice, closed.code()), (advice, CloseCode::from_u16(code)), "{code}");
            assert_eq!(closed.is_overload(), matches!(code, 1013 | 4429), "{code}");
            assert!(closed.to_string().ends_with(&format!("the node said {code} because")));
        }
    }

    #[test]
    fn what_comes_from_between_is_no_reason_to_give_up() {
        for foreign in [1005, 1006, 1014, 1015, 3000, 4000, 4999] {
            assert_eq!(by_code(foreign).advice, Advice::Reconnect, "{foreign}");
        }
        assert_eq!(Closed::by_frame(None).advice, Advice::Reconnect);
    }

    #[test]
    fn a_lost_connection_is_told_from_a_broken_protocol() {
        let reset = SocketError::Io(io::ErrorKind::ConnectionReset.into());
        assert!(matches!(Closed::by_error(reset).cause, CloseCause::Lost(Some(_))));
        let cut = SocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake);
        assert!(matches!(Closed::by_error(cut).cause, CloseCause::Lost(None)));
        let long = SocketError::Capacity(CapacityError::MessageTooLong { size: 2, max_size: 1 });
        assert_eq!(Closed::by_error(long).advice, Advice::GiveUp);
    }
}
