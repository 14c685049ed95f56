//! Vehicles, and who is on board.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::json;
use signalbox_identity::Verb;
use signalbox_protocol::VehicleId;
use signalbox_protocol::fleet::{Manifest, NewVehicle, Vehicle};

use super::caller::Caller;
use super::input::{Body, Named};
use super::problem::Problem;
use super::table::{GET, PUT, Table};
use crate::node::Node;

const ONE: &str = "/api/vehicles/{id}";

pub(super) fn routes(table: Table) -> Table {
    table
        .group("vehicles", "What boards passengers, and whom it has on board.")
        .on(PUT, ONE, put, "Write a vehicle; who is on board stays")
        .refuses(409, "More are on board than the new capacity: `details.on_board`.")
        .example(json!({"capacity": 40, "pool": "route:12"}))
        .on(GET, ONE, one, "One vehicle, with the ids of those on board")
        .on(GET, "/api/vehicles/{id}/manifest", manifest, "Who is on board, in full")
}

async fn put(
    State(node): State<Arc<Node>>,
    caller: Caller,
    id: Named<VehicleId>,
    body: Body<NewVehicle>,
) -> Result<Json<Vehicle>, Problem> {
    let (vehicle, id) = (body.read()?, id.get()?);
    let tenant = caller.may(Verb::Board, id.as_str())?.tenant;
    Ok(Json(node.reservoir.put_vehicle(tenant, &id, &vehicle).await?))
}

async fn one(
    State(node): State<Arc<Node>>,
    caller: Caller,
    id: Named<VehicleId>,
) -> Result<Json<Vehicle>, Problem> {
    let id = id.get()?;
    let tenant = caller.may(Verb::Board, id.as_str())?.tenant;
    Ok(Json(node.reservoir.vehicle(tenant, &id).await?))
}

async fn manifest(
    State(node): State<Arc<Node>>,
    caller: Caller,
    id: Named<VehicleId>,
) -> Result<Json<Manifest>, Problem> {
    let id = id.get()?;
    let tenant = caller.may(Verb::Board, id.as_str())?.tenant;
    Ok(Json(node.reservoir.manifest(tenant, &id).await?))
}
