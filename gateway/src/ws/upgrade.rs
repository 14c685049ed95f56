//! The way in: a GET becomes a WebSocket, is told who it is, and is registered.
//!
//! What can be refused by an HTTP status is refused before the upgrade; identity failures come after it, as a
//! close code, because browsers cannot read a status.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use signalbox_protocol::control::{Positions, Welcome};
use signalbox_protocol::error::{ErrorCode, Fault};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tracing::Instrument;

use super::handshake::{HandshakeResult, count};
pub use super::newcomer::Newcomer;
use super::newcomer::{SentAway, full};
use super::socket::Socket;
use super::stream::SharedStream;
use super::{answer, frame};
use crate::http::problem::Problem;
use crate::hub::Connection;
use crate::limits::{Limit, Place};
use crate::node::Node;
use crate::peer::Peer;
use crate::roster;
use crate::server::Unread;
use crate::stop;
use crate::trace::{Span, lines_of};
use crate::trust;

/// The subprotocol; echoed if offered, not needed.
const SUBPROTOCOL: &str = "signalbox.v1.json";

/// Answers `GET /ws` and `GET /ws/{namespace}`.
pub fn upgrade(node: &Arc<Node>, mut request: Request<Body>, namespace: Option<&str>) -> Response<Body> {
    let span = node.tracer.begin_request("handshake", request.headers());
    let lines = lines_of(span.as_ref());
    match lines.in_scope(|| check(node, &request, namespace)) {
        Ok((newcomer, response)) => {
            let newcomer = Newcomer { span, ..newcomer };
            let on_upgrade = hyper::upgrade::on(&mut request);
            node.tasks.spawn(admit(Arc::clone(node), on_upgrade, newcomer).instrument(lines));
            response
        }
        Err((result, problem)) => {
            count(node, result);
            end(span, result);
            let mut response = problem.into_response();
            // Whoever is refused comes back later, and on a connection of its own: this one's buffers are freed now.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            response
        }
    }
}

/// Everything that can be refused by a status, cheapest first.
fn check(
    node: &Node,
    request: &Request<Body>,
    namespace: Option<&str>,
) -> Result<(Newcomer, Response<Body>), (HandshakeResult, Problem)> {
    let key = websocket_key(request).map_err(|problem| (HandshakeResult::Malformed, problem))?;
    let place = place_for(node, request).map_err(full)?;
    let query = request.uri().query().unwrap_or_default();
    let newcomer = Newcomer::try_new(node, namespace, request.headers(), query)?;
    let newcomer = newcomer.holding(place).map_err(full)?;
    Ok((newcomer, switching_protocols(request.headers(), key)))
}

/// A place for whoever is behind the request. For whom a proxy speaks, it is a newcomer only now.
fn place_for(node: &Node, request: &Request<Body>) -> Result<Place, Limit> {
    let peer = request.extensions().get::<Peer>().filter(|_| node.limits.counts_addresses());
    let Some(peer) = peer else { return node.limits.enter(None) };
    let client = node.settings.proxies.client_of(*peer, request.headers());
    if client != peer.0 {
        node.limits.arrive(client)?;
    }
    node.limits.enter(Some(client))
}

fn websocket_key(request: &Request<Body>) -> Result<&[u8], Problem> {
    let headers = request.headers();
    let refuse = |text: &'static str| Problem::of(ErrorCode::InvalidEnvelope, text);
    let asks =
        has_token(headers, header::CONNECTION, "upgrade") && has_token(headers, header::UPGRADE, "websocket");
    if !asks || request.version() < Version::HTTP_11 {
        return Err(refuse(
            "this is a WebSocket endpoint: connect with a WebSocket client (HTTP/1.1, Upgrade: websocket)",
        )
        .with_status(StatusCode::UPGRADE_REQUIRED));
    }
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(refuse("Sec-WebSocket-Version must be 13").with_status(StatusCode::UPGRADE_REQUIRED));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(|key| key.as_bytes());
    key.filter(|key| key.len() == 24).ok_or_else(|| refuse("Sec-WebSocket-Key must be 16 bytes in base64"))
}

fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

fn switching_protocols(headers: &HeaderMap, key: &[u8]) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answer = response.headers_mut();
    answer.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    let accept = HeaderValue::from_str(&derive_accept_key(key)).expect("base64 is a header value");
    answer.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if has_token(headers, header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        answer.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    response
}

/// Waits until the socket is there, and lets the newcomer in.
async fn admit(node: Arc<Node>, on_upgrade: OnUpgrade, newcomer: Newcomer) {
    let Ok(Ok(upgraded)) = timeout(node.settings.handshake_timeout, on_upgrade).await else {
        return count(&node, HandshakeResult::Aborted);
    };
    let upgraded = match upgraded.downcast::<TokioIo<Unread<TcpStream>>>() {
        Ok(parts) => {
            let (io, leftover) = opened(parts);
            let io = SharedStream::new(io);
            let shared = Some(io.share());
            return enter(&node, (io, shared), &leftover, newcomer).await;
        }
        Err(upgraded) => upgraded,
    };
    match upgraded.downcast::<TokioIo<Unread<Box<TlsStream<TcpStream>>>>>() {
        Ok(parts) => {
            let (io, leftover) = opened(parts);
            Box::pin(enter(&node, (io, None), &leftover, newcomer)).await;
        }
        Err(_other) => {
            tracing::error!("an upgraded connection is not the stream that was accepted");
            count(&node, HandshakeResult::Aborted);
        }
    }
}

/// The stream, and what hyper read beyond the handshake: a slice of its read buffer, copied so that this is freed now.
fn opened<S>(parts: Parts<TokioIo<Unread<S>>>) -> (S, Vec<u8>) {
    (parts.io.into_inner().into_inner(), parts.read_buf.to_vec())
}

/// Registers a connection over an open socket, whose `leftover` bytes came behind the handshake; welcomes it, and
/// hands it to a task of its own: this one's future is far larger than an idle connection should be. `shared`: the socket, if
/// it is one that others than that task may write to.
pub async fn enter<S>(
    node: &Arc<Node>,
    (mut io, shared): (S, Option<Arc<TcpStream>>),
    leftover: &[u8],
    newcomer: Newcomer,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Newcomer { identity, namespace, permit, place, span } = newcomer;
    let resumes = identity.as_ref().is_ok_and(|identity| identity.resume);
    let joined = match identity {
        Ok(identity) => {
            roster::join(node, identity, namespace.as_deref()).await.map_err(|error| SentAway::from(&error))
        }
        Err(sent_away) => Err(sent_away),
    };
    match joined {
        Ok(connection) => {
            count(node, HandshakeResult::Accepted);
            end(span, HandshakeResult::Accepted);
            let positions = roster::own_positions(node, &connection);
            if node.settings.manner.welcomes {
                connection.outbox().push_front(welcome(node, &connection, positions.clone()));
            }
            if let Some(stream) = shared {
                connection.outbox().share(stream);
            }
            stop::tell_newcomer(node, &connection);
            trust::begin(node, &connection);
            drop(permit);
            let place = place.and_then(|place| place.metering(&connection));
            let socket = Socket::new(io, Arc::clone(node), connection, leftover);
            let running = socket.starting_at(&positions, resumes).run();
            match place {
                None => node.spawn_socket(running),
                Some(place) => node.spawn_socket(holding(place, Box::pin(running))),
            }
        }
        Err(sent_away) => {
            drop(permit);
            count(node, sent_away.result());
            end(span, sent_away.result());
            node.metrics.count_close(Some(sent_away.code.as_u16()));
            say_goodbye(&mut io, &sent_away, node.settings.close_timeout).await;
        }
    }
}

fn end(span: Option<Span>, result: HandshakeResult) {
    if let Some(span) = span {
        span.end_with(result.as_str());
    }
}

/// Where something is counted for the connection, it is until its task has ended. An async block around every task
/// would cost each of them as much memory again.
async fn holding(place: Place, running: impl Future<Output = ()>) {
    running.await;
    drop(place);
}

async fn say_goodbye(io: &mut (impl AsyncWrite + Unpin), why: &SentAway, within: std::time::Duration) {
    let goodbye = async {
        io.write_all(&frame::close_saying(why.code, &why.reason)).await?;
        io.shutdown().await
    };
    if !matches!(timeout(within, goodbye).await, Ok(Ok(()))) {
        tracing::debug!("the peer was gone before it could be told why");
    }
}

fn welcome(node: &Node, connection: &Connection, positions: Positions) -> bytes::Bytes {
    let profile = connection.profile();
    let data = Welcome {
        connection_id: connection.id().clone(),
        session_id: profile.session_id(),
        node_id: node.cluster.node.id().clone(),
        agent: profile.agent.clone(),
        subject: profile.subject().to_owned(),
        tenant: profile.tenant.to_string(),
        namespaces: connection.namespaces(),
        heartbeat_seconds: node.settings.heartbeat_interval.as_secs(),
        timeout_seconds: node.settings.heartbeat_timeout.as_secs(),
        message_bytes_max: node.settings.read.message_bytes_max as u64,
        positions,
    };
    answer::reply("system:welcome", None, &data)
}

/// A refused handshake that names what was wrong with it.
impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::of(fault.code, fault.message).with_details(fault.details)
    }
}
