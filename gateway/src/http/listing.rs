//! The server API's lists: connections by any index, and topics.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signalbox_identity::Verb;
use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_protocol::{Agent, SessionId, Tenant, Topic};
use signalbox_registry::Row;
use signalbox_registry::directory::Filter;

use super::api::{CONNECTIONS, ConnectionView};
use super::caller::Caller;
use super::input::{Page, Params, invalid};
use super::output::List;
use super::problem::Problem;
use crate::node::Node;

/// What `GET /api/connections` may be asked for.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Wanted {
    /// Only those of this session.
    #[schemars(with = "Option<SessionId>")]
    session: Option<String>,
    /// Only those of this agent.
    #[schemars(with = "Option<Agent>")]
    agent: Option<String>,
    /// Only those of agents of this type.
    #[schemars(extend("pattern" = "^[a-z][a-z0-9_]{0,31}$"))]
    agent_type: Option<String>,
    /// Only those of this pillar.
    #[schemars(extend("pattern" = "^[A-Za-z0-9._~@+-]{1,128}$"))]
    pillar: Option<String>,
}

/// `GET /api/connections`: by session, by agent, by agent type, by pillar, or all of the tenant; the narrowest
/// index answers and the other fields filter.
pub(super) async fn connections(
    State(node): State<Arc<Node>>,
    caller: Caller,
    Params(wanted): Params<Wanted>,
    Params(page): Params<Page>,
) -> Result<Json<List<ConnectionView>>, Problem> {
    let tenant = caller.may(Verb::See, CONNECTIONS)?.tenant;
    let (rows, cursor) = match (&wanted.session, &wanted.agent) {
        (None, None) => by_group(&node, tenant, &wanted, &page).await?,
        _ => (by_name(&node, tenant, &wanted).await?, None),
    };
    Ok(Json(List { items: rows.into_iter().map(ConnectionView::from).collect(), cursor }))
}

async fn by_name(node: &Node, tenant: &Tenant, wanted: &Wanted) -> Result<Vec<Row>, Problem> {
    let filter = Filter { agent_type: wanted.agent_type.as_deref(), pillar: wanted.pillar.as_deref() };
    let directory = &node.cluster.directory;
    let agent = wanted.agent.as_deref().map(agent).transpose()?;
    let rows = match (&wanted.session, &agent) {
        (Some(session), _) => {
            let session = SessionId::try_new(session).map_err(|error| invalid("session", &error))?;
            directory.by_session(tenant, &session, filter).await
        }
        (None, Some(agent)) => directory.by_agent(tenant, agent).await,
        (None, None) => return Ok(Vec::new()),
    };
    let mut rows = rows?;
    rows.retain(|row| filter.admits(row) && agent.as_ref().is_none_or(|agent| row.agent == *agent));
    Ok(rows)
}

fn agent(text: &str) -> Result<Agent, Problem> {
    Topic::try_new(text).map(Agent::from_topic).map_err(|error| invalid("agent", &error))
}

/// Pages through the groups that answer the question, one after the other. A page may be short of `limit`
/// where a filter left rows out; the end is where there is no cursor.
async fn by_group(
    node: &Node,
    tenant: &Tenant,
    wanted: &Wanted,
    page: &Page,
) -> Result<(Vec<Row>, Option<String>), Problem> {
    let groups = groups(node, wanted)?;
    let limit = page.limit();
    let filter = Filter { agent_type: wanted.agent_type.as_deref(), pillar: wanted.pillar.as_deref() };
    // A cursor of this list is the group's place, a dot, and the group's own cursor.
    let (mut place, mut inner) = match page.cursor.as_deref() {
        None => (0, None),
        Some(cursor) => {
            let parsed = cursor.split_once('.').and_then(|(place, inner)| Some((place.parse().ok()?, inner)));
            let (place, inner): (usize, &str) = parsed.ok_or_else(unknown_cursor)?;
            (place, (!inner.is_empty()).then(|| inner.to_owned()))
        }
    };
    let mut rows = Vec::new();
    while let Some(group) = groups.get(place) {
        let left = limit - rows.len();
        let page = node.cluster.presence.members(tenant, group, inner.as_deref(), left).await;
        let page = page?;
        rows.extend(page.rows.into_iter().filter(|row| filter.admits(row)));
        inner = page.cursor;
        if inner.is_none() {
            place += 1;
        }
        if rows.len() >= limit {
            break;
        }
    }
    let more = place < groups.len();
    Ok((rows, more.then(|| format!("{place}.{}", inner.unwrap_or_default()))))
}

fn unknown_cursor() -> Fault {
    Fault::new(ErrorCode::InvalidData, "cursor: not one that this list gave").in_field("cursor")
}

fn groups(node: &Node, wanted: &Wanted) -> Result<Vec<Topic>, Problem> {
    if let Some(pillar) = &wanted.pillar {
        return Ok(vec![Topic::of("pillar", pillar).map_err(|error| invalid("pillar", &error))?]);
    }
    let agent_types = match &wanted.agent_type {
        Some(agent_type) => std::slice::from_ref(agent_type),
        None => node.vocabulary.agent_types(),
    };
    let groups = agent_types.iter().map(|agent_type| Topic::of("agent_type", agent_type));
    groups.collect::<Result<_, _>>().map_err(|error| invalid("agent_type", &error))
}

/// What may be seen.
const TOPICS: &str = "topics";

/// A group topic that somebody follows.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "FollowedTopic")]
pub(super) struct TopicView {
    topic: Topic,
    /// Connections of the asked node that follow it.
    local_connections: usize,
    /// Nodes of the cluster that follow it.
    nodes: u64,
}

/// `GET /api/topics`: what the cluster follows, and how much of that is here.
pub(super) async fn topics(
    State(node): State<Arc<Node>>,
    caller: Caller,
) -> Result<Json<List<TopicView>>, Problem> {
    let tenant = caller.may(Verb::See, TOPICS)?.tenant;
    let followed = node.cluster.bus.followed(tenant).await?;
    let local: std::collections::HashMap<Topic, usize> = node.hub.topics(tenant).into_iter().collect();
    let view = |(topic, nodes): (Topic, u64)| {
        let local_connections = local.get(&topic).copied().unwrap_or_default();
        TopicView { topic, local_connections, nodes }
    };
    let mut items: Vec<_> = followed.into_iter().map(view).collect();
    items.sort_by(|a, b| a.topic.cmp(&b.topic));
    Ok(Json(List { items, cursor: None }))
}
