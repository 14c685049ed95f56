//! The end of a connection: what is queued is written, then the close frame; our side is shut, and the peer's end
//! awaited, so that the close frame isn't lost to a reset. All of it within a deadline.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Sleep, sleep};

use super::reading::{TURN_BYTES, read_some};
use super::{Event, Socket};
use crate::stop::StopPhase;

/// Of a peer that goes on sending behind our close frame so much is read, which is more than can be under way to us; then
/// it is reset.
const DRAINED_MAX: usize = 1 << 20;

/// The farewell: a close frame has been queued or got.
#[derive(Debug)]
pub(super) struct Ending {
    /// For the metric: the code that was sent or got.
    pub(super) code: Option<u16>,
    deadline: Pin<Box<Sleep>>,
    /// Bytes read after our side was shut.
    drained: usize,
    pub(super) step: Farewell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Farewell {
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
    pub(super) fn begin_ending(&mut self, code: Option<u16>, step: Farewell) {
        self.connection.outbox().line().keep();
        let deadline = Box::pin(sleep(self.node.settings.close_timeout));
        self.ending = Some(Box::new(Ending { code, deadline, drained: 0, step }));
    }

    /// Flushes, shuts our side, and reads the peer out, all within the deadline.
    pub(super) fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let Some(ending) = self.ending.as_deref_mut() else { return Poll::Pending };
        let cut_off = *self.node.phase.borrow() >= StopPhase::Unregistering;
        if cut_off || ending.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Event::Over);
        }
        if matches!(ending.step, Farewell::Flushing | Farewell::Writing) {
            if !self.connection.outbox().line().writing.is_empty() {
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
        let turn_ends = ending.drained + TURN_BYTES;
        while ending.drained < turn_ends {
            match ready!(read_some(&mut self.io, cx, |bytes| bytes.len())) {
                Ok(bytes @ 1..) if ending.drained < DRAINED_MAX => ending.drained += bytes,
                _ => return Poll::Ready(Event::Over),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
