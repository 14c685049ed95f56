//! The nodes of the cluster: which there are, and draining one of them, from any other.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use signalbox_identity::Verb;
use signalbox_protocol::NodeId;
use signalbox_protocol::control::DrainReason;
use signalbox_protocol::error::ErrorCode;
use signalbox_protocol::timestamp::Timestamp;
use signalbox_registry::{Destination, NodeCard, Parcel};

use super::caller::Caller;
use super::input::{Name, Named};
use super::output::{Accepted, List};
use super::problem::Problem;
use super::table::{GET, POST, Table};
use crate::keeper::card;
use crate::node::Node;
use crate::rights::NODES;
use crate::stop::StopPhase;

/// The operations on nodes.
pub(super) fn routes(table: Table) -> Table {
    table
        .on(GET, "/api/nodes", nodes, "The live nodes")
        .on(POST, "/api/nodes/{id}/drain", drain, "Stop a node in order; again changes nothing")
        .refuses(404, "No such node is alive.")
}

/// A node as the API tells it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Node")]
struct NodeView {
    node_id: NodeId,
    generation: u32,
    address: String,
    version: String,
    started_at: Timestamp,
    /// How far its stop has got: `serving`, `not_ready`, `refusing`, `announcing`, `closing`, `flushing`, `cutting`,
    /// `unregistering`, `releasing`.
    phase: String,
    /// The node's own numbers, as it wrote them with its last renewal.
    stats: Value,
}

impl From<NodeCard> for NodeView {
    fn from(card: NodeCard) -> Self {
        let mut stats: Value = serde_json::from_str(&card.stats).unwrap_or_default();
        let phase = stats.as_object_mut().and_then(|stats| stats.remove("phase"));
        let serving = || StopPhase::Serving.as_str().to_owned();
        Self {
            node_id: card.node_id,
            generation: card.generation,
            address: card.address,
            version: card.version,
            started_at: Timestamp(card.started_at_ms),
            phase: phase.and_then(|phase| phase.as_str().map(str::to_owned)).unwrap_or_else(serving),
            stats,
        }
    }
}

impl NodeView {
    /// The node as it is once it has been asked to drain, which its card may not tell yet.
    fn draining(card: NodeCard) -> Self {
        let mut view = Self::from(card);
        if view.phase == StopPhase::Serving.as_str() {
            StopPhase::NotReady.as_str().clone_into(&mut view.phase);
        }
        view
    }
}

/// `GET /api/nodes`.
async fn nodes(State(node): State<Arc<Node>>, caller: Caller) -> Result<Json<List<NodeView>>, Problem> {
    caller.may(Verb::Admin, NODES)?;
    let cards = node.cluster.lease.live().await?;
    Ok(Json(List { items: cards.into_iter().map(NodeView::from).collect(), cursor: None }))
}

/// `POST /api/nodes/{id}/drain`: answered once the node is known to have got it. Itself a node drains also without
/// Redis.
async fn drain(
    State(node): State<Arc<Node>>,
    caller: Caller,
    id: Named<NodeId>,
) -> Result<Accepted<NodeView>, Problem> {
    caller.may(Verb::Admin, NODES)?;
    let id = id.get()?;
    if id == *node.cluster.node.id() {
        node.stop.ask(DrainReason::Requested);
        return Ok(Accepted(NodeView::draining(card(&node))));
    }
    let live = node.cluster.lease.live().await?;
    let card = live.into_iter().find(|card| card.node_id == id);
    let card = card.ok_or_else(|| Problem::of(ErrorCode::NotFound, NodeId::MISSING))?;
    let heard_by = node.cluster.bus.post_confirmed(&Destination::Node(id), Parcel::Drain).await?;
    if heard_by == 0 {
        return Err(Problem::of(ErrorCode::Unavailable, "the node did not hear it: try again"));
    }
    Ok(Accepted(NodeView::draining(card)))
}
