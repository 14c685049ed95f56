//! Why a client is not let in. Nothing in here holds any part of a token.

use signalbox_identity::Rejected;
use signalbox_protocol::close::CloseCode;
use signalbox_protocol::error::Fault;
use thiserror::Error;

/// Why a client is not let in.
#[derive(Debug, Error, Clone, PartialEq)]
pub enum Refused {
    /// The query makes no sense: refused before the upgrade, with 400.
    #[error(transparent)]
    BadQuery(#[from] IdentityError),
    /// Nobody vouches for the client. This and the following: refused after the upgrade, since browsers cannot read a
    /// status.
    #[error("a token is needed")]
    NoToken,
    /// Which one is meant, is anybody's guess.
    #[error("more than one token is shown")]
    SeveralTokens,
    /// Addresses get into logs.
    #[error("a token in the URL is not taken: show it in the header or as a subprotocol")]
    TokenInUrl,
    /// The token is not believed.
    #[error(transparent)]
    Token(#[from] Rejected),
    /// The token is believed, and there are no such agents here.
    #[error("the token's agent_type is not one of this node's")]
    AgentType,
    /// The token is believed, and its agent is one of the gateway's own.
    #[error("the token's agent is one of the gateway's own")]
    Reserved,
    /// The token is believed, and does not let it follow the namespace of the path. Counted already.
    #[error("{}", .0.message)]
    Namespace(Fault),
}

impl Refused {
    /// For the metric, those that have to do with tokens; beside them the names of [`Rejected`].
    pub const NAMES: [&str; 5] = ["missing", "several", "in_url", "agent_type", "reserved"];

    /// The label's value; `None` where it is not the token's fault, or counted elsewhere.
    pub fn as_str(&self) -> Option<&'static str> {
        Some(match self {
            Self::BadQuery(_) | Self::Namespace(_) => return None,
            Self::NoToken => "missing",
            Self::SeveralTokens => "several",
            Self::TokenInUrl => "in_url",
            Self::Token(rejected) => rejected.as_str(),
            Self::AgentType => "agent_type",
            Self::Reserved => "reserved",
        })
    }

    /// The code to close with after the upgrade.
    pub fn close_code(&self) -> CloseCode {
        match self {
            Self::BadQuery(_) => CloseCode::PolicyViolation,
            Self::NoToken | Self::SeveralTokens | Self::TokenInUrl | Self::Token(_) => {
                CloseCode::Unauthenticated
            }
            Self::AgentType | Self::Reserved | Self::Namespace(_) => CloseCode::Forbidden,
        }
    }
}

/// A field of the query that can't be taken.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum IdentityError {
    /// It holds something that it must not.
    #[error("query field {field}: has to be {allowed}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What it may be.
        allowed: &'static str,
    },
    /// The agent type is none of the listed ones.
    #[error("query field agent_type: has to be one of {}", .listed.join(", "))]
    UnlistedAgentType {
        /// The agent types that there are.
        listed: Vec<String>,
    },
    /// It stands there twice, and which one is meant is anybody's guess.
    #[error("query field {field}: is given more than once")]
    Repeated {
        /// The field.
        field: &'static str,
    },
    /// Its percent-encoding does not give text.
    #[error("query field {field}: is not percent-encoded UTF-8")]
    Encoding {
        /// The field.
        field: &'static str,
    },
}
