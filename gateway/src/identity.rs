//! Who a client is, decided from its handshake alone. No I/O, nothing random; the clock is the [`Trust`]'s.
//!
//! A token that is shown decides: it is verified, and of the query only `session_id` and `resume` count beside it. A
//! bad one is refused also where anonymous identities are allowed: whoever shows a token does not want to be nobody.
//! Without one the query is believed where the node's policy says so.

mod claimed;
mod query;
mod refused;
mod shown;

use std::sync::Arc;

use signalbox_identity::Claims;
use signalbox_protocol::topic::is_topic_id;
use signalbox_protocol::{Agent, SessionId, Tenant, Vocabulary};

pub use self::claimed::claimed_agent_type;
use self::query::Fields;
pub use self::refused::{IdentityError, Refused};
pub use self::shown::shown;
use crate::announce::{API, GATEWAY};
use crate::rights::Grant;
use crate::trust::Trust;

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
    /// What its token grants; `None`: it came without one, and may do everything.
    pub grant: Option<Arc<Grant>>,
}

/// What a node accepts as an identity.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    /// Whether the query is believed.
    pub anonymous: bool,
    /// The agent types that there are.
    pub vocabulary: &'a Vocabulary,
    /// Whose tokens are believed.
    pub trust: &'a Trust,
}

/// Decides who a client is, from the token that its handshake [shows](shown()), if any, and its `query`: what follows the
/// `?` of the request, undecoded. `made_up_id` becomes the agent id of a client that names none, and has to be a topic id.
///
/// # Errors
/// [`Refused`]: a [bad query](Refused::BadQuery) before the upgrade, all else after it.
pub fn identify(
    token: Option<&str>,
    query: &str,
    made_up_id: &str,
    policy: &Policy<'_>,
) -> Result<Identity, Refused> {
    if let Some(token) = token {
        let fields = Fields::beside_token(query)?;
        let claims = vouched(token, policy.trust, policy.vocabulary)?;
        let issued = claims.clone();
        let identity = from_claims(&fields, claims)?;
        if let Some(session) = &identity.session {
            policy.trust.check_session(&issued, session)?;
        }
        return Ok(identity);
    }
    let fields = Fields::parse(query)?;
    if !policy.anonymous {
        return Err(Refused::NoToken);
    }
    Ok(from_query(&fields, made_up_id, policy.vocabulary)?)
}

/// Whom a token speaks for, if there can be such an agent here.
///
/// # Errors
/// [`Refused`].
pub fn vouched(token: &str, trust: &Trust, vocabulary: &Vocabulary) -> Result<Claims, Refused> {
    let claims = trust.verify(token)?;
    if !vocabulary.is_agent_type(claims.agent.agent_type()) {
        return Err(Refused::AgentType);
    }
    if RESERVED.contains(&claims.agent.as_str()) {
        return Err(Refused::Reserved);
    }
    Ok(claims)
}

fn from_claims(fields: &Fields<'_>, claims: Claims) -> Result<Identity, IdentityError> {
    let (session, resume) = presence(fields)?;
    let grant = Some(Arc::new(Grant::from(&claims)));
    let Claims { tenant, agent, subject, pillar, .. } = claims;
    Ok(Identity { tenant, agent, subject, pillar, session, resume, grant })
}

/// What no token tells: the session, and whether the client goes on from where it was.
fn presence(fields: &Fields<'_>) -> Result<(Option<SessionId>, bool), IdentityError> {
    let session = fields.session_id.as_deref().map(SessionId::try_new).transpose();
    let resume = match fields.resume.as_deref() {
        Some("1") => true,
        None | Some("0") => false,
        Some(_) => return Err(invalid("resume", "0 or 1")),
    };
    Ok((session.map_err(|_| invalid("session_id", TOPIC_ID))?, resume))
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
    let (session, resume) = presence(fields)?;
    Ok(Identity {
        tenant: Tenant::try_new(tenant).map_err(|_| invalid("tenant", "1 to 64 of A-Z a-z 0-9 . _ -"))?,
        subject: Some(subject).filter(|text| is_subject(text)).ok_or_else(|| invalid("subject", SUBJECT))?,
        pillar: match fields.pillar.as_deref() {
            Some(pillar) if !is_topic_id(pillar) => return Err(invalid("pillar", TOPIC_ID)),
            pillar => pillar.map(str::to_owned),
        },
        session,
        resume,
        grant: None,
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
