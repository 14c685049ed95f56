//! The one task of a connection. It alone reads the socket and waits for it; flushers write to it as well, until it ends.
//!
//! Its loop: wait for the next event, act on it. Waiting also writes: what others queued in the outbox leaves
//! whenever the socket takes it. While an answer is awaited the client's next message is not read: that is
//! order and back-pressure in one.

mod acting;
mod farewell;
mod following;
mod reading;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use signalbox_protocol::close::CloseCode;
use signalbox_protocol::control::Positions;
use tokio::io::{AsyncRead, AsyncWrite};

use self::farewell::{Ending, Farewell};
use self::reading::Backlog;
use super::catch_up::CatchUp;
use super::dispatch::Outcome;
use super::frame;
use super::reader::{FrameReader, FromPeer};
use super::waits::Waits;
use super::writing::{BYTES_MAX, FRAMES_MAX, Writing};
use crate::hub::Connection;
use crate::limits::Tally;
use crate::node::Node;
use crate::roster;

/// A connection's socket and all that its task knows.
pub struct Socket<S> {
    io: S,
    node: Arc<Node>,
    connection: Arc<Connection>,
    reader: FrameReader,
    /// Bytes read and not yet handled.
    backlog: Backlog,
    /// An answer that is awaited.
    pending: Option<BoxFuture<'static, Outcome>>,
    /// Answers that are awaited beside the traffic.
    waits: Waits,
    /// What the client missed of its topics.
    catch_up: Option<Box<CatchUp>>,
    ending: Option<Box<Ending>>,
    /// Bytes read and messages handled since this task last waited.
    turn_bytes: usize,
    malformed: Tally,
    /// The second in which the reader's current interval began.
    interval_at: u32,
}

impl<S> std::fmt::Debug for Socket<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Socket").field("connection", self.connection.id()).finish_non_exhaustive()
    }
}

/// Everything that can happen to a connection.
#[derive(Debug)]
enum Event {
    /// The peer did something.
    Peer(FromPeer),
    /// The awaited answer is there.
    Answered(Outcome),
    /// Nothing more will come of it: the peer is gone, or the farewell is over.
    Over,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket<S> {
    /// A socket whose handshake is done. `leftover`: bytes that came behind the handshake.
    pub fn new(io: S, node: Arc<Node>, connection: Arc<Connection>, leftover: &[u8]) -> Self {
        let backlog = Backlog::of(leftover);
        let interval_at = node.uptime.seconds();
        Self {
            io,
            node,
            connection,
            reader: FrameReader::new(),
            backlog,
            pending: None,
            waits: Waits::default(),
            catch_up: None,
            ending: None,
            turn_bytes: 0,
            malformed: Tally::default(),
            interval_at,
        }
    }

    /// Lets the client's own topics go on from where its welcome says; if it `resumes`, only after that.
    #[must_use]
    pub fn starting_at(mut self, positions: Positions, resumes: bool) -> Self {
        self.catch_up = Some(Box::new(CatchUp::starting(positions, resumes)));
        self
    }

    /// Runs until the connection is over, then takes it out of hub and directory.
    pub async fn run(mut self) {
        loop {
            let event = poll_fn(|cx| self.poll_event(cx)).await;
            if matches!(event, Event::Over) {
                break;
            }
            self.apply(event);
        }
        let code = self.ending.as_ref().and_then(|ending| ending.code);
        self.node.metrics.count_close(code);
        tracing::debug!(connection = %self.connection.id(), ?code, "connection over");
        let Self { io, node, connection, pending, waits, .. } = self;
        connection.outbox().line().keep();
        drop((io, waits));
        Box::pin(async move {
            if let Some(pending) = pending {
                // What it has begun is brought to its end, so that it can be undone.
                drop(pending.await);
            }
            roster::leave(&node, &connection).await;
        })
        .await;
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        self.connection.outbox().register(cx.waker());
        if let (None, Some(code)) = (&self.ending, self.connection.outbox().closing()) {
            if code == CloseCode::HeartbeatMissed {
                // A peer that is gone would not take what is queued.
                self.node.metrics.count_unwritten(self.connection.outbox().clear());
            }
            self.begin_ending(Some(code.as_u16()), Farewell::Flushing);
        }
        // Answers to what came together go out together.
        let answers_follow = self.ending.is_none() && self.is_amid_a_burst();
        if !answers_follow && self.poll_write(cx).is_err() {
            return Poll::Ready(Event::Over);
        }
        if self.ending.is_some() {
            return self.poll_farewell(cx);
        }
        if let Some(catch_up) = &mut self.catch_up
            && catch_up.poll(cx, &self.node, &self.connection).is_ready()
        {
            self.catch_up = None;
        }
        if let Poll::Ready(outcome) = self.waits.poll(cx) {
            return Poll::Ready(Event::Answered(outcome));
        }
        if let Some(pending) = &mut self.pending {
            let outcome = ready!(pending.as_mut().poll(cx));
            self.pending = None;
            return Poll::Ready(Event::Answered(outcome));
        }
        self.poll_read(cx)
    }

    /// Writes until the socket takes no more or nothing is left.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> std::io::Result<()> {
        let mut line = self.connection.outbox().line();
        loop {
            if line.writing.is_empty()
                && !take_batch(&self.node, &self.connection, &mut self.ending, &mut line.writing)
            {
                // TLS takes more than the socket does: what it keeps has to be asked for.
                return match Pin::new(&mut self.io).poll_flush(cx) {
                    Poll::Ready(flushed) => flushed,
                    Poll::Pending => Ok(()),
                };
            }
            match line.writing.poll_write(&mut self.io, cx) {
                Poll::Ready(written) => {
                    let written = written?;
                    self.connection.traffic.wrote(0, written);
                    self.node.metrics.writes.inc();
                    self.node.metrics.bytes_sent.inc_by(written as u64);
                }
                Poll::Pending => return Ok(()),
            }
        }
    }
}

/// Takes the next frames from the outbox, and the close frame behind the last; false if there are none.
fn take_batch(
    node: &Node,
    connection: &Connection,
    ending: &mut Option<Box<Ending>>,
    writing: &mut Writing,
) -> bool {
    if ending.as_ref().is_some_and(|ending| ending.step != Farewell::Flushing) {
        return false;
    }
    let taken = connection.outbox().take(writing.batch(), FRAMES_MAX, BYTES_MAX);
    connection.traffic.wrote(taken.messages.messages(), 0);
    node.metrics.messages_sent.count(&taken.messages);
    if let Some(ending) = ending.as_deref_mut().filter(|_| taken.is_last) {
        ending.step = Farewell::Writing;
        let code = ending.code.and_then(CloseCode::from_u16).unwrap_or(CloseCode::Normal);
        writing.push(frame::close(code));
    }
    !writing.is_empty()
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
