//! What a token says, read strictly.

use std::collections::BTreeMap;

use serde_json::Value;
use signalbox_protocol::topic::is_topic_id;
use signalbox_protocol::{Agent, Tenant};

use crate::{Capabilities, Rejected};

/// Longest subject.
const SUBJECT_CHARS_MAX: usize = 256;
/// Most namespaces of a token.
const NAMESPACES_MAX: usize = 64;
/// A time behind this one is a mistake, such as milliseconds: the end of the year 9999.
const SECONDS_MAX: f64 = 253_402_300_799.0;

/// Who a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// `tenant`.
    pub tenant: Tenant,
    /// `agent_type` and `agent_id`.
    pub agent: Agent,
    /// `sub`; the agent itself if there is none.
    pub subject: String,
    /// `pillar`.
    pub pillar: Option<String>,
    /// `namespaces`: those that it may follow and send to; `None`: the capabilities decide.
    pub namespaces: Option<Vec<String>>,
    /// `capabilities`; without the claim, [what such agents usually may](Capabilities::usual).
    pub capabilities: Capabilities,
    /// `exp`, seconds since 1970: not taken from then on.
    pub expires_at: u64,
    /// `iat`, seconds since 1970.
    pub issued_at: Option<u64>,
}

/// When and for whom a token is, as it says.
pub(crate) struct Terms {
    pub(crate) not_before: Option<u64>,
    pub(crate) issuer: Option<String>,
    pub(crate) audience: Option<Vec<String>>,
}

const TEXT: &str = "text";
const SECONDS: &str = "a number of seconds since 1970";
const TOPIC_ID: &str = "1 to 128 of A-Z a-z 0-9 . _ ~ @ + -";

/// The claims that are known; others are nobody's business (RFC 7519, 4).
pub(crate) fn read(claims: &BTreeMap<String, Value>) -> Result<(Claims, Terms), Rejected> {
    let agent_type = needed(text(claims, "agent_type")?, "agent_type")?;
    let agent_id = needed(text(claims, "agent_id")?, "agent_id")?;
    let agent = Agent::of(&agent_type, &agent_id).map_err(|_| rejected("agent_id", TOPIC_ID))?;
    let tenant = needed(text(claims, "tenant")?, "tenant")?;
    let subject = text(claims, "sub")?.unwrap_or_else(|| agent.as_str().to_owned());
    if !is_subject(&subject) {
        return Err(rejected("sub", "1 to 256 printable ASCII characters without spaces"));
    }
    let read = Claims {
        tenant: Tenant::try_new(&tenant).map_err(|_| rejected("tenant", "1 to 64 of A-Z a-z 0-9 . _ -"))?,
        subject,
        pillar: match text(claims, "pillar")? {
            Some(pillar) if !is_topic_id(&pillar) => return Err(rejected("pillar", TOPIC_ID)),
            pillar => pillar,
        },
        namespaces: texts(claims, "namespaces", NAMESPACES_MAX)?,
        capabilities: match texts(claims, "capabilities", Capabilities::MAX)? {
            Some(names) => Capabilities::parse(&names).map_err(|_| {
                rejected("capabilities", "a list such as [\"publish:vehicle:*\", \"subscribe:route:12\"]")
            })?,
            None => Capabilities::usual(&agent),
        },
        expires_at: needed(seconds(claims, "exp")?, "exp")?,
        issued_at: seconds(claims, "iat")?,
        agent,
    };
    let terms = Terms {
        not_before: seconds(claims, "nbf")?,
        issuer: text(claims, "iss")?,
        audience: audience(claims)?,
    };
    Ok((read, terms))
}

fn rejected(claim: &'static str, allowed: &'static str) -> Rejected {
    Rejected::Claim { claim, allowed }
}

fn needed<T>(value: Option<T>, claim: &'static str) -> Result<T, Rejected> {
    value.ok_or(rejected(claim, "there"))
}

fn text(claims: &BTreeMap<String, Value>, claim: &'static str) -> Result<Option<String>, Rejected> {
    match claims.get(claim) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(rejected(claim, TEXT)),
    }
}

fn texts(
    claims: &BTreeMap<String, Value>,
    claim: &'static str,
    most: usize,
) -> Result<Option<Vec<String>>, Rejected> {
    let Some(value) = claims.get(claim) else { return Ok(None) };
    let list = value.as_array().filter(|list| list.len() <= most);
    let texts = list.and_then(|list| list.iter().map(|text| text.as_str().map(str::to_owned)).collect());
    texts.map(Some).ok_or(rejected(claim, "a list of texts, and not a long one"))
}

/// One audience or several (RFC 7519, 4.1.3).
fn audience(claims: &BTreeMap<String, Value>) -> Result<Option<Vec<String>>, Rejected> {
    match claims.get("aud") {
        Some(Value::String(one)) => Ok(Some(vec![one.clone()])),
        _ => texts(claims, "aud", NAMESPACES_MAX),
    }
}

/// A time may have a fraction (RFC 7519, 2); what is behind the point is cut off.
fn seconds(claims: &BTreeMap<String, Value>, claim: &'static str) -> Result<Option<u64>, Rejected> {
    let Some(value) = claims.get(claim) else { return Ok(None) };
    let seconds = value.as_f64().filter(|seconds| (0.0..=SECONDS_MAX).contains(seconds));
    seconds.map(|seconds| Some(seconds as u64)).ok_or(rejected(claim, SECONDS))
}

fn is_subject(text: &str) -> bool {
    (1..=SUBJECT_CHARS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
