//! Orders: who looks at one.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use signalbox_identity::Verb;
use signalbox_protocol::OrderId;
use signalbox_protocol::control::OrderViewers;

use super::caller::Caller;
use super::input::Named;
use super::problem::Problem;
use super::table::{GET, Table};
use crate::node::Node;
use crate::ws::commands::order;

pub(super) fn routes(table: Table) -> Table {
    table.group("orders", "What one driver accepts. Orders are accepted over a WebSocket.").on(
        GET,
        "/api/orders/{id}/viewers",
        viewers,
        "Who looks at an order; nobody at one that was never seen",
    )
}

async fn viewers(
    State(node): State<Arc<Node>>,
    caller: Caller,
    id: Named<OrderId>,
) -> Result<Json<OrderViewers>, Problem> {
    let id = id.get()?;
    let tenant = caller.may(Verb::Order, id.as_str())?.tenant;
    Ok(Json(order::viewers(&node, tenant, id).await?))
}
