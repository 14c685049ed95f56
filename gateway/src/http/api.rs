//! The server API's look-ups of one thing: a connection, a topic's members, the nodes.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use signalbox_protocol::close::CloseCode;
use signalbox_protocol::control::PresenceMembers;
use signalbox_protocol::error::ErrorCode;
use signalbox_protocol::{Agent, ConnectionId, NodeId, SessionId, Tenant, Topic, timestamp};
use signalbox_registry::{Error, NodeCard, Row};

use super::problem::Problem;
use crate::node::Node;
use crate::roster;
use crate::ws::commands::{PresenceQuery, members};

/// Who the API acts for: without credentials, the tenant that the query names.
#[derive(Deserialize)]
pub(super) struct OnBehalf {
    tenant: Option<String>,
}

impl OnBehalf {
    /// The tenant, if API calls without credentials are allowed here. Service tokens will come in here.
    pub(super) fn tenant(&self, node: &Node) -> Result<Tenant, Problem> {
        if !node.settings.anonymous {
            return Err(Problem::of(ErrorCode::Forbidden, "this node takes no calls without credentials"));
        }
        let name = self.tenant.as_deref().unwrap_or("default");
        Tenant::try_new(name).map_err(|error| Problem::of(ErrorCode::InvalidData, format!("tenant: {error}")))
    }
}

/// A query that could not be read names its field.
pub(super) fn query<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Problem> {
    query
        .map(|Query(value)| value)
        .map_err(|rejection| Problem::of(ErrorCode::InvalidData, rejection.body_text()))
}

/// What a failing registry means to an HTTP client.
pub(super) fn registry_problem(error: &Error) -> Problem {
    let code = match error {
        Error::Unavailable(_) | Error::BusFull { .. } => ErrorCode::Unavailable,
        Error::OutcomeUnknown(_) => ErrorCode::OutcomeUnknown,
        Error::SessionTaken => ErrorCode::Forbidden,
        Error::Unreadable { .. } | Error::Refused(_) | Error::Url(_) => ErrorCode::Internal,
    };
    Problem::of(code, error.to_string())
}

/// A connection as the API tells it.
#[derive(Serialize)]
pub(super) struct ConnectionView {
    ws_id: ConnectionId,
    session_id: SessionId,
    agent: Agent,
    agent_type: String,
    pillar: Option<String>,
    node_id: NodeId,
    namespaces: Vec<String>,
    connected_at: String,
    last_activity: String,
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
            connected_at: timestamp::to_string(row.connected_at_ms),
            last_activity: timestamp::to_string(row.last_activity_ms),
        }
    }
}

async fn find(node: &Node, tenant: &Tenant, ws_id: &str) -> Result<Row, Problem> {
    let unknown = || Problem::of(ErrorCode::NotFound, "there is no such connection");
    let connection_id = ConnectionId::try_new(ws_id).map_err(|_| unknown())?;
    let found = node.cluster.directory.get(tenant, &connection_id).await;
    found.map_err(|error| registry_problem(&error))?.ok_or_else(unknown)
}

/// `GET /api/connections/{ws_id}`.
pub(super) async fn connection(
    State(node): State<Arc<Node>>,
    Path(ws_id): Path<String>,
    Query(on_behalf): Query<OnBehalf>,
) -> Result<Json<ConnectionView>, Problem> {
    let tenant = on_behalf.tenant(&node)?;
    find(&node, &tenant, &ws_id).await.map(|row| Json(row.into()))
}

/// `DELETE /api/connections/{ws_id}`: closes it with 4403, wherever it is.
pub(super) async fn disconnect(
    State(node): State<Arc<Node>>,
    Path(ws_id): Path<String>,
    Query(on_behalf): Query<OnBehalf>,
) -> Result<StatusCode, Problem> {
    let tenant = on_behalf.tenant(&node)?;
    let row = find(&node, &tenant, &ws_id).await?;
    if roster::close_anywhere(&node, &row, CloseCode::Forbidden) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Problem::of(ErrorCode::Unavailable, "the connection's node could not be told: try again"))
    }
}

/// A page of something.
#[derive(Deserialize)]
pub(super) struct Page {
    cursor: Option<String>,
    limit: Option<u32>,
}

/// `GET /api/presence/{topic}`.
pub(super) async fn presence(
    State(node): State<Arc<Node>>,
    Path(topic): Path<String>,
    Query(on_behalf): Query<OnBehalf>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Json<PresenceMembers>, Problem> {
    let tenant = on_behalf.tenant(&node)?;
    let Page { cursor, limit } = query(page)?;
    let topic =
        Topic::try_new(&topic).map_err(|error| Problem::of(ErrorCode::InvalidTarget, error.to_string()))?;
    Ok(Json(members(&node, &tenant, PresenceQuery { topic, limit, cursor }).await?))
}

/// A node as the API tells it.
#[derive(Serialize)]
pub(super) struct NodeView {
    node_id: NodeId,
    generation: u32,
    address: String,
    version: String,
    started_at: String,
    /// The node's own numbers, as it wrote them with its last renewal.
    stats: serde_json::Value,
}

/// Everything there is, with no further page.
#[derive(Serialize)]
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
    pub(super) cursor: Option<String>,
}

/// `GET /api/nodes`: the live ones.
pub(super) async fn nodes(State(node): State<Arc<Node>>) -> Result<Json<List<NodeView>>, Problem> {
    let cards = node.cluster.lease.live().await.map_err(|error| registry_problem(&error))?;
    let view = |card: NodeCard| NodeView {
        node_id: card.node_id,
        generation: card.generation,
        address: card.address,
        version: card.version,
        started_at: timestamp::to_string(card.started_at_ms),
        stats: serde_json::from_str(&card.stats).unwrap_or_default(),
    };
    Ok(Json(List { items: cards.into_iter().map(view).collect(), cursor: None }))
}
