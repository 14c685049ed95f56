//! The server API's look-ups of one thing: a connection, a topic's members.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;
use signalbox_identity::Verb;
use signalbox_protocol::close::CloseCode;
use signalbox_protocol::control::PresenceMembers;
use signalbox_protocol::error::ErrorCode;
use signalbox_protocol::timestamp::Timestamp;
use signalbox_protocol::{Agent, ConnectionId, NodeId, SessionId, Tenant};
use signalbox_registry::Row;

use super::caller::Caller;
use super::input::{Name, Named, Page, Params, TopicPath};
use super::output::NoContent;
use super::problem::Problem;
use crate::node::Node;
use crate::roster;
use crate::ws::commands::{PresenceQuery, members};

/// What may be seen and ended.
pub(super) const CONNECTIONS: &str = "connections";

/// A connection as the API tells it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Connection")]
pub(super) struct ConnectionView {
    /// The `connection_id` of its welcome.
    ws_id: ConnectionId,
    session_id: SessionId,
    agent: Agent,
    agent_type: String,
    pillar: Option<String>,
    node_id: NodeId,
    namespaces: Vec<String>,
    connected_at: Timestamp,
    last_activity: Timestamp,
}

impl From<Row> for ConnectionView {
    fn from(row: Row) -> Self {
        Self {
            ws_id: row.connection_id,
            session_id: row.session_id,
            agent_type: row.agent.agent_type().to_owned(),
            agent: row.agent,
            pillar: row.pillar,
            node_id: row.node_id,
            namespaces: row.namespaces,
            connected_at: Timestamp(row.connected_at_ms),
            last_activity: Timestamp(row.last_activity_ms),
        }
    }
}

async fn find(node: &Node, tenant: &Tenant, ws_id: Named<ConnectionId>) -> Result<Row, Problem> {
    let connection_id = ws_id.get()?;
    let found = node.cluster.directory.get(tenant, &connection_id).await;
    let unknown = || Problem::of(ErrorCode::NotFound, ConnectionId::MISSING);
    found?.ok_or_else(unknown)
}

/// `GET /api/connections/{ws_id}`.
pub(super) async fn connection(
    State(node): State<Arc<Node>>,
    caller: Caller,
    ws_id: Named<ConnectionId>,
) -> Result<Json<ConnectionView>, Problem> {
    let tenant = caller.may(Verb::See, CONNECTIONS)?.tenant;
    find(&node, tenant, ws_id).await.map(|row| Json(row.into()))
}

/// `DELETE /api/connections/{ws_id}`: closes it with 4403, wherever it is.
pub(super) async fn disconnect(
    State(node): State<Arc<Node>>,
    caller: Caller,
    ws_id: Named<ConnectionId>,
) -> Result<NoContent, Problem> {
    let row = find(&node, caller.may(Verb::End, CONNECTIONS)?.tenant, ws_id).await?;
    if roster::close_anywhere(&node, &row, CloseCode::Forbidden) {
        Ok(NoContent)
    } else {
        Err(Problem::of(ErrorCode::Unavailable, "the connection's node could not be told: try again"))
    }
}

/// `GET /api/presence/{topic}`.
pub(super) async fn presence(
    State(node): State<Arc<Node>>,
    caller: Caller,
    TopicPath(topic): TopicPath,
    Params(page): Params<Page>,
) -> Result<Json<PresenceMembers>, Problem> {
    let tenant = caller.may_follow(&topic)?.tenant;
    let query = PresenceQuery { topic, limit: page.limit, cursor: page.cursor };
    Ok(Json(members(&node, tenant, query).await?))
}
