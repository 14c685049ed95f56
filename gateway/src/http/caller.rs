//! Who calls the server's API, and what it may do. A handler gets hold of the tenant by asking for a right, and in no
//! other way: it can't forget to ask.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use schemars::JsonSchema;
use serde::Deserialize;
use signalbox_identity::Verb;
use signalbox_protocol::error::ErrorCode;
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
use crate::node::Node;
use crate::rights::{ANYTHING, Rights};
use crate::stamps::now_ms;
use crate::ws::prepare::Sender;

/// Who asks, before it is known whether it may: without credentials, for the tenant that the query names.
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

    /// The caller as the sender of messages; what it may send is checked with each.
    pub(super) fn sender(&self) -> Sender<'_> {
        Sender::new(&self.tenant, &self.agent, &self.rights)
    }

    /// Who it speaks as.
    pub(super) fn agent(&self) -> &Agent {
        &self.agent
    }

    fn allowed(&self) -> Allowed<'_> {
        Allowed { tenant: &self.tenant, agent: &self.agent, subject: &self.subject }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
struct OnBehalf {
    /// The tenant to act for; `default` if absent.
    #[schemars(with = "Option<Tenant>")]
    tenant: Option<String>,
}

impl FromRequestParts<Arc<Node>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self, Problem> {
        if !node.settings.anonymous {
            return Err(Problem::of(ErrorCode::Forbidden, "this node takes no calls without credentials"));
        }
        let Params(OnBehalf { tenant }) = Params::from_request_parts(parts, node).await?;
        let tenant = Tenant::try_new(tenant.as_deref().unwrap_or("default"));
        let tenant = tenant.map_err(|error| invalid("tenant", &error))?;
        let agent = Agent::from_topic(Topic::try_new(API).expect("a constant agent"));
        let (node, rights) = (Arc::clone(node), Rights::default());
        Ok(Self { node, tenant, agent, subject: API.to_owned(), rights })
    }
}

impl Input for Caller {
    fn describe(draft: &mut Draft<'_>) {
        draft.query::<OnBehalf>();
        draft.refuses(403, "This node takes no calls without credentials.");
        draft.refuses(422, UNPROCESSABLE);
    }
}
