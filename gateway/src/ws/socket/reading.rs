//! What a connection reads: into scratch space of its thread, so that an idle one holds no buffer. What is left over
//! of a burst is kept until it is handled.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Event, Socket};
use crate::ws::reader::FromPeer;

/// Bytes per read call, in scratch space that all connections of a thread share.
const READ_BYTES: usize = 16 * 1_024;
/// A connection that has read this much lets its neighbours go first: one read. What others wait for is the turns of all
/// who flood, one behind the other.
pub(super) const TURN_BYTES: usize = READ_BYTES;
/// What a message counts of that, however small: 16 KiB of tiny ones are thousands, and each is work.
const MESSAGE_TURN_BYTES: usize = 4_096;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket<S> {
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        loop {
            if self.turn_bytes >= TURN_BYTES {
                self.turn_bytes = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Some(from_peer) = self.next_of_backlog() {
                self.turn_bytes += MESSAGE_TURN_BYTES;
                return Poll::Ready(Event::Peer(from_peer));
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
                self.turn_bytes += MESSAGE_TURN_BYTES;
                return Poll::Ready(Event::Peer(from_peer));
            }
        }
    }

    /// Whether more of the same read is to be handled before the others get their turn.
    pub(super) fn is_amid_a_burst(&self) -> bool {
        (1..TURN_BYTES).contains(&self.turn_bytes)
            && self.pending.is_none()
            && !self.backlog.bytes().is_empty()
    }

    /// What was answered is written, and the others get their turn, before more is handled.
    pub(super) fn end_turn(&mut self) {
        self.turn_bytes = TURN_BYTES;
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
}

/// One read into the thread's scratch space; `handle` gets the bytes, none at the end of the stream.
pub(super) fn read_some<S: AsyncRead + Unpin>(
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
pub(super) struct Backlog {
    kept: Vec<u8>,
    handled: usize,
}

impl Backlog {
    pub(super) fn of(bytes: &[u8]) -> Self {
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
