//! The way into one socket: the frames on it, and who may put some there.

use std::io::{self, IoSlice};
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;
use tokio::net::TcpStream;

use super::Taken;
use crate::metrics::Volumes;
use crate::ws::stream::try_write;
use crate::ws::writing::{FRAMES_MAX, Writing};

/// What a flusher wrote.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wrote {
    /// The messages that it took out of the outbox.
    pub messages: Volumes,
    /// Bytes that the socket took.
    pub bytes: usize,
    /// Write calls that succeeded.
    pub writes: usize,
}

/// Who holds it writes; it is held for one write at most by others than the connection's task.
#[derive(Debug, Default)]
pub(in crate::ws) struct Line {
    /// What was taken out of the outbox and is not wholly written. While there is some, the task waits for the socket.
    pub(in crate::ws) writing: Writing,
    /// The socket, if others than the task may write to it.
    stream: Option<Arc<TcpStream>>,
}

impl Line {
    /// Writes `answer` and one batch that `take` puts behind it. The rest of both, and an error, are the task's.
    pub(super) fn open(
        &mut self,
        stream: Arc<TcpStream>,
        answer: Bytes,
        take: impl FnOnce(&mut Vec<Bytes>) -> Taken,
    ) -> Wrote {
        let (head, mut batch) = (answer.len(), Vec::with_capacity(2));
        if head > 0 {
            batch.push(answer);
        }
        let taken = take(&mut batch);
        let written = (!batch.is_empty()).then(|| write_batch(&stream, &batch).ok()).flatten();
        let (bytes, writes) = written.map_or((0, 0), |bytes| (bytes, 1));
        self.writing.keep_rest(&mut batch, bytes);
        self.stream = Some(stream);
        Wrote { messages: taken.messages, bytes: bytes.saturating_sub(head), writes }
    }

    #[cfg(test)]
    pub(super) fn is_shared(&self) -> bool {
        self.stream.is_some()
    }

    /// From now on only the task writes.
    pub(in crate::ws) fn keep(&mut self) {
        self.stream = None;
    }

    /// Writes one batch that `take` puts into `scratch`. With what was written comes whether all is done or seen to;
    /// if not, or if this is `None`, the task has to go on.
    pub(super) fn flush(
        &mut self,
        take: impl FnOnce(&mut Vec<Bytes>) -> Taken,
        scratch: &mut Vec<Bytes>,
    ) -> Option<(Wrote, bool)> {
        let stream = self.stream.as_ref()?;
        if !self.writing.is_empty() {
            return Some((Wrote::default(), true));
        }
        let taken = take(scratch);
        if scratch.is_empty() {
            return Some((Wrote::default(), true));
        }
        let written = write_batch(stream, scratch);
        let (bytes, writes) = written.as_ref().map_or((0, 0), |bytes| (*bytes, 1));
        self.writing.keep_rest(scratch, bytes);
        // An error is left to the task as well: it meets it in its own write.
        let is_done = taken.is_last && self.writing.is_empty();
        Some((Wrote { messages: taken.messages, bytes, writes }, is_done))
    }
}

fn write_batch(stream: &TcpStream, batch: &[Bytes]) -> io::Result<usize> {
    let slices: SmallVec<[IoSlice<'_>; FRAMES_MAX + 3]> =
        batch.iter().map(|frame| IoSlice::new(frame)).collect();
    try_write(stream, &slices)
}
