//! The way in: a GET becomes a WebSocket.
//!
//! What can be refused by an HTTP status is refused before the upgrade; identity failures come after it, as a
//! close code, because browsers cannot read a status.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header};
use bytes::Bytes;
use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use signalbox_protocol::error::{ErrorCode, Fault};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tracing::Instrument;

use super::entrance::{Opened, end, enter};
use super::handshake::{HandshakeResult, count};
use super::newcomer::{Newcomer, full};
use super::switching::{Switching, has_token};
use crate::http::problem::Problem;
use crate::limits::{Limit, Place};
use crate::node::Node;
use crate::peer::Peer;
use crate::server::Unread;
use crate::trace::lines_of;

/// What a handshake says.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// By its path.
    pub namespace: Option<&'a str>,
    /// What stands behind the `?`, undecoded.
    pub query: &'a str,
    /// All its headers.
    pub headers: &'a HeaderMap,
    /// Of HTTP.
    pub version: Version,
    /// At the other end of the socket.
    pub peer: Option<Peer>,
}

/// A handshake that may go on.
struct Begun {
    newcomer: Newcomer,
    switching: Switching,
    /// What is logged of it belongs there.
    lines: tracing::Span,
}

/// Answers a handshake that an HTTP server has read.
pub fn upgrade(node: &Arc<Node>, mut request: Request<Body>, namespace: Option<&str>) -> Response<Body> {
    let asked = Asked {
        namespace,
        query: request.uri().query().unwrap_or_default(),
        headers: request.headers(),
        version: request.version(),
        peer: request.extensions().get::<Peer>().copied(),
    };
    match begin(node, &asked) {
        Ok(Begun { newcomer, switching, lines }) => {
            let on_upgrade = hyper::upgrade::on(&mut request);
            node.tasks.spawn(admit(Arc::clone(node), on_upgrade, newcomer).instrument(lines));
            switching.into_response()
        }
        Err(refusal) => *refusal,
    }
}

/// Lets a newcomer in whose handshake was read from `stream`, without an HTTP server. `leftover`: bytes that came behind it.
///
/// # Errors
/// It is refused: the stream, and what is to be answered.
pub async fn open(
    node: &Arc<Node>,
    stream: TcpStream,
    asked: &Asked<'_>,
    leftover: Bytes,
) -> Result<(), (TcpStream, Response<Body>)> {
    let Begun { newcomer, switching, lines } = match begin(node, asked) {
        Ok(begun) => begun,
        Err(refusal) => return Err((stream, *refusal)),
    };
    let opened = Opened::shared(stream, leftover).answering(switching.into_bytes());
    enter(node, opened, newcomer).instrument(lines).await;
    Ok(())
}

fn begin(node: &Node, asked: &Asked<'_>) -> Result<Begun, Box<Response<Body>>> {
    let span = node.tracer.begin_request("handshake", asked.headers);
    let lines = lines_of(span.as_ref());
    match lines.in_scope(|| check(node, asked)) {
        Ok((newcomer, switching)) => Ok(Begun { newcomer: Newcomer { span, ..newcomer }, switching, lines }),
        Err((result, problem)) => {
            count(node, result);
            end(span, result);
            let mut response = problem.into_response();
            // Whoever is refused comes back later, and on a connection of its own: this one's buffers are freed now.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            Err(response.into())
        }
    }
}

/// Everything that can be refused by a status, cheapest first.
fn check(node: &Node, asked: &Asked<'_>) -> Result<(Newcomer, Switching), (HandshakeResult, Problem)> {
    let key = websocket_key(asked).map_err(|problem| (HandshakeResult::Malformed, problem))?;
    let place = place_for(node, asked).map_err(full)?;
    let newcomer = Newcomer::try_new(node, asked.namespace, asked.headers, asked.query)?;
    let newcomer = newcomer.holding(place).map_err(full)?;
    Ok((newcomer, Switching::new(asked.headers, key)))
}

/// A place for whoever asks. For whom a proxy speaks, it is a newcomer only now.
fn place_for(node: &Node, asked: &Asked<'_>) -> Result<Place, Limit> {
    let Some(peer) = asked.peer.filter(|_| node.limits.counts_addresses()) else {
        return node.limits.enter(None);
    };
    let client = node.settings.proxies.client_of(peer, asked.headers);
    if client != peer.0 {
        node.limits.arrive(client)?;
    }
    node.limits.enter(Some(client))
}

fn websocket_key<'a>(asked: &Asked<'a>) -> Result<&'a [u8], Problem> {
    let headers = asked.headers;
    let refuse = |text: &'static str| Problem::of(ErrorCode::InvalidEnvelope, text);
    let asks =
        has_token(headers, header::CONNECTION, "upgrade") && has_token(headers, header::UPGRADE, "websocket");
    if !asks || asked.version < Version::HTTP_11 {
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

/// Waits until the socket is there, and lets the newcomer in.
async fn admit(node: Arc<Node>, on_upgrade: OnUpgrade, newcomer: Newcomer) {
    let Ok(Ok(upgraded)) = timeout(node.settings.handshake_timeout, on_upgrade).await else {
        return count(&node, HandshakeResult::Aborted);
    };
    let upgraded = match upgraded.downcast::<TokioIo<Unread<TcpStream>>>() {
        Ok(parts) => {
            let (io, leftover) = taken_out(parts);
            return enter(&node, Opened::shared(io, leftover), newcomer).await;
        }
        Err(upgraded) => upgraded,
    };
    match upgraded.downcast::<TokioIo<Unread<Box<TlsStream<TcpStream>>>>>() {
        Ok(parts) => {
            let (io, leftover) = taken_out(parts);
            Box::pin(enter(&node, Opened::new(io, leftover), newcomer)).await;
        }
        Err(_other) => {
            tracing::error!("an upgraded connection is not the stream that was accepted");
            count(&node, HandshakeResult::Aborted);
        }
    }
}

/// The stream, and what was read beyond the handshake: a slice of hyper's read buffer, copied so that this is freed now.
fn taken_out<S>(parts: Parts<TokioIo<Unread<S>>>) -> (S, Bytes) {
    let (io, unread) = parts.io.into_inner().into_parts();
    (io, [&parts.read_buf[..], &unread[..]].concat().into())
}

/// A refused handshake that names what was wrong with it.
impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::of(fault.code, fault.message).with_details(fault.details)
    }
}
