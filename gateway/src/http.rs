//! Everything on the node's port: health, metrics, the server API, and the way to a WebSocket.

mod api;
pub mod bodies;
mod caller;
mod document;
mod health;
mod input;
mod listing;
mod locks;
mod nodes;
pub mod openapi;
mod orders;
pub(crate) mod origin;
mod output;
mod passengers;
pub mod problem;
mod publish;
mod refusal;
mod reservoirs;
mod revocations;
mod table;
mod vehicles;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Path, Request, State};
use axum::http::{Method, Response, StatusCode};
use axum::middleware::{self, Next};
use serde_json::json;
use signalbox_protocol::error::ErrorCode;
use signalbox_protocol::limits::LOCK_WAIT_MAX;
use tokio::time::timeout;
use tracing::Instrument;

use self::problem::Problem;
use self::table::{DELETE, GET, POST, Table};
use crate::limits::Limit;
use crate::node::Node;
use crate::trace::{Span, lines_of};
use crate::ws::upgrade::upgrade;

/// What the node answers.
pub fn router(node: Arc<Node>) -> Router {
    table()
        .into_router()
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&node), origin::guard))
        .layer(middleware::from_fn_with_state(Arc::clone(&node), count))
        .with_state(node)
}

/// Every path, with what is said of it.
fn table() -> Table {
    let table = revocations::routes(nodes::routes(server(sockets(operators(Table::new())))));
    let table = vehicles::routes(reservoirs::routes(passengers::routes(table)));
    openapi::routes(orders::routes(locks::routes(table)))
}

fn operators(table: Table) -> Table {
    table
        .group("operators", "For load balancers, Prometheus and people who look after the node.")
        .on(GET, "/livez", health::live, "The process runs")
        .on(GET, "/readyz", health::ready, "Whether the load balancer should send clients here")
        .answers(200, "It should.", Some("text/plain"))
        .answers(503, "It should not: the checks that fail.", Some("text/plain"))
        .on(GET, "/healthz", health::health, "The node's health; 200 while the process lives")
        .on(GET, "/health", health::health, "The same")
        .on(GET, "/metrics", health::metrics, "Prometheus' text format")
        .answers(200, "The metrics.", Some("text/plain"))
        .on(GET, "/ws/stats", health::stats, "Live numbers of the node and of the cluster")
}

fn sockets(table: Table) -> Table {
    let upgrades = |table: Table| {
        table
            .answers(101, "From now on a WebSocket: see the protocol's reference.", None)
            .refuses(400, "The identity in the query can't be.")
            .refuses(403, "The Origin may not connect.")
            .refuses(426, "Not a WebSocket handshake.")
            .refuses(503, "Overloaded, or Redis is away: try again later.")
    };
    let table = table.group("sockets", "Where a GET becomes a WebSocket.");
    let table = upgrades(table.on(GET, "/ws", upgrade_plain, "Connect, in no namespace"));
    upgrades(table.on(GET, "/ws/{namespace}", upgrade_in_namespace, "Connect, in a namespace"))
        .refuses(404, "There is no such namespace.")
}

fn server(table: Table) -> Table {
    table
        .group("messages", "Sending, and who is there to receive.")
        .on(POST, "/api/publish", publish::publish, "Send a message, or a list: none if one of them can't be")
        .refuses(404, "Nobody is there, and the message asked for an acknowledgement.")
        .example(json!({"type": "order:new", "target": "agent_type:driver", "data": {"order_id": "99"}}))
        .on(GET, "/api/connections", listing::connections, "Connections by session, agent, type or pillar")
        .on(GET, "/api/connections/{ws_id}", api::connection, "One connection")
        .on(DELETE, "/api/connections/{ws_id}", api::disconnect, "Close a connection, wherever it is")
        .on(GET, "/api/presence/{topic}", api::presence, "Who is there now")
        .on(GET, "/api/topics", listing::topics, "The group topics that somebody follows")
}

async fn upgrade_plain(State(node): State<Arc<Node>>, request: Request) -> Response<Body> {
    upgrade(&node, request, None)
}

async fn upgrade_in_namespace(
    State(node): State<Arc<Node>>,
    Path(namespace): Path<String>,
    request: Request,
) -> Response<Body> {
    upgrade(&node, request, Some(&namespace))
}

async fn no_such_path(request: Request) -> Problem {
    Problem::of(ErrorCode::NotFound, format!("there is no {}", request.uri().path()))
}

async fn no_such_method(request: Request) -> Problem {
    let text = format!("{} does not take {}", request.uri().path(), request.method());
    Problem::of(ErrorCode::InvalidEnvelope, text).with_status(StatusCode::METHOD_NOT_ALLOWED)
}

/// Bounds and counts every request: a time for its body to arrive, as [`bodies`] measures it, and as much to answer.
async fn count(State(node): State<Arc<Node>>, request: Request, next: Next) -> Response<Body> {
    let span = begin_span(&node, &request);
    let within = 2 * node.settings.handshake_timeout + standing_in_line(&request);
    let answering = next.run(request).instrument(lines_of(span.as_ref()));
    let response = match timeout(within, answering).await {
        Ok(response) => response,
        Err(_late) => too_late().into_response(),
    };
    if response.status() == StatusCode::PAYLOAD_TOO_LARGE {
        node.metrics.count_limit(Limit::MessageBytes);
    }
    count_answer(&node, response.status());
    if let Some(mut span) = span {
        span.tell_number("http.response.status_code", response.status().as_u16().into());
        span.end();
    }
    response
}

/// Counts a request by its answer.
pub(crate) fn count_answer(node: &Node, status: StatusCode) {
    let class = match status.as_u16() {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    };
    node.metrics.http_requests.with_label_values(&[class]).inc();
}

/// The span of a request that is traced. The handshake of a WebSocket has one of its own.
fn begin_span(node: &Node, request: &Request) -> Option<Span> {
    let path = request.extensions().get::<MatchedPath>()?;
    if path.as_str().starts_with("/ws") {
        return None;
    }
    let mut span = node.tracer.begin_request("request", request.headers())?;
    span.tell("http.route", path.as_str());
    let known = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let method = known.iter().find(|known| *known == request.method());
    span.tell("http.request.method", method.map_or("_OTHER", Method::as_str));
    Some(span)
}

/// How long a request may have to wait for others, on top of what the node itself needs.
fn standing_in_line(request: &Request) -> Duration {
    let path = request.extensions().get::<MatchedPath>();
    let in_line = request.method() == Method::POST && path.is_some_and(|path| path.as_str() == locks::ONE);
    if in_line { LOCK_WAIT_MAX } else { Duration::ZERO }
}

fn too_late() -> Problem {
    Problem::of(ErrorCode::Timeout, "the request took too long to arrive or to answer")
        .with_status(StatusCode::REQUEST_TIMEOUT)
}
