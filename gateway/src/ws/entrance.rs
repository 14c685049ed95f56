//! From an open socket to a connection with a task of its own: registered, and welcomed or sent away.

use std::sync::Arc;

use bytes::Bytes;
use signalbox_protocol::control::Welcome;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::handshake::{HandshakeResult, count};
use super::newcomer::{Newcomer, SentAway};
use super::outbox::Wrote;
use super::socket::Socket;
use super::stream::SharedStream;
use super::{answer, frame};
use crate::hub::Connection;
use crate::limits::Place;
use crate::node::Node;
use crate::roster;
use crate::stop;
use crate::trace::Span;
use crate::trust;

/// An open socket that is to become a connection.
#[derive(Debug)]
pub struct Opened<S> {
    io: S,
    /// The same, if others than the connection's task may write to it.
    shared: Option<Arc<TcpStream>>,
    /// What leaves before the first frame: the answer to the handshake, unless it was given.
    answer: Bytes,
    /// What came behind the handshake.
    leftover: Bytes,
}

impl<S> Opened<S> {
    /// One that only the connection's task writes to. `leftover`: bytes that came behind the handshake.
    pub fn new(io: S, leftover: impl Into<Bytes>) -> Self {
        Self { io, shared: None, answer: Bytes::new(), leftover: leftover.into() }
    }
}

impl Opened<SharedStream> {
    /// One that flushers may write to as well.
    pub(super) fn shared(stream: TcpStream, leftover: Bytes) -> Self {
        let io = SharedStream::new(stream);
        Self { shared: Some(io.share()), ..Opened::new(io, leftover) }
    }

    /// The same, whose handshake is to be answered with this.
    pub(super) fn answering(self, answer: Bytes) -> Self {
        Self { answer, ..self }
    }
}

/// Registers a connection over an open socket; welcomes it, and hands it to a task of its own: this one's future is far
/// larger than an idle connection should be.
pub async fn enter<S>(node: &Arc<Node>, opened: Opened<S>, newcomer: Newcomer)
where
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
    let result = joined.as_ref().map_or_else(SentAway::result, |_| HandshakeResult::Accepted);
    count(node, result);
    end(span, result);
    drop(permit);
    match joined {
        Ok(connection) => begin(node, opened, connection, (resumes, place)),
        Err(sent_away) => {
            node.metrics.count_close(Some(sent_away.code.as_u16()));
            say_goodbye(opened, &sent_away, node.settings.close_timeout).await;
        }
    }
}

/// Ends the span of a handshake, if it has one.
pub(super) fn end(span: Option<Span>, result: HandshakeResult) {
    if let Some(span) = span {
        span.end_with(result.as_str());
    }
}

/// Welcomes a connection that is registered, and starts its task.
fn begin<S>(
    node: &Arc<Node>,
    opened: Opened<S>,
    connection: Arc<Connection>,
    (resumes, place): (bool, Option<Place>),
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let welcome = welcome(node, &connection);
    if node.settings.manner.welcomes {
        let frame = answer::reply_with("system:welcome", None, &|out: &mut Vec<u8>| welcome.write(out));
        connection.outbox().push_front(frame);
    }
    stop::tell_newcomer(node, &connection);
    trust::begin(node, &connection);
    let Opened { io, shared, answer, leftover } = opened;
    if let Some(stream) = shared {
        let wrote = connection.outbox().open(stream, answer);
        note(node, &connection, &wrote);
    }
    let place = place.and_then(|place| place.metering(&connection));
    let socket = Socket::new(io, Arc::clone(node), connection, &leftover);
    let running = socket.starting_at(welcome.positions, resumes).run();
    match place {
        None => node.spawn_socket(running),
        Some(place) => node.spawn_socket(holding(place, Box::pin(running))),
    }
}

fn note(node: &Node, connection: &Connection, wrote: &Wrote) {
    connection.traffic.wrote(wrote.messages.messages(), wrote.bytes);
    node.metrics.messages_sent.count(&wrote.messages);
    node.metrics.bytes_sent.inc_by(wrote.bytes as u64);
    node.metrics.writes.inc_by(wrote.writes as u64);
}

/// Where something is counted for the connection, it is until its task has ended. An async block around every task
/// would cost each of them as much memory again.
async fn holding(place: Place, running: impl Future<Output = ()>) {
    running.await;
    drop(place);
}

async fn say_goodbye<S: AsyncWrite + Unpin>(opened: Opened<S>, why: &SentAway, within: std::time::Duration) {
    let Opened { mut io, answer, .. } = opened;
    let goodbye = async {
        io.write_all(&[answer, frame::close_saying(why.code, &why.reason)].concat()).await?;
        io.shutdown().await
    };
    if !matches!(timeout(within, goodbye).await, Ok(Ok(()))) {
        tracing::debug!("the peer was gone before it could be told why");
    }
}

fn welcome(node: &Node, connection: &Connection) -> Welcome {
    let profile = connection.profile();
    Welcome {
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
        positions: roster::own_positions(node, connection),
    }
}
