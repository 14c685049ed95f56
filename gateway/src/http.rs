//! Everything on the node's port: health, metrics, the server API, and the way to a WebSocket.

mod api;
mod health;
mod listing;
pub mod problem;
mod publish;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{Response, StatusCode};
use axum::middleware::{self, Next};
use axum::routing::{get, post};
use signalbox_protocol::error::ErrorCode;
use tokio::time::timeout;

use self::problem::Problem;
use crate::node::Node;
use crate::ws::upgrade::upgrade;

/// A request's body may hold this many messages of the largest size.
const BODIES_MAX: usize = 8;

/// Every path that the node answers.
pub fn router(node: Arc<Node>) -> Router {
    Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/healthz", get(health::health))
        .route("/health", get(health::health))
        .route("/metrics", get(health::metrics))
        .route("/ws", get(upgrade_plain))
        .route("/ws/stats", get(health::stats))
        .route("/ws/{namespace}", get(upgrade_in_namespace))
        .route("/api/publish", post(publish::publish))
        .route("/api/connections", get(listing::connections))
        .route("/api/connections/{ws_id}", get(api::connection).delete(api::disconnect))
        .route("/api/presence/{topic}", get(api::presence))
        .route("/api/topics", get(listing::topics))
        .route("/api/nodes", get(api::nodes))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(BODIES_MAX * node.settings.read.message_bytes_max))
        .layer(middleware::from_fn_with_state(Arc::clone(&node), count))
        .with_state(node)
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

/// Bounds and counts every request. An upgrade is answered at once; what takes long is a body that trickles in.
async fn count(State(node): State<Arc<Node>>, request: Request, next: Next) -> Response<Body> {
    let response = match timeout(node.settings.handshake_timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_late) => Problem::of(ErrorCode::Timeout, "the request took too long to arrive or to answer")
            .with_status(StatusCode::REQUEST_TIMEOUT)
            .into_response(),
    };
    let class = match response.status().as_u16() {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    };
    node.metrics.http_requests.with_label_values(&[class]).inc();
    response
}
