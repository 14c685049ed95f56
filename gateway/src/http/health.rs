//! What load balancers, operators and Prometheus ask.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use signalbox_protocol::control::{ClusterStats, HealthCheck, NodeStats};

use super::input::Params;
use crate::node::Node;
use crate::rights::Rights;
use crate::stats;
use crate::ws::commands::health as health_of;

/// `?verbose`, with or without a value.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Verbosity {
    /// Lists each check, with or without a value.
    verbose: Option<String>,
}

/// The process runs and its runtime turns; nothing else is asked, so that a Redis that is away restarts nobody.
pub(super) async fn live() -> &'static str {
    "ok\n"
}

/// Whether the load balancer should send clients here.
pub(super) async fn ready(
    State(node): State<Arc<Node>>,
    Params(verbosity): Params<Verbosity>,
) -> Response<Body> {
    let checks = node.checks();
    let well = checks.iter().all(|(_, well)| *well);
    let mut text = String::new();
    if verbosity.verbose.is_some() || !well {
        for (name, well) in checks {
            text.push_str(if well { "[+]" } else { "[-]" });
            text.push_str(name);
            if name == "serving" && !well {
                text.push_str(": ");
                text.push_str(node.phase.borrow().as_str());
            }
            text.push('\n');
        }
    }
    text.push_str(if well { "ok\n" } else { "not ready\n" });
    let status = if well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, text).into_response()
}

/// The node's health in one object; 200 while the process lives, whatever it says.
pub(super) async fn health(State(node): State<Arc<Node>>) -> Json<HealthCheck> {
    Json(health_of(&node))
}

/// The scrape.
pub(super) async fn metrics(State(node): State<Arc<Node>>) -> Response<Body> {
    let mut response = Response::new(Body::from(node.metrics.render(&node.readings())));
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}

/// Live numbers of the node and of the cluster.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LiveStats {
    node: NodeStats,
    cluster: ClusterStats,
}

/// `GET /ws/stats`, for anybody: without pillars, which are the tenants' words, unless anybody is trusted.
pub(super) async fn stats(State(node): State<Arc<Node>>) -> Json<LiveStats> {
    let rights = if node.settings.anonymous { Rights::default() } else { Rights::none() };
    let (of_node, cluster) = stats::shown_to(&node, &rights);
    Json(LiveStats { node: of_node, cluster })
}
