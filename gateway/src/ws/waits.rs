//! Answers that take long and hold nobody up: while they are awaited, the client's messages are read on.

use std::fmt;
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use signalbox_protocol::limits::WAITS_MAX;

use super::dispatch::Outcome;

type Work = BoxFuture<'static, Outcome>;

/// What one connection waits for beside its other traffic. Holds no memory while that is nothing; what is
/// still awaited when the connection ends is given up with it.
#[derive(Default)]
pub(super) struct Waits(Option<Box<FuturesUnordered<Work>>>);

impl fmt::Debug for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Waits").field(&self.len()).finish()
    }
}

impl Waits {
    fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |waits| waits.len())
    }

    /// Takes one more; false, and it is not begun, if there are [`WAITS_MAX`] already.
    pub(super) fn push(&mut self, work: Work) -> bool {
        let room = self.len() < WAITS_MAX;
        if room {
            self.0.get_or_insert_default().push(work);
        }
        room
    }

    /// The next that is answered.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let Some(waits) = &mut self.0 else { return Poll::Pending };
        let Poll::Ready(Some(outcome)) = waits.poll_next_unpin(cx) else { return Poll::Pending };
        if waits.is_empty() {
            self.0 = None;
        }
        Poll::Ready(outcome)
    }
}
