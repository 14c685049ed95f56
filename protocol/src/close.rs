//! Why a node closes a connection: the codes of the close frame, and what a client should do then.

use std::fmt;

/// Why a node closes a connection. Each code is a contract: a client acts on [`CloseCode::advice`].
///
/// A client that sees none of these (1005 and 1006 stand for a connection that broke without a close
/// frame) reconnects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum CloseCode {
    /// The client asked to close and this is the answer. Nothing to do.
    Normal = 1000,
    /// The node goes away for good. Reconnect; the load balancer picks another node.
    GoingAway = 1001,
    /// The client broke the WebSocket protocol. Repair the client.
    ProtocolError = 1002,
    /// The client sent a text frame that is not UTF-8. Repair the client.
    InvalidPayload = 1007,
    /// The client broke a rule that has no code of its own. Repair the client.
    PolicyViolation = 1008,
    /// The client sent a message longer than `message_bytes_max` of its welcome. Send smaller ones.
    MessageTooBig = 1009,
    /// A fault of the node. Reconnect.
    InternalError = 1011,
    /// The node restarts. Reconnect at once, with a little jitter, and subscribe again.
    ServiceRestart = 1012,
    /// The node has more to do than it can. Reconnect later: back off for some seconds.
    TryAgainLater = 1013,
    /// Too many malformed messages in a short time. Each was answered with a `system:error`: repair the client.
    Malformed = 4400,
    /// No token, or one that is expired or not accepted. Get a new one, then reconnect.
    Unauthenticated = 4401,
    /// The identity is known but may not do this, e.g. use another subject's session. Don't reconnect unchanged.
    Forbidden = 4403,
    /// The client sent nothing, not even a pong, for the heartbeat time-out. Reconnect.
    HeartbeatMissed = 4408,
    /// The session opened more sockets than it may have, and this was its oldest. Don't reconnect: a newer one took its place.
    Replaced = 4409,
    /// The client read too slowly and its outbox overflowed. Reconnect and read faster, or subscribe to less.
    SlowConsumer = 4413,
    /// The client sent more than its rate allows, or a flood of frames that complete no message.
    /// Reconnect later and send less.
    RateLimited = 4429,
}

/// What a client should do about a [`CloseCode`] without asking anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Advice {
    /// Connect again after a back-off that grows and is jittered.
    Reconnect,
    /// Get a new token, then connect again.
    Reauthenticate,
    /// Stay away: the same again would end the same way.
    GiveUp,
}

impl CloseCode {
    /// Every code, in rising order.
    pub const ALL: [Self; 16] = [
        Self::Normal,
        Self::GoingAway,
        Self::ProtocolError,
        Self::InvalidPayload,
        Self::PolicyViolation,
        Self::MessageTooBig,
        Self::InternalError,
        Self::ServiceRestart,
        Self::TryAgainLater,
        Self::Malformed,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::HeartbeatMissed,
        Self::Replaced,
        Self::SlowConsumer,
        Self::RateLimited,
    ];

    /// The number that stands in the close frame.
    pub fn as_u16(self) -> u16 {
        self as u16
    }

    /// The code of this number, if it is one of ours.
    pub fn from_u16(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_u16() == number)
    }

    /// The short text that stands in the close frame beside the number.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Normal => "closed",
            Self::GoingAway => "going away",
            Self::ProtocolError => "protocol error",
            Self::InvalidPayload => "text is not UTF-8",
            Self::PolicyViolation => "policy violation",
            Self::MessageTooBig => "message too big",
            Self::InternalError => "internal error",
            Self::ServiceRestart => "restarting",
            Self::TryAgainLater => "overloaded, try again later",
            Self::Malformed => "too many malformed messages",
            Self::Unauthenticated => "no valid token",
            Self::Forbidden => "forbidden",
            Self::HeartbeatMissed => "heartbeat missed",
            Self::Replaced => "replaced by a newer connection of the session",
            Self::SlowConsumer => "slow consumer",
            Self::RateLimited => "rate limited",
        }
    }

    /// What a client should do about it.
    pub fn advice(self) -> Advice {
        match self {
            Self::GoingAway
            | Self::InternalError
            | Self::ServiceRestart
            | Self::TryAgainLater
            | Self::HeartbeatMissed
            | Self::SlowConsumer
            | Self::RateLimited => Advice::Reconnect,
            Self::Unauthenticated => Advice::Reauthenticate,
            Self::Normal
            | Self::ProtocolError
            | Self::InvalidPayload
            | Self::PolicyViolation
            | Self::MessageTooBig
            | Self::Malformed
            | Self::Forbidden
            | Self::Replaced => Advice::GiveUp,
        }
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.as_u16(), self.reason())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_codes_name_each_other() {
        for code in CloseCode::ALL {
            assert_eq!(CloseCode::from_u16(code.as_u16()), Some(code));
        }
        assert!(CloseCode::ALL.is_sorted());
        for foreign in [0, 999, 1005, 1006, 1010, 4000, 4499, u16::MAX] {
            assert_eq!(CloseCode::from_u16(foreign), None);
        }
    }

    #[test]
    fn a_reason_fits_into_a_close_frame() {
        const CONTROL_FRAME_BYTES_MAX: usize = 125;
        for code in CloseCode::ALL {
            assert!(!code.reason().is_empty());
            assert!(2 + code.reason().len() <= CONTROL_FRAME_BYTES_MAX, "{code}");
        }
    }
}
