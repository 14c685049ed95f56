//! Accepts connections and speaks HTTP/1.1 on them, until they become WebSockets or end.

mod door;
mod first;
mod meeting;
mod unread;
mod visitor;

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

pub use self::door::run;
use self::door::{Newcomer, may_come};
use self::meeting::meet;
pub(crate) use self::unread::Unread;
use self::visitor::Visitor;
use crate::admission::Seat;
use crate::limits::Limit;
use crate::node::Node;
use crate::peer::Peer;

/// Connections that the kernel holds for us while we are busy: a reconnect storm comes at once.
const BACKLOG: u32 = 4_096;

/// Binds the address; port 0 picks a free one. What is accepted inherits that nothing waits to fill a segment.
///
/// # Errors
/// What the kernel says, e.g. that the address is in use.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_nodelay(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Speaks with one newcomer until it is gone or has become a WebSocket.
async fn serve(
    node: Arc<Node>,
    (newcomer, seat): (Newcomer, Seat),
    router: axum::Router,
    refuse: CancellationToken,
) {
    let Newcomer { stream, address } = newcomer;
    let ask_by = Instant::now() + node.settings.handshake_timeout;
    let greeted = tokio::select! {
        greeted = timeout_at(ask_by, greet(&node, stream, address)) => greeted,
        () = seat.sent_away().cancelled() => return tracing::debug!("silent for too long while others waited"),
        () = refuse.cancelled() => return,
    };
    match greeted {
        Ok(Ok((Spoken::Plain(stream, first), peer))) => {
            meet(&node, (stream, first), Guest { peer, seat, ask_by }, router, refuse).await;
        }
        Ok(Ok((Spoken::Secret(stream), peer))) => {
            let io = unread(&node, stream, Bytes::new());
            Box::pin(speak_http(&node, io, Guest { peer, seat, ask_by }, router, refuse)).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "peer gone or not understood before it asked for anything"),
        Err(_late) => node.metrics.count_limit(Limit::HandshakeTime),
    }
}

/// Who has not asked for anything yet.
struct Guest {
    peer: Peer,
    seat: Seat,
    /// Until then it has time.
    ask_by: Instant,
}

/// What HTTP is spoken over.
enum Spoken {
    /// With the first that was said.
    Plain(TcpStream, Bytes),
    Secret(Box<TlsStream<TcpStream>>),
}

/// What comes before HTTP: who is there, and TLS where the node has a certificate. Without one, what is said first.
async fn greet(node: &Node, mut stream: TcpStream, address: IpAddr) -> io::Result<(Spoken, Peer)> {
    let peer = node.settings.proxies.greet(&mut stream, address).await?;
    if peer.0 != address && !may_come(node, &stream, peer.0) {
        return Err(io::Error::other("too many come from its address"));
    }
    let Some(tls) = &node.settings.tls else {
        let first = first::read(&stream).await?;
        return Ok((Spoken::Plain(stream, first), peer));
    };
    let secret =
        Box::pin(tls.acceptor().accept(stream)).await.inspect_err(|_| node.metrics.tls_failures.inc())?;
    Ok((Spoken::Secret(Box::new(secret)), peer))
}

fn unread<S>(node: &Node, io: S, first: Bytes) -> TokioIo<Unread<S>> {
    TokioIo::new(Unread::new(io, first, node.settings.http.answer_timeout))
}

async fn speak_http(
    node: &Arc<Node>,
    io: TokioIo<Unread<impl AsyncRead + AsyncWrite + Unpin + Send + 'static>>,
    Guest { peer, seat, ask_by }: Guest,
    router: axum::Router,
    refuse: CancellationToken,
) {
    let settings = &node.settings;
    let sent_away = seat.sent_away().clone();
    let visitor = Arc::new(Visitor::new(node, peer, seat, router));
    let asked = Arc::clone(&visitor);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.handshake_timeout)
        .max_headers(settings.headers_max)
        .max_buf_size(settings.header_bytes_max)
        .serve_connection(io, service_fn(move |request| Arc::clone(&asked).answer(request)))
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ending = async {
        tokio::select! {
            ended = connection.as_mut() => ended,
            () = refuse.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    let ended = tokio::select! {
        biased;
        () = visitor.is_silent_at(ask_by) => return node.metrics.count_limit(Limit::HandshakeTime),
        ended = ending => ended,
        () = sent_away.cancelled() => return tracing::debug!("made room for others"),
    };
    if let Err(error) = ended {
        note(&error, node);
    }
}

/// Counts what hyper has refused by itself, with 431 or by closing. One who has asked before may fall silent.
fn note(error: &hyper::Error, node: &Node) {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    if error.is_parse_too_large() {
        node.metrics.count_limit(Limit::HeaderBytes);
    } else if cause.is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut) {
        node.metrics.count_limit(Limit::AnswerTime);
    }
    tracing::debug!(%error, "HTTP connection ended badly");
}
