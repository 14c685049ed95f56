//! Pools: how many wait, and who waits near a place.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Response};
use axum::response::IntoResponse;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::json;
use signalbox_identity::Verb;
use signalbox_protocol::control::Found;
use signalbox_protocol::error::ErrorCode;
use signalbox_protocol::fleet::{GeoPoint, LATITUDE_MAX, Pool, PoolKind};
use signalbox_protocol::limits::{QUERY_RADIUS_KM, QUERY_RADIUS_KM_MAX, QUERY_RESULTS, QUERY_RESULTS_MAX};
use signalbox_reservoir::reservoir::{Answer, Query, Source};

use super::caller::Caller;
use super::document::Draft;
use super::input::{Params, invalid, path_texts};
use super::output::List;
use super::problem::Problem;
use super::table::{GET, Input, Output, Table};
use crate::node::Node;

pub(super) fn routes(table: Table) -> Table {
    table
        .group("reservoirs", "The pools of waiting passengers, one for each route and each depot.")
        .on(GET, "/api/reservoirs/{kind}/{id}", available, "How many wait in a pool")
        .on(GET, "/api/reservoirs/{kind}/{id}/query", query, "Who waits near a place, nearest first")
}

/// How many wait in a pool. One that nobody was ever pushed to is empty.
#[derive(Debug, Serialize, JsonSchema)]
struct Available {
    pool: Pool,
    /// How many wait.
    available: u64,
}

async fn available(
    State(node): State<Arc<Node>>,
    caller: Caller,
    PoolPath(pool): PoolPath,
) -> Result<Json<Available>, Problem> {
    let tenant = caller.may(Verb::Query, pool.as_str())?.tenant;
    let available = node.reservoir.available(tenant, &pool).await?;
    Ok(Json(Available { pool, available }))
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Place {
    /// Degrees north.
    #[schemars(range(min = -LATITUDE_MAX, max = LATITUDE_MAX))]
    lat: f64,
    /// Degrees east.
    #[schemars(range(min = -180, max = 180))]
    lon: f64,
    /// How far around, in kilometres: above 0.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = QUERY_RADIUS_KM_MAX, "default" = QUERY_RADIUS_KM))]
    radius_km: Option<f64>,
    /// How many at most: pass the free seats.
    #[schemars(range(min = 1, max = QUERY_RESULTS_MAX), extend("default" = QUERY_RESULTS))]
    max_results: Option<u32>,
}

async fn query(
    State(node): State<Arc<Node>>,
    caller: Caller,
    PoolPath(pool): PoolPath,
    Params(place): Params<Place>,
) -> Result<Answered, Problem> {
    let tenant = caller.may(Verb::Query, pool.as_str())?.tenant;
    let query = Query {
        pool,
        position: position(place.lat, place.lon)?,
        radius_km: place.radius_km.unwrap_or(QUERY_RADIUS_KM),
        max_results: place.max_results.unwrap_or(QUERY_RESULTS),
    };
    let answer = node.query(tenant, &query).await?;
    Ok(Answered(answer))
}

fn position(lat: f64, lon: f64) -> Result<GeoPoint, Problem> {
    let field = if GeoPoint::try_new(lat, 0.0).is_err() { "lat" } else { "lon" };
    GeoPoint::try_new(lat, lon).map_err(|error| invalid(field, &error))
}

/// The id of a route or of a depot, as the description of the API knows it.
pub(super) struct PoolId;

impl JsonSchema for PoolId {
    fn schema_name() -> Cow<'static, str> {
        "PoolId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A route or a depot.",
            "pattern": "^[A-Za-z0-9._~@+-]{1,128}$",
            "examples": ["12"],
        })
    }
}

/// `{kind}/{id}` of a pool.
#[derive(Debug)]
struct PoolPath(Pool);

impl FromRequestParts<Arc<Node>> for PoolPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Node>) -> Result<Self, Problem> {
        let pool = match path_texts(parts).await.as_slice() {
            [kind, id] => PoolKind::of(kind).and_then(|kind| Pool::of(kind, id).ok()),
            _ => None,
        };
        pool.map(Self).ok_or_else(|| Problem::of(ErrorCode::NotFound, "there is no such pool"))
    }
}

impl Input for PoolPath {
    fn describe(draft: &mut Draft<'_>) {
        draft.path_parameter::<PoolKind>();
        draft.path_parameter::<PoolId>();
        draft.refuses(404, "There is no such kind of pool, or it can't have that id.");
    }
}

/// A `List<Found>` that tells in `X-Cache` where it came from.
#[derive(Debug)]
struct Answered(Answer);

impl IntoResponse for Answered {
    fn into_response(self) -> Response<Body> {
        let source = match self.0.source {
            Source::Hit => "hit",
            Source::Miss => "miss",
            Source::Bypass => "bypass",
        };
        let x_cache = (HeaderName::from_static("x-cache"), HeaderValue::from_static(source));
        let mut json = Vec::from(br#"{"items":"#);
        self.0.write_passengers(&mut json);
        json.extend_from_slice(br#","cursor":null}"#);
        let content_type = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
        ([content_type, x_cache], json).into_response()
    }
}

impl Output for Answered {
    fn describe(draft: &mut Draft<'_>) {
        draft.answers_json::<List<Found>>(200, "What was asked for.");
        let schema = json!({"type": "string", "enum": ["hit", "miss", "bypass"]});
        draft.answer_header(200, "X-Cache", &schema);
    }
}
