//! The frames that a connection's task has taken from the outbox and is writing.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use smallvec::SmallVec;
use tokio::io::AsyncWrite;

/// Frames per write call. Beyond some dozens a vectored write gains nothing.
pub(super) const FRAMES_MAX: usize = 64;
/// Bytes per write call, so that one greedy reader doesn't hold its worker.
pub(super) const BYTES_MAX: usize = 256 * 1_024;

/// A batch on its way into a socket; holds no memory while it is empty.
#[derive(Debug, Default)]
pub(super) struct Writing {
    frames: Vec<Bytes>,
    /// The first frame that is not wholly written.
    next: usize,
}

impl Writing {
    pub(super) fn is_empty(&self) -> bool {
        self.next == self.frames.len()
    }

    /// Where the next batch is put; the one before is done.
    pub(super) fn batch(&mut self) -> &mut Vec<Bytes> {
        debug_assert!(self.is_empty(), "a batch is written before the next is taken");
        self.frames.clear();
        self.next = 0;
        &mut self.frames
    }

    pub(super) fn push(&mut self, frame: Bytes) {
        self.frames.push(frame);
    }

    /// One vectored write; the answer is how many bytes went. An error of kind `WriteZero` is a closed socket.
    pub(super) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let slices: SmallVec<[IoSlice<'_>; FRAMES_MAX + 3]> =
            self.frames[self.next..].iter().map(|frame| IoSlice::new(frame)).collect();
        let written = ready!(Pin::new(io).poll_write_vectored(cx, &slices))?;
        drop(slices);
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.advance(written);
        Poll::Ready(Ok(written))
    }

    /// Takes over what is left of a batch of which somebody wrote so many bytes; `batch` is empty then.
    pub(super) fn keep_rest(&mut self, batch: &mut Vec<Bytes>, mut written: usize) {
        debug_assert!(self.is_empty(), "a batch is written before the next is taken");
        for mut frame in batch.drain(..) {
            if written >= frame.len() {
                written -= frame.len();
            } else {
                drop(frame.split_to(written));
                written = 0;
                self.frames.push(frame);
            }
        }
    }

    fn advance(&mut self, mut written: usize) {
        while let Some(frame) = self.frames.get_mut(self.next) {
            if written < frame.len() {
                // `Bytes` gives up its front without copying.
                drop(frame.split_to(written));
                return;
            }
            written -= frame.len();
            *frame = Bytes::new();
            self.next += 1;
        }
        self.frames = Vec::new();
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn a_batch_survives_a_peer_that_takes_a_few_bytes_at_a_time() {
        let (mut near, mut far) = tokio::io::duplex(3);
        let mut writing = Writing::default();
        writing.batch().extend([
            Bytes::from_static(b"hello"),
            Bytes::from_static(b" "),
            Bytes::from_static(b"world"),
        ]);
        let reader = async {
            let mut text = [0; 11];
            far.read_exact(&mut text).await.unwrap();
            text
        };
        let writer = async {
            while !writing.is_empty() {
                poll_fn(|cx| writing.poll_write(&mut near, cx)).await.unwrap();
            }
        };
        let (text, ()) = tokio::join!(reader, writer);
        assert_eq!(&text, b"hello world");
    }
}
