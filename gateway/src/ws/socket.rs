//! The one task of a connection. It alone touches the socket.
//!
//! Its loop: wait for the next event, act on it. Waiting also writes: what others queued in the outbox leaves
//! whenever the socket takes it. While an answer is awaited the client's next message is not read: that is
//! order and back-pressure in one. An idle connection holds no buffer: it reads into scratch space of its
//! thread, and what is left over of a burst is kept only until it is handled.

mod following;

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::future::BoxFuture;
use signalbox_protocol::close::CloseCode;
use signalbox_protocol::control::Positions;
use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_protocol::limits::WAITS_MAX;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::catch_up::CatchUp;
use super::dispatch::{self, Later, Outcome, Step};
use super::reader::{FrameReader, FromPeer};
use super::waits::Waits;
use super::writing::{BYTES_MAX, FRAMES_MAX, Writing};
use super::{answer, frame};
use crate::hub::Connection;
use crate::node::Node;
use crate::roster;
use crate::stop::StopPhase;

/// Bytes per read call, in scratch space that all connections of a thread share.
const READ_BYTES: usize = 16 * 1_024;
/// A connection that has read this much lets its neighbours go first.
const TURN_BYTES: usize = 64 * 1_024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

/// A connection's socket and all that its task knows.
pub struct Socket<S> {
    io: S,
    node: Arc<Node>,
    connection: Arc<Connection>,
    reader: FrameReader,
    /// Bytes read and not yet handled.
    backlog: Backlog,
    writing: Writing,
    /// An answer that is awaited.
    pending: Option<BoxFuture<'static, Outcome>>,
    /// Answers that are awaited beside the traffic.
    waits: Waits,
    /// What the client missed of its topics.
    catch_up: Option<Box<CatchUp>>,
    ending: Option<Box<Ending>>,
    /// Bytes read since this task last waited.
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

/// The farewell: a close frame has been queued or got.
#[derive(Debug)]
struct Ending {
    /// For the metric: the code that was sent or got.
    code: Option<u16>,
    deadline: Pin<Box<Sleep>>,
    step: Farewell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Farewell {
    /// What is queued is still to be taken and written.
    Flushing,
    /// The last frame, the close, is being written.
    Writing,
    /// Our side is to be shut.
    Shutting,
    /// The peer's end is awaited, so that the close frame isn't lost to a reset.
    Draining,
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
            writing: Writing::default(),
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
    pub fn starting_at(mut self, positions: &Positions, resumes: bool) -> Self {
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
            self.begin_ending(Some(code.as_u16()), Farewell::Flushing);
        }
        if self.poll_write(cx).is_err() {
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
        loop {
            if self.writing.is_empty() && !self.take_batch() {
                return Ok(());
            }
            match self.writing.poll_write(&mut self.io, cx) {
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

    /// Takes the next frames from the outbox; false if there are none.
    fn take_batch(&mut self) -> bool {
        if self.ending.as_ref().is_some_and(|ending| ending.step != Farewell::Flushing) {
            return false;
        }
        let taken = self.connection.outbox().take(self.writing.batch(), FRAMES_MAX, BYTES_MAX);
        self.connection.traffic.wrote(taken.messages, 0);
        self.node.metrics.messages_sent.inc_by(taken.messages as u64);
        if let Some(ending) = self.ending.as_deref_mut().filter(|_| taken.is_last) {
            ending.step = Farewell::Writing;
            let code = ending.code.and_then(CloseCode::from_u16).unwrap_or(CloseCode::Normal);
            self.writing.push(frame::close(code));
        }
        !self.writing.is_empty()
    }

    fn begin_ending(&mut self, code: Option<u16>, step: Farewell) {
        let deadline = Box::pin(sleep(self.node.settings.close_timeout));
        self.ending = Some(Box::new(Ending { code, deadline, step }));
    }

    /// Flushes, shuts our side, and reads the peer out, all within the deadline.
    fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let Some(ending) = self.ending.as_deref_mut() else { return Poll::Pending };
        let cut_off = *self.node.phase.borrow() >= StopPhase::Unregistering;
        if cut_off || ending.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Event::Over);
        }
        if matches!(ending.step, Farewell::Flushing | Farewell::Writing) {
            if !self.writing.is_empty() {
                return Poll::Pending;
            }
            ending.step = Farewell::Shutting;
        }
        if ending.step == Farewell::Shutting {
            if ready!(Pin::new(&mut self.io).poll_shutdown(cx)).is_err() {
                return Poll::Ready(Event::Over);
            }
            ending.step = Farewell::Draining;
        }
        loop {
            if !matches!(ready!(read_some(&mut self.io, cx, |bytes| bytes.len())), Ok(1..)) {
                return Poll::Ready(Event::Over);
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            if let Some(from_peer) = self.next_of_backlog() {
                return Poll::Ready(Event::Peer(from_peer));
            }
            if self.turn_bytes >= TURN_BYTES {
                self.turn_bytes = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let limits = self.node.settings.read;
            let (reader, backlog) = (&mut self.reader, &mut self.backlog);
            let mut from_peer = None;
            let read = read_some(&mut self.io, cx, |bytes| {
                let mut rest = bytes;
                from_peer = reader.next(&mut rest, limits);
                backlog.keep(rest);
                bytes.len()
            });
            match read {
                Poll::Ready(Ok(bytes @ 1..)) => self.note_read(bytes),
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Event::Over),
                Poll::Pending => {
                    self.turn_bytes = 0;
                    return Poll::Pending;
                }
            }
            if let Some(from_peer) = from_peer {
                return Poll::Ready(Event::Peer(from_peer));
            }
        }
    }

    fn next_of_backlog(&mut self) -> Option<FromPeer> {
        let mut rest = self.backlog.bytes();
        let from_peer = self.reader.next(&mut rest, self.node.settings.read);
        let left = rest.len();
        self.backlog.leave(left);
        from_peer
    }

    fn note_read(&mut self, bytes: usize) {
        let now = self.node.uptime.seconds();
        self.turn_bytes += bytes;
        self.connection.traffic.heard(bytes, now);
        self.node.metrics.bytes_received.inc_by(bytes as u64);
        if self.interval_at != now {
            self.interval_at = now;
            self.reader.begin_interval();
        }
    }

    /// Acts on an event; never waits.
    fn apply(&mut self, event: Event) {
        match event {
            Event::Peer(FromPeer::Text(text)) => self.on_text(&text),
            Event::Peer(FromPeer::Binary) => {
                let fault = Fault::new(
                    ErrorCode::InvalidEnvelope,
                    "binary frames are not supported: send text frames",
                );
                answer::fail(&self.connection, &self.node.metrics, &fault, None);
                self.count_malformed();
            }
            Event::Peer(FromPeer::Ping(payload)) => self.connection.outbox().pong(frame::pong(&payload)),
            Event::Peer(FromPeer::Pong) => {}
            Event::Peer(FromPeer::Close(code)) => {
                self.writing.push(frame::close_echo(code));
                self.begin_ending(code, Farewell::Writing);
            }
            Event::Peer(FromPeer::Broken(code)) => self.connection.outbox().close(code),
            Event::Answered(outcome) => self.on_outcome(outcome),
            Event::Over => {}
        }
    }

    fn on_text(&mut self, text: &str) {
        self.connection.traffic.messages_in.fetch_add(1, Relaxed);
        self.node.metrics.messages_received.inc();
        match dispatch::handle(&self.node, &self.connection, text) {
            Step::Done => {}
            Step::Malformed => self.count_malformed(),
            Step::Wait(pending) => self.pending = Some(pending),
            Step::Later(later) => self.wait_beside(later),
        }
    }

    fn wait_beside(&mut self, Later { work, correlation_id }: Later) {
        if !self.waits.push(work) {
            let text = format!("at most {WAITS_MAX} requests of a connection may wait: let one end first");
            let fault = Fault::new(ErrorCode::RateLimited, text);
            answer::fail(&self.connection, &self.node.metrics, &fault, correlation_id.as_deref());
        }
    }

    fn count_malformed(&mut self) {
        let settings = &self.node.settings;
        let now = self.node.uptime.seconds();
        if self.malformed.add(now, settings.malformed_window) >= settings.malformed_max {
            self.connection.outbox().close(CloseCode::Malformed);
        }
    }

    fn on_outcome(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Nothing => {}
            Outcome::Reply(frame) => answer::push(&self.connection, frame),
            Outcome::Failed(fault, correlation_id) => {
                answer::fail(&self.connection, &self.node.metrics, &fault, correlation_id.as_deref());
            }
            Outcome::Joined { topics, correlation } => self.on_joined(&topics, correlation.as_deref()),
            Outcome::Resumed { told, correlation } => self.on_resumed(told, correlation.as_deref()),
            Outcome::Left { topics, ack } => {
                if let Some(catch_up) = &mut self.catch_up {
                    topics.iter().for_each(|topic| catch_up.leave(topic));
                }
                answer::push(&self.connection, ack);
            }
        }
    }
}

/// One read into the thread's scratch space; `handle` gets the bytes, none at the end of the stream.
fn read_some<S: AsyncRead + Unpin>(
    io: &mut S,
    cx: &mut Context<'_>,
    handle: impl FnOnce(&[u8]) -> usize,
) -> Poll<std::io::Result<usize>> {
    SCRATCH.with_borrow_mut(|scratch| {
        let mut buffer = ReadBuf::new(scratch);
        ready!(Pin::new(io).poll_read(cx, &mut buffer))?;
        Poll::Ready(Ok(handle(buffer.filled())))
    })
}

/// Bytes of a burst that wait for their turn; holds no memory while empty.
#[derive(Debug, Default)]
struct Backlog {
    kept: Vec<u8>,
    handled: usize,
}

impl Backlog {
    fn of(bytes: &[u8]) -> Self {
        Self { kept: bytes.to_vec(), handled: 0 }
    }

    fn bytes(&self) -> &[u8] {
        &self.kept[self.handled..]
    }

    /// Only called when empty: a read happens when the backlog is used up.
    fn keep(&mut self, bytes: &[u8]) {
        debug_assert!(self.kept.is_empty(), "the backlog is used up before more is read");
        if !bytes.is_empty() {
            self.kept = bytes.to_vec();
        }
    }

    /// Says that all but the last `left` bytes were handled.
    fn leave(&mut self, left: usize) {
        self.handled = self.kept.len() - left;
        if left == 0 {
            *self = Self::default();
        }
    }
}

/// How many malformed messages came in the current window.
#[derive(Debug, Default)]
struct Tally {
    count: usize,
    since: u32,
}

impl Tally {
    fn add(&mut self, now: u32, window: Duration) -> usize {
        if u64::from(now.saturating_sub(self.since)) >= window.as_secs() {
            *self = Self { count: 0, since: now };
        }
        self.count += 1;
        self.count
    }
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
