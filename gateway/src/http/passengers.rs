//! Passengers: taken in, looked up, boarded, dropped off, cancelled.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::body::Body as RawBody;
use axum::extract::State;
use axum::http::Response;
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use signalbox_identity::Verb;
use signalbox_protocol::control::parse_body;
use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_protocol::fleet::{NewPassenger, Passenger, PassengerState, Pool, PoolKind};
use signalbox_protocol::limits::PUSH_PASSENGERS_MAX;
use signalbox_protocol::{PassengerId, RequestId, VehicleId};
use signalbox_reservoir::Error;
use signalbox_reservoir::repository::{Alighting, Boarding, Filter};

use super::caller::{Allowed, Caller};
use super::document::Draft;
use super::input::{Body, Named, OneOrMany, Page, Params, invalid};
use super::output::{Created, List, NoContent};
use super::problem::Problem;
use super::refusal::{at_index, conflict};
use super::reservoirs::PoolId;
use super::table::{DELETE, GET, Output, PATCH, POST, Table};
use crate::fleet;
use crate::node::Node;
use crate::rights::ANYTHING;
use crate::ws::commands::boarding;

const MANY: &str = "/api/passengers";
const ONE: &str = "/api/passengers/{id}";
/// How often the repository is asked to fill a page: where a filter leaves most out, the page stays short.
const LOOKS_MAX: usize = 10;

pub(super) fn routes(table: Table) -> Table {
    let passenger =
        json!({"passenger_id": "COM_1", "pool": "route:12", "position": {"lat": 13.1, "lon": -59.6}});
    table
        .group("passengers", "Who waits, rides, or has arrived.")
        .on(POST, MANY, push, "Take one passenger in, or a list: all of it or nothing")
        .refuses(409, "There is a passenger of that id, or the list holds it twice; `details` name it.")
        .example(passenger)
        .on(GET, MANY, list, "Passengers by id, of all pools or of one; a page may be short before the end")
        .on(DELETE, MANY, cancel_pool, "Cancel everybody who waits in a pool")
        .on(GET, ONE, one, "One passenger, in whatever state")
        .on(DELETE, ONE, cancel, "Cancel a waiting passenger; one who is cancelled stays so")
        .refuses(409, "The passenger is on board, has arrived, or waited for too long: `details.state`.")
        .on(PATCH, "/api/passengers/{id}/board", board, "Board a passenger, once and for all")
        .refuses(404, "There is no such passenger, or no such vehicle.")
        .refuses(409, "Lost: `details` are `reason` (`boarded`, `state`, `full`, `stale_fence`), `state` and `boarded_by`.")
        .example(json!({"vehicle_id": "V17", "request_id": "board-1"}))
        .on(PATCH, "/api/passengers/{id}/alight", alight, "Drop a passenger off; again for a retry")
        .refuses(409, "Not on board (`state`), or not by that boarding (`stale_fence`): `details` as of boarding.")
        .example(json!({"fence": 1}))
}

/// A passenger or several, as they were asked for.
pub(super) enum Taken {
    One(Box<Passenger>),
    Many(List<Passenger>),
}

impl IntoResponse for Taken {
    fn into_response(self) -> Response<RawBody> {
        match self {
            Self::One(passenger) => Created(passenger).into_response(),
            Self::Many(list) => Created(list).into_response(),
        }
    }
}

#[derive(JsonSchema)]
#[schemars(untagged, inline)]
#[expect(dead_code, reason = "only its schema is looked at")]
enum OneOrList {
    One(Passenger),
    Many(List<Passenger>),
}

impl Output for Taken {
    fn describe(draft: &mut Draft<'_>) {
        draft.answers_json::<OneOrList>(201, "The passenger, or the list of them.");
    }
}

async fn push(
    State(node): State<Arc<Node>>,
    caller: Caller,
    body: Body<OneOrMany<NewPassenger>>,
) -> Result<Taken, Problem> {
    let (elements, is_list) = body.elements(PUSH_PASSENGERS_MAX)?;
    if !is_list {
        let passenger: NewPassenger = parse_body(elements[0])?;
        let actor = caller.may(Verb::Push, passenger.pool()?.as_str())?.actor(None);
        let passenger = node.push(&actor, passenger).await?;
        return Ok(Taken::One(Box::new(passenger)));
    }
    let (mut passengers, mut pools) = (Vec::with_capacity(elements.len()), BTreeSet::new());
    for (index, element) in elements.into_iter().enumerate() {
        let passenger: NewPassenger = parse_body(element).map_err(|fault| at_index(fault, index))?;
        pools.insert(passenger.pool().map_err(|fault| at_index(fault, index))?.to_string());
        passengers.push(passenger);
    }
    let actor = caller.may_each(Verb::Push, &pools)?.actor(None);
    let ids: Vec<PassengerId> = passengers.iter().map(|passenger| passenger.passenger_id.clone()).collect();
    match node.push_batch(&actor, passengers).await {
        Ok(items) => Ok(Taken::Many(List { items, cursor: None })),
        Err(Error::Exists(id)) => Err(exists_in(&ids, &id)),
        Err(error) => Err(error.into()),
    }
}

/// A list of which one is there already: which.
fn exists_in(ids: &[PassengerId], id: &PassengerId) -> Problem {
    let index = ids.iter().position(|one| one == id);
    let details = json!({"reason": "exists", "passenger_id": id, "index": index});
    conflict(format!("the passenger {id} exists; nothing of the list was taken"), details)
}

/// A pool, by one of two fields.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct PoolFields {
    /// The route; or the depot.
    #[schemars(with = "Option<PoolId>")]
    route_id: Option<String>,
    /// The depot; or the route.
    #[schemars(with = "Option<PoolId>")]
    depot_id: Option<String>,
}

impl PoolFields {
    fn pool(&self) -> Result<Option<Pool>, Problem> {
        let of = |kind, id, field| Pool::of(kind, id).map_err(|error| invalid(field, &error)).map(Some);
        match (self.route_id.as_deref(), self.depot_id.as_deref()) {
            (None, None) => Ok(None),
            (Some(id), None) => of(PoolKind::Route, id, "route_id"),
            (None, Some(id)) => of(PoolKind::Depot, id, "depot_id"),
            (Some(_), Some(_)) => Err(route_or_depot("one of `route_id` and `depot_id`, not both").into()),
        }
    }
}

fn route_or_depot(text: &'static str) -> Fault {
    Fault::new(ErrorCode::InvalidData, text).in_field("route_id")
}

#[derive(Debug, Deserialize, JsonSchema)]
struct InState {
    /// Only those in this state.
    state: Option<PassengerState>,
}

async fn list(
    State(node): State<Arc<Node>>,
    caller: Caller,
    Params(pool): Params<PoolFields>,
    Params(InState { state }): Params<InState>,
    Params(page): Params<Page>,
) -> Result<Json<List<Passenger>>, Problem> {
    let filter = Filter { pool: pool.pool()?, state };
    let tenant = caller.may(Verb::Query, filter.pool.as_ref().map_or(ANYTHING, Pool::as_str))?.tenant;
    let limit = page.limit();
    let (mut items, mut cursor) = (Vec::new(), page.cursor);
    for _ in 0..LOOKS_MAX {
        let left = limit - items.len();
        let found = node.reservoir.list(tenant, &filter, cursor.as_deref(), left).await?;
        items.extend(found.items);
        cursor = found.cursor;
        if cursor.is_none() || items.len() >= limit {
            break;
        }
    }
    Ok(Json(List { items, cursor }))
}

/// How many were cancelled.
#[derive(Debug, Serialize, JsonSchema)]
struct Cancelled {
    /// Those who waited, and now don't.
    cancelled: usize,
}

async fn cancel_pool(
    State(node): State<Arc<Node>>,
    caller: Caller,
    Params(pool): Params<PoolFields>,
) -> Result<Json<Cancelled>, Problem> {
    let pool = pool.pool()?.ok_or_else(|| route_or_depot("name a pool: `route_id` or `depot_id`"))?;
    let actor = caller.may(Verb::Push, pool.as_str())?.actor(None);
    let cancelled = node.reservoir.cancel_pool(&actor, &pool).await?;
    Ok(Json(Cancelled { cancelled }))
}

async fn one(caller: Caller, id: Named<PassengerId>) -> Result<Json<Passenger>, Problem> {
    let (_, passenger) = caller.passenger(Verb::Query, &id.get()?).await?;
    Ok(Json(passenger))
}

async fn cancel(
    State(node): State<Arc<Node>>,
    caller: Caller,
    id: Named<PassengerId>,
) -> Result<NoContent, Problem> {
    let id = id.get()?;
    let (allowed, _) = caller.passenger(Verb::Push, &id).await?;
    node.reservoir.cancel(&allowed.actor(None), &id).await?;
    Ok(NoContent)
}

/// What boards a passenger.
#[derive(Debug, Deserialize, JsonSchema)]
struct Board {
    /// By which vehicle.
    vehicle_id: VehicleId,
    /// Tells a retry from a new request.
    request_id: Option<RequestId>,
    /// The fence of a lock that the asker holds on the passenger. Refused as stale if a greater one was shown before.
    fence: Option<u64>,
}

/// A passenger after boarding.
#[derive(Debug, Serialize, JsonSchema)]
struct BoardedPassenger {
    #[serde(flatten)]
    passenger: Passenger,
    /// Free seats of the vehicle after it.
    seats_left: u32,
}

async fn board(
    State(node): State<Arc<Node>>,
    caller: Caller,
    id: Named<PassengerId>,
    body: Body<Board>,
) -> Result<Json<BoardedPassenger>, Problem> {
    let Board { vehicle_id, request_id, fence } = body.read()?;
    let vehicle_id = boarding::vehicle_for(caller.agent(), Some(vehicle_id))?;
    let allowed = caller.may(Verb::Board, vehicle_id.as_str())?;
    let boarding = Boarding { passenger_id: id.get()?, vehicle_id, fence };
    let boarded = node.board(&allowed.actor(request_id), &boarding).await?;
    let passenger = after(&node, allowed, &boarding.passenger_id).await?;
    Ok(Json(BoardedPassenger { passenger, seats_left: boarded.seats_left }))
}

/// What drops a passenger off.
#[derive(Debug, Deserialize, JsonSchema)]
struct Alight {
    /// The boarding's fence.
    fence: u64,
}

async fn alight(
    State(node): State<Arc<Node>>,
    caller: Caller,
    id: Named<PassengerId>,
    body: Body<Alight>,
) -> Result<Json<Passenger>, Problem> {
    let Alight { fence } = body.read()?;
    let vehicle_id = boarding::alighting_from(caller.agent())?;
    let allowed = match &vehicle_id {
        Some(own) => caller.may(Verb::Board, own.as_str())?,
        None => caller.may_some(Verb::Board)?,
    };
    let mut alighting = Alighting { passenger_id: id.get()?, fence, vehicle_id };
    fleet::drop_off(&node, &allowed.actor(None), caller.rights(), &mut alighting).await?;
    Ok(Json(after(&node, allowed, &alighting.passenger_id).await?))
}

/// A passenger after a change that was made. If that can't be read, the change is not told as a failure.
async fn after(node: &Node, caller: Allowed<'_>, id: &PassengerId) -> Result<Passenger, Problem> {
    let read = node.reservoir.passenger(caller.tenant, id).await;
    read.map_err(|error| super::refusal::unknown(&format!("it was done, but can't be shown ({error})")))
}
