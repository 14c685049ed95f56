//! One connection that speaks HTTP: silent in the lobby at first, then with a place among those that are kept.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::http::{HeaderValue, Method, StatusCode, header};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::service::TowerToHyperService;
use signalbox_protocol::error::ErrorCode;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::admission::{Seat, Visit};
use crate::http::problem::Problem;
use crate::limits::Limit;
use crate::node::Node;
use crate::peer::Peer;

/// Health checks: answered in any case, or a crowd would make an orchestrator end the node.
const PROBES: [&str; 4] = ["/livez", "/readyz", "/healthz", "/health"];

/// Whoever asks over one connection. Its place is free again when it is dropped.
pub(super) struct Visitor {
    node: Arc<Node>,
    peer: Peer,
    router: TowerToHyperService<axum::Router>,
    sent_away: CancellationToken,
    standing: Mutex<Standing>,
}

enum Standing {
    Silent {
        _seat: Seat,
    },
    /// It has spoken; a handshake holds no place here.
    Spoken(Option<Visit>),
}

impl Visitor {
    /// One that has not asked for anything yet.
    pub(super) fn new(node: &Arc<Node>, peer: Peer, seat: Seat, router: axum::Router) -> Self {
        Self {
            node: Arc::clone(node),
            peer,
            router: TowerToHyperService::new(router),
            sent_away: seat.sent_away().clone(),
            standing: Mutex::new(Standing::Silent { _seat: seat }),
        }
    }

    /// Resolves at this time if its first request is still awaited; otherwise never.
    pub(super) async fn is_silent_at(&self, time: Instant) {
        sleep_until(time).await;
        if !matches!(*self.standing(), Standing::Silent { .. }) {
            std::future::pending::<()>().await;
        }
    }

    /// Answers one request. Where it has no place to stay, the connection ends with the answer.
    pub(super) async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
    ) -> Result<Response<Body>, Infallible> {
        let is_handshake = is_handshake(&request);
        let may_stay = self.ask(is_handshake);
        if !may_stay && !is_handshake && !PROBES.contains(&request.uri().path()) {
            return Ok(closing(self.full()));
        }
        request.extensions_mut().insert(self.peer);
        let response = self.router.call(request).await?;
        self.rest();
        let goes_on = may_stay || response.status() == StatusCode::SWITCHING_PROTOCOLS;
        Ok(if goes_on { response } else { closing(response) })
    }

    /// It asks for something; whether it has a place.
    fn ask(&self, is_handshake: bool) -> bool {
        let mut standing = self.standing();
        if let Standing::Spoken(Some(visit)) = &mut *standing {
            visit.ask();
            return true;
        }
        let entered = if is_handshake { None } else { self.node.visitors.enter(&self.sent_away) };
        let had_to_go = entered.as_ref().map(|(_, had_to_go)| *had_to_go);
        if had_to_go == Some(true) {
            self.node.metrics.count_limit(Limit::HttpConnections);
        }
        *standing = Standing::Spoken(entered.map(|(visit, _)| visit));
        had_to_go.is_some()
    }

    fn rest(&self) {
        if let Standing::Spoken(Some(visit)) = &mut *self.standing() {
            visit.rest();
        }
    }

    fn full(&self) -> Response<Body> {
        self.node.metrics.count_limit(Limit::HttpConnections);
        self.node.metrics.http_requests.with_label_values(&["5xx"]).inc();
        Problem::of(ErrorCode::Unavailable, Limit::HttpConnections.told()).into_response()
    }

    fn standing(&self) -> std::sync::MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it asks to become a WebSocket, which is answered at once.
fn is_handshake(request: &Request<Incoming>) -> bool {
    let is_socket = request.uri().path().strip_prefix("/ws").is_some_and(|rest| !rest.starts_with("/stats"));
    is_socket && request.method() == Method::GET && request.headers().contains_key(header::UPGRADE)
}

/// The last answer of its connection.
fn closing(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
