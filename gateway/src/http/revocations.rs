//! Revocations over HTTP: tokens of an agent, a principal or a session that were issued before are no longer taken.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use signalbox_identity::Verb;
use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_protocol::timestamp::Timestamp;
use signalbox_protocol::{Agent, SessionId};
use signalbox_registry::Revocation;
use signalbox_registry::revocation::Whom;

use super::caller::Caller;
use super::input::Body;
use super::output::{Created, List};
use super::problem::Problem;
use super::table::{GET, POST, Table};
use crate::node::Node;
use crate::trust::{TooMany, revoke};

/// What may be ended beside connections.
const TOKENS: &str = "tokens";
const SUBJECT_CHARS_MAX: usize = 256;

pub(super) fn routes(table: Table) -> Table {
    table
        .group("revocations", "Tokens that are no longer taken, although their time is not over.")
        .on(GET, "/api/revocations", list, "What is revoked, in no order")
        .on(
            POST,
            "/api/revocations",
            create,
            "Take no token any more that was issued up to now, and close its connections with 4401",
        )
        .refuses(409, "The tenant has as many revocations as are kept.")
        .example(json!({"agent": "vehicle:V1"}))
}

/// Whose tokens: one of the three.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Those that speak for this agent.
    agent: Option<Agent>,
    /// Those of this principal (`sub`), for whichever agent.
    subject: Option<String>,
    /// Those that are shown in this session.
    session: Option<SessionId>,
}

impl Wanted {
    fn whom(self) -> Result<Whom, Problem> {
        match (self.agent, self.subject, self.session) {
            (Some(agent), None, None) => Ok(Whom::Agent(agent)),
            (None, Some(subject), None) if is_subject(&subject) => Ok(Whom::Subject(subject)),
            (None, Some(_), None) => {
                Err(invalid("subject", "subject: 1 to 256 printable ASCII characters without spaces"))
            }
            (None, None, Some(session)) => Ok(Whom::Session(session)),
            _ => Err(invalid("agent", "one of agent, subject and session has to be there, and only one")),
        }
    }
}

fn invalid(field: &str, text: &'static str) -> Problem {
    Fault::new(ErrorCode::InvalidData, text).in_field(field).into()
}

fn is_subject(text: &str) -> bool {
    (1..=SUBJECT_CHARS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A revocation as the API tells it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Revocation")]
struct RevocationView {
    agent: Option<Agent>,
    subject: Option<String>,
    session: Option<SessionId>,
    /// Tokens issued up to then are not taken, nor those that do not say when they were.
    revoked_at: Timestamp,
    /// It is forgotten then: no such token can be valid any more.
    kept_until: Timestamp,
}

impl From<Revocation> for RevocationView {
    fn from(Revocation { whom, at, until }: Revocation) -> Self {
        let (revoked_at, kept_until) = (Timestamp(at * 1_000), Timestamp(until * 1_000));
        let nobody = Self { agent: None, subject: None, session: None, revoked_at, kept_until };
        match whom {
            Whom::Agent(agent) => Self { agent: Some(agent), ..nobody },
            Whom::Subject(subject) => Self { subject: Some(subject), ..nobody },
            Whom::Session(session) => Self { session: Some(session), ..nobody },
        }
    }
}

/// What came of revoking.
#[derive(Debug, Serialize, JsonSchema)]
struct RevocationTold {
    #[serde(flatten)]
    revocation: RevocationView,
    /// How many other nodes were sent word; each learns of it by itself as well.
    nodes_told: usize,
}

async fn create(
    State(node): State<Arc<Node>>,
    caller: Caller,
    body: Body<Wanted>,
) -> Result<Created<RevocationTold>, Problem> {
    let whom = body.read()?.whom()?;
    let allowed = caller.may(Verb::End, TOKENS)?;
    match revoke(&node, allowed.tenant, whom).await? {
        Ok(told) => {
            Ok(Created(RevocationTold { revocation: told.revocation.into(), nodes_told: told.nodes }))
        }
        Err(TooMany) => {
            let most = node.settings.revocations.most;
            Err(Problem::of(
                ErrorCode::Conflict,
                format!("the tenant has {most} revocations, and no more are kept"),
            ))
        }
    }
}

async fn list(State(node): State<Arc<Node>>, caller: Caller) -> Result<Json<List<RevocationView>>, Problem> {
    let tenant = caller.may(Verb::End, TOKENS)?.tenant;
    let now = node.trust.now();
    let all = node.cluster.revocations.list(tenant).await?;
    let items = all.into_iter().filter(|one| one.until > now).map(RevocationView::from).collect();
    Ok(Json(List { items, cursor: None }))
}
