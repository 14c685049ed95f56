//! Whose tokens of before are no longer taken, in the whole cluster.
//!
//! A revocation is never taken back: it concerns tokens that were issued before it, and a new one is taken. So what
//! a node knows only grows until it is over, and a Redis that forgot something makes no node forget it.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use signalbox_protocol::{Agent, SessionId, Tenant, Topic};

use crate::Error;

/// Whose tokens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Whom {
    /// Those that speak for this agent.
    Agent(Agent),
    /// Those of this principal, for whichever agent.
    Subject(String),
    /// Those that are shown in this session.
    Session(SessionId),
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(agent) => write!(f, "agent:{agent}"),
            Self::Subject(subject) => write!(f, "subject:{subject}"),
            Self::Session(session) => write!(f, "session:{session}"),
        }
    }
}

/// A name that is none of [`Whom`]'s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NobodyRevoked;

impl FromStr for Whom {
    type Err = NobodyRevoked;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, name) = text.split_once(':').ok_or(NobodyRevoked)?;
        match kind {
            "agent" => Topic::try_new(name).map(|topic| Self::Agent(Agent::from_topic(topic))).map_err(drop),
            "subject" if !name.is_empty() => Ok(Self::Subject(name.to_owned())),
            "session" => SessionId::try_new(name).map(Self::Session).map_err(drop),
            _ => Err(()),
        }
        .map_err(|()| NobodyRevoked)
    }
}

/// Whose tokens are no longer taken, and which. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Whose.
    pub whom: Whom,
    /// Tokens issued up to now, which is this moment.
    pub at: u64,
    /// None of these can be valid any more then, and this may be forgotten.
    pub until: u64,
}

/// The revocations of all tenants.
#[async_trait]
pub trait Revocations: Send + Sync + fmt::Debug {
    /// Writes a revocation down. Of two of the same the later one counts. `most` are kept of a tenant: `false` means
    /// that there are so many, none of them over.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: it was not. [`Error::OutcomeUnknown`]: do it again.
    async fn revoke(&self, tenant: &Tenant, revocation: &Revocation, most: usize) -> Result<bool, Error>;

    /// The tenants that have revocations, each with a number that changes when they do.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn versions(&self) -> Result<Vec<(Tenant, u64)>, Error>;

    /// The revocations of a tenant, also those that are over; in no order.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    async fn list(&self, tenant: &Tenant) -> Result<Vec<Revocation>, Error>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_reads_back() {
        for text in ["agent:vehicle:V1", "subject:fleet:7", "session:S-1"] {
            assert_eq!(text.parse::<Whom>().map(|whom| whom.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "agent", "agent:V1", "subject:", "session:", "session:a b", "tenant:acme"] {
            assert_eq!(text.parse::<Whom>(), Err(NobodyRevoked), "{text}");
        }
    }
}
