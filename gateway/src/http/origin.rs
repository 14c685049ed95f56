//! Web pages and this node: whose requests are refused before anything is done, and what browsers are told (CORS).
//!
//! It stands before `/api` and `/ws`. A browser sends simple requests without asking first, and opens WebSockets to
//! anywhere: so it is the request itself that is refused, not only its answer withheld. A page whose own name was made to
//! lead here (rebinding) sends its GETs without an Origin: it is known by its `Host`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use axum::middleware::Next;
use signalbox_protocol::error::ErrorCode;

use super::problem::Problem;
use crate::node::Node;
use crate::ws::handshake::{HandshakeResult, count};

/// What a page may send.
const METHODS: &str = "GET, POST, PUT, PATCH, DELETE";
const HEADERS: &str = "authorization, content-type, x-lock-token";
/// What it may read of an answer, beside the common headers.
const EXPOSED: &str = "retry-after, x-cache";
/// How long a browser need not ask again.
const MAX_AGE_SECONDS: &str = "600";

const STRANGE_PAGE: &str =
    "pages of this Origin may not talk to this node: its setting `origins` lists who may";
const STRANGE_HOST: &str = "this node takes anonymous clients, so a page of any name could be led to it: ask it by its \
                            address, or have its setting `origins` list that name";

/// Refuses pages that may not, answers preflights, and lets the others read their answers.
pub(super) async fn guard(State(node): State<Arc<Node>>, request: Request, next: Next) -> Response<Body> {
    let path = request.uri().path();
    let is_socket = path == "/ws" || path.starts_with("/ws/");
    if !is_socket && !path.starts_with("/api/") {
        return next.run(request).await;
    }
    let named = request.uri().authority().map(|named| named.as_str());
    let origin = match judge(&node, named, request.headers()) {
        Ok(Some(origin)) => origin,
        Ok(None) => return next.run(request).await,
        Err(strange) => return refuse(&node, is_socket, strange),
    };
    let mut response = if is_preflight(&request) { preflight() } else { next.run(request).await };
    // No page reads the answer that makes a WebSocket.
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        allow(response.headers_mut(), origin);
    }
    response
}

/// The Origin of the page that asks, if it is one: it may. `named`: the name in the request's target.
///
/// # Errors
/// It may not: what to tell it.
pub(crate) fn judge(
    node: &Node,
    named: Option<&str>,
    headers: &HeaderMap,
) -> Result<Option<HeaderValue>, &'static str> {
    if !is_asked_by_name(node, named, headers) {
        return Err(STRANGE_HOST);
    }
    match headers.get(header::ORIGIN) {
        Some(origin) if !may(node, origin, headers) => Err(STRANGE_PAGE),
        origin => Ok(origin.cloned()),
    }
}

fn refuse(node: &Node, is_socket: bool, text: &'static str) -> Response<Body> {
    if is_socket {
        count(node, HandshakeResult::RefusedOrigin);
    }
    let mut response = Problem::of(ErrorCode::Forbidden, text).into_response();
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Whether the node answers to every name that the request has for it. Without one it is of no browser.
fn is_asked_by_name(node: &Node, named: Option<&str>, headers: &HeaderMap) -> bool {
    let origins = &node.settings.origins;
    let hosts = headers.get_all(header::HOST);
    let in_path = named.is_none_or(|named| origins.answer_to(named));
    in_path && hosts.iter().all(|host| host.to_str().is_ok_and(|host| origins.answer_to(host)))
}

fn may(node: &Node, origin: &HeaderValue, headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let is_only = headers.get_all(header::ORIGIN).iter().count() == 1;
    is_only && origin.to_str().is_ok_and(|origin| node.settings.origins.allow(origin, host))
}

fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(HEADERS));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE_SECONDS));
    response
}

/// The page's own name, never `*`: what is answered depends on who asks, and caches have to know.
pub(crate) fn allow(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    headers.append(header::VARY, HeaderValue::from_static("origin"));
}
