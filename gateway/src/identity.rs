//! Who a client is, decided from its handshake alone. Pure: no I/O, no clock, nothing random.
//!
//! Today there is one source, the query, trusted only where the node's policy allows anonymous
//! identities. A token's claims will be the other: verified in [`identify`] before the query is
//! believed, they will replace all of it but `session_id` and `resume`.

use crate::announce::{API, GATEWAY};
use signalbox_protocol::close::CloseCode;
use signalbox_protocol::topic::is_topic_id;
use signalbox_protocol::{Agent, SessionId, Tenant, Vocabulary};
use thiserror::Error;

use query::Fields;

mod query;

const DEFAULT_TENANT: &str = "default";
const DEFAULT_AGENT_TYPE: &str = "guest";
const SUBJECT_CHARS_MAX: usize = 256;

/// Who a client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The customer that it belongs to.
    pub tenant: Tenant,
    /// Who it speaks as: the `source` of its messages.
    pub agent: Agent,
    /// The principal that its session belongs to; the agent itself unless told otherwise.
    pub subject: String,
    /// Its business area; the characters of a topic id.
    pub pillar: Option<String>,
    /// The session that it named; absent means one of its own.
    pub session: Option<SessionId>,
    /// Whether its first message will be `system:resume`.
    pub resume: bool,
}

/// What a node accepts as an identity.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    /// Whether the query is believed.
    pub anonymous: bool,
    /// The agent types that there are.
    pub vocabulary: &'a Vocabulary,
}

/// Why a client is not let in.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum Refused {
    /// The query makes no sense: refused before the upgrade, with 400.
    #[error(transparent)]
    BadQuery(#[from] IdentityError),
    /// Nobody vouches for the client: refused after the upgrade, since browsers cannot read a status.
    #[error("this node takes no identity from the query: a token is needed")]
    Unauthenticated,
}

impl Refused {
    /// The code to close with after the upgrade; `None` means to refuse before it, with 400.
    pub fn close_code(&self) -> Option<CloseCode> {
        match self {
            Self::BadQuery(_) => None,
            Self::Unauthenticated => Some(CloseCode::Unauthenticated),
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

/// Decides who a client is. `query` is what follows the `?` of the request, undecoded; `made_up_id`
/// becomes the agent id of a client that names none, and has to be a topic id.
///
/// # Errors
/// [`Refused`]; its [`close_code`](Refused::close_code) tells whether before or after the upgrade.
pub fn identify(query: &str, made_up_id: &str, policy: &Policy<'_>) -> Result<Identity, Refused> {
    let fields = Fields::parse(query)?;
    if !policy.anonymous {
        return Err(Refused::Unauthenticated);
    }
    Ok(from_query(&fields, made_up_id, policy.vocabulary)?)
}

/// Agents whose messages clients take for the gateway's own.
const RESERVED: [&str; 2] = [GATEWAY, API];

fn from_query(
    fields: &Fields<'_>,
    made_up_id: &str,
    vocabulary: &Vocabulary,
) -> Result<Identity, IdentityError> {
    let tenant = fields.tenant.as_deref().unwrap_or(DEFAULT_TENANT);
    let agent_type = fields.agent_type.as_deref().unwrap_or(DEFAULT_AGENT_TYPE);
    let agent_id = fields.agent_id.as_deref().unwrap_or(made_up_id);
    if !vocabulary.is_agent_type(agent_type) {
        return Err(IdentityError::UnlistedAgentType { listed: vocabulary.agent_types().to_vec() });
    }
    let agent = Agent::of(agent_type, agent_id).map_err(|_| invalid("agent_id", TOPIC_ID))?;
    if RESERVED.contains(&agent.as_str()) {
        return Err(invalid("agent_id", "another: what the gateway says itself comes from this one"));
    }
    let subject = fields.subject.as_deref().unwrap_or(agent.as_str()).to_owned();
    Ok(Identity {
        tenant: Tenant::try_new(tenant).map_err(|_| invalid("tenant", "1 to 64 of A-Z a-z 0-9 . _ -"))?,
        subject: Some(subject).filter(|text| is_subject(text)).ok_or_else(|| invalid("subject", SUBJECT))?,
        pillar: match fields.pillar.as_deref() {
            Some(pillar) if !is_topic_id(pillar) => return Err(invalid("pillar", TOPIC_ID)),
            pillar => pillar.map(str::to_owned),
        },
        session: match fields.session_id.as_deref().map(SessionId::try_new) {
            Some(Err(_)) => return Err(invalid("session_id", TOPIC_ID)),
            Some(Ok(session)) => Some(session),
            None => None,
        },
        resume: match fields.resume.as_deref() {
            Some("1") => true,
            None | Some("0") => false,
            Some(_) => return Err(invalid("resume", "0 or 1")),
        },
        agent,
    })
}

/// A `+` in a query stands for a space, as forms write it: whoever means a plus has to encode it.
const TOPIC_ID: &str = "1 to 128 of A-Z a-z 0-9 . _ ~ @ - and + (written %2B)";
const SUBJECT: &str = "1 to 256 printable ASCII characters without spaces";

fn invalid(field: &'static str, allowed: &'static str) -> IdentityError {
    IdentityError::Invalid { field, allowed }
}

fn is_subject(text: &str) -> bool {
    (1..=SUBJECT_CHARS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests;
