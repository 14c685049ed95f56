//! Somebody at the door: whether the handshake may begin, who it is, and why it is sent away.

use std::borrow::Cow;

use axum::http::{HeaderMap, StatusCode};
use serde_json::json;
use signalbox_protocol::Topic;
use signalbox_protocol::close::CloseCode;
use signalbox_protocol::error::ErrorCode;
use signalbox_registry::Error;

use super::handshake::HandshakeResult;
use crate::admission::{Permit, Rank, Refused, retry_after_seconds};
use crate::http::problem::Problem;
use crate::identity::{self, Identity, Policy};
use crate::limits::{self, Limit, Place};
use crate::node::Node;
use crate::rights::Rights;
use crate::stamps::unguessable;
use crate::stop::StopPhase;
use crate::trace::Span;

/// Hexadecimal characters of a made-up agent id.
const AGENT_ID_CHARS: usize = 16;

/// Somebody whose handshake is under way.
#[derive(Debug)]
pub struct Newcomer {
    /// Who it is, or why it is sent away once a browser can see that.
    pub(super) identity: Result<Identity, SentAway>,
    pub(super) namespace: Option<Box<str>>,
    /// Given back when it is welcomed or sent away.
    pub(super) permit: Permit,
    /// What it holds of the node's limits.
    pub(super) place: Option<Place>,
    /// The span of the handshake, if it is traced.
    pub(super) span: Option<Span>,
}

impl Newcomer {
    /// Lets somebody begin who asks for this namespace with these headers and this query.
    ///
    /// # Errors
    /// How the handshake ended, and what to answer.
    pub fn try_new(
        node: &Node,
        namespace: Option<&str>,
        headers: &HeaderMap,
        query: &str,
    ) -> Result<Self, (HandshakeResult, Problem)> {
        let token = identity::shown(headers, query, node.settings.token_in_url);
        let claimed = match &token {
            Ok(token) => identity::claimed_agent_type(token.as_deref(), query),
            Err(_) => None,
        };
        let permit = permit(node, rank_of(node, claimed.as_deref()))?;
        if let Some(unknown) = namespace.filter(|name| !node.vocabulary.is_namespace(name)) {
            let problem = Problem::of(ErrorCode::NotFound, format!("there is no namespace {unknown:?}"));
            return Err((HandshakeResult::UnknownNamespace, problem));
        }
        let identity = match identify(node, namespace, token, query) {
            Ok(identity) => Ok(identity),
            Err(identity::Refused::BadQuery(error)) => {
                let problem = Problem::of(ErrorCode::InvalidData, error.to_string());
                return Err((HandshakeResult::Malformed, problem.with_status(StatusCode::BAD_REQUEST)));
            }
            Err(refused) => Err(sent_away(node, &refused)),
        };
        let known = identity.as_ref().ok().map(|identity| identity.agent.agent_type());
        let permit = ranked(node, permit, claimed.as_deref(), known)?;
        if !node.can_register() {
            return Err(later(HandshakeResult::Unavailable, "the registry can't be reached now: try again"));
        }
        Ok(Self { identity, namespace: namespace.map(Into::into), permit, place: None, span: None })
    }

    /// The same with its place, which is its tenant's and its agent's as well.
    pub(super) fn holding(mut self, mut place: Place) -> Result<Self, Limit> {
        if let Ok(identity) = &self.identity {
            place.belongs_to(&identity.tenant, &identity.agent)?;
        }
        self.place = Some(place);
        Ok(self)
    }
}

/// Who it is, if it may follow the namespace that it asks for.
fn identify(
    node: &Node,
    namespace: Option<&str>,
    token: Result<Option<Cow<'_, str>>, identity::Refused>,
    query: &str,
) -> Result<Identity, identity::Refused> {
    let policy =
        Policy { anonymous: node.settings.anonymous, vocabulary: &node.vocabulary, trust: &node.trust };
    let identity = identity::identify(token?.as_deref(), query, &unguessable(AGENT_ID_CHARS), &policy)?;
    if let Some(namespace) = namespace {
        let topic = Topic::of("namespace", namespace).expect("namespaces have the characters of topic ids");
        let rights = Rights::of(identity.grant.clone());
        rights.may_follow(&node.metrics.access, &topic).map_err(identity::Refused::Namespace)?;
    }
    Ok(identity)
}

fn sent_away(node: &Node, refused: &identity::Refused) -> SentAway {
    node.metrics.access.count_stranger(refused);
    SentAway { code: refused.close_code(), reason: refused.to_string().into() }
}

/// Why somebody is sent away after the upgrade: the code, and what the close frame says beside it. Holds nothing of a
/// token.
#[derive(Debug)]
pub(super) struct SentAway {
    pub(super) code: CloseCode,
    pub(super) reason: Cow<'static, str>,
}

impl SentAway {
    fn with(code: CloseCode) -> Self {
        Self { code, reason: code.reason().into() }
    }

    /// How the handshake ended.
    pub(super) fn result(&self) -> HandshakeResult {
        match self.code {
            CloseCode::Unauthenticated => HandshakeResult::Unauthenticated,
            CloseCode::TryAgainLater => HandshakeResult::Unavailable,
            _ => HandshakeResult::Forbidden,
        }
    }
}

impl From<&Error> for SentAway {
    /// Who can't be registered.
    fn from(error: &Error) -> Self {
        match error {
            Error::SessionTaken => Self::with(CloseCode::Forbidden),
            other => {
                tracing::warn!(error = %other, "connection not registered");
                Self::with(CloseCode::TryAgainLater)
            }
        }
    }
}

/// Whether a part of the door is reserved for agents of this type.
fn rank_of(node: &Node, agent_type: Option<&str>) -> Rank {
    let goes_first = |agent_type| node.settings.go_first.iter().any(|listed| listed == agent_type);
    if agent_type.is_some_and(goes_first) { Rank::First } else { Rank::Others }
}

/// The permit, once it is known who it is: who only claimed to go first comes in with the others.
fn ranked(
    node: &Node,
    permit: Permit,
    claimed: Option<&str>,
    known: Option<&str>,
) -> Result<Permit, (HandshakeResult, Problem)> {
    if rank_of(node, known) == rank_of(node, claimed) || rank_of(node, known) == Rank::First {
        return Ok(permit);
    }
    drop(permit);
    self::permit(node, Rank::Others)
}

/// Lets the handshake begin, unless too many do or the node drains. The permit comes first: a drain that has begun
/// sees either the permit or no handshake.
fn permit(node: &Node, rank: Rank) -> Result<Permit, (HandshakeResult, Problem)> {
    let admitted = node.admission.admit(rank);
    if *node.phase.borrow() >= StopPhase::Refusing {
        return Err(later(HandshakeResult::RefusedDraining, "this node is stopping: connect to another"));
    }
    admitted.map_err(|refused| match refused {
        Refused::Rate => later(HandshakeResult::RefusedRate, "too many handshakes a second: try again later"),
        Refused::Busy => later(HandshakeResult::RefusedBusy, "too many handshakes at once: try again later"),
    })
}

fn later(result: HandshakeResult, what: &'static str) -> (HandshakeResult, Problem) {
    (result, Problem::of(ErrorCode::Unavailable, what).with_retry_after(retry_after_seconds()))
}

/// There are enough already.
pub(super) fn full(limit: Limit) -> (HandshakeResult, Problem) {
    let (code, text) = limits::refusal(limit);
    let problem = Problem::of(code, text).with_retry_after(retry_after_seconds());
    (HandshakeResult::RefusedLimit, problem.with_details(Some(json!({"limit": limit.as_str()}))))
}

#[cfg(test)]
mod tests;
