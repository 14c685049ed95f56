//! Who calls the server's API, and what it may do. A handler gets hold of the tenant by asking for a right, and in no
//! other way: it can't forget to ask.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use signalbox_identity::{Claims, Verb};
use signalbox_protocol::close::CloseCode;
use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_protocol::fleet::Passenger;
use signalbox_protocol::timestamp::Timestamp;
use signalbox_protocol::{Agent, PassengerId, RequestId, Tenant, Topic};
use signalbox_reservoir::Actor;

use super::document::Draft;
use super::input::{Params, UNPROCESSABLE, invalid};
use super::problem::Problem;
use super::table::Input;
use crate::announce::API;
use crate::fleet;
use crate::identity::{Refused, shown, vouched};
use crate::node::Node;
use crate::rights::{ANYTHING, Grant, Rights};
use crate::stamps::now_ms;
use crate::ws::prepare::Sender;

/// Who asks, before it is known whether it may: whoever its token says, or, where none is needed, `service:api` for the
/// tenant that the query names.
#[derive(Debug)]
pub(super) struct Caller {
    node: Arc<Node>,
    tenant: Tenant,
    agent: Agent,
    subject: String,
    rights: Rights,
}

/// A caller that may do what it asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed<'a> {
    /// The customer that it acts for.
    pub(super) tenant: &'a Tenant,
    /// Who it speaks as.
    pub(super) agent: &'a Agent,
    /// The principal behind it.
    pub(super) subject: &'a str,
}

impl Allowed<'_> {
    /// Who changes something, now.
    pub(super) fn actor(&self, request_id: Option<RequestId>) -> Actor {
        let (tenant, agent, subject) = (self.tenant.clone(), self.agent.clone(), self.subject.to_owned());
        Actor { tenant, agent, subject, request_id, now: Timestamp(now_ms()) }
    }
}

impl Caller {
    /// The caller, if it may do `verb` to `what`.
    pub(super) fn may(&self, verb: Verb, what: &str) -> Result<Allowed<'_>, Problem> {
        self.rights.may(&self.node.metrics.access, verb, what)?;
        Ok(self.allowed())
    }

    /// The caller, if it may do `verb` to each of these; to everything, if there are none.
    pub(super) fn may_each(&self, verb: Verb, each: &BTreeSet<String>) -> Result<Allowed<'_>, Problem> {
        if each.is_empty() {
            return self.may(verb, ANYTHING);
        }
        each.iter().try_for_each(|what| self.may(verb, what).map(drop))?;
        Ok(self.allowed())
    }

    /// The caller, if it may follow the topic, and so see who is there.
    pub(super) fn may_follow(&self, topic: &Topic) -> Result<Allowed<'_>, Problem> {
        self.rights.may_follow(&self.node.metrics.access, topic)?;
        Ok(self.allowed())
    }

    /// The caller, if it may do `verb` to a passenger, and the passenger: there is none for whoever may not.
    pub(super) async fn passenger(
        &self,
        verb: Verb,
        id: &PassengerId,
    ) -> Result<(Allowed<'_>, Passenger), Problem> {
        self.rights.may_some(&self.node.metrics.access, verb)?;
        let passenger = fleet::passenger(&self.node, &self.tenant, (&self.rights, verb), id).await?;
        Ok((self.allowed(), passenger))
    }

    /// The caller, if it may do `verb` to something; to what, is checked by its rights where it becomes known.
    pub(super) fn may_some(&self, verb: Verb) -> Result<Allowed<'_>, Problem> {
        self.rights.may_some(&self.node.metrics.access, verb)?;
        Ok(self.allowed())
    }

    /// What it may do.
    pub(super) fn rights(&self) -> &Rights {
        &self.rights
    }

    /// The caller as the sender of so many messages, if that is not too much; what it may send is checked with each.
    pub(super) fn sender_of(&self, messages: usize, bytes: usize) -> Result<Sender<'_>, Problem> {
        self.node.limits.published(&self.tenant, messages, bytes)?;
        Ok(Sender::new(&self.tenant, &self.agent, &self.rights))
    }

    /// Who it speaks as.
    pub(super) fn agent(&self) -> &Agent {
        &self.agent
    }

    /// Whoever the token says. It is for one tenant: to name another is a mistake.
    fn of_token(node: &Arc<Node>, claims: Claims, named: Option<&Tenant>) -> Result<Self, Problem> {
        if named.is_some_and(|named| *named != claims.tenant) {
            let text = "the token is for another tenant than the query names";
            return Err(Fault::new(ErrorCode::Forbidden, text).in_field("tenant").into());
        }
        let rights = Rights::of(Some(Arc::new(Grant::from(&claims))));
        let Claims { tenant, agent, subject, .. } = claims;
        Ok(Self { node: Arc::clone(node), tenant, agent, subject, rights })
    }

    fn without_token(node: &Arc<Node>, named: Option<Tenant>) -> Self {
        let tenant = named.unwrap_or_else(|| Tenant::try_new("default").expect("a constant tenant"));
        let agent = Agent::from_topic(Topic::try_new(API).expect("a constant agent"));
        let (node, rights) = (Arc::clone(node), Rights::default());
        Self { node, tenant, agent, subject: API.to_owned(), rights }
    }

    fn allowed(&self) -> Allowed<'_> {
        Allowed { tenant: &self.tenant, agent: &self.agent, subject: &self.subject }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
struct OnBehalf {
    /// The tenant to act for: without a token, `default` if absent; with one, the token's.
    #[schemars(with = "Option<Tenant>")]
    tenant: Option<String>,
}

impl FromRequestParts<Arc<Node>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self, Problem> {
        let claims = believed(parts, node).map_err(|refused| {
            node.metrics.access.count_stranger(&refused);
            Problem::from(refused)
        })?;
        let Params(OnBehalf { tenant: named }) = Params::from_request_parts(parts, node).await?;
        let named = named.as_deref().map(Tenant::try_new).transpose();
        let named = named.map_err(|error| invalid("tenant", &error))?;
        match claims {
            Some(claims) => Self::of_token(node, claims, named.as_ref()),
            None => Ok(Self::without_token(node, named)),
        }
    }
}

/// What the token says that the request shows; nothing where none is needed.
fn believed(parts: &Parts, node: &Node) -> Result<Option<Claims>, Refused> {
    let query = parts.uri.query().unwrap_or_default();
    match shown(&parts.headers, query, false)? {
        Some(token) => vouched(&token, &node.trust, &node.vocabulary).map(Some),
        None if node.settings.anonymous => Ok(None),
        None => Err(Refused::NoToken),
    }
}

/// Identity failures over HTTP: 401 asks for another token, 403 says that none like this will do.
impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let text = refused.to_string();
        match refused.close_code() {
            CloseCode::Unauthenticated => Self::unauthenticated(text, refused != Refused::NoToken),
            _ => Self::of(ErrorCode::Forbidden, text),
        }
    }
}

impl Input for Caller {
    fn describe(draft: &mut Draft<'_>) {
        draft.query::<OnBehalf>();
        draft.takes_token();
        draft.refuses(401, "A token is needed, or the one that is shown is not believed.");
        let schema = json!({"type": "string", "pattern": "^Bearer"});
        draft.answer_header(401, "WWW-Authenticate", &schema);
        draft.refuses(403, "The token lacks a capability, which `details` name, or is for another tenant.");
        draft.refuses(422, UNPROCESSABLE);
    }
}
