//! A socket whose peer has to read its answers: without this, one who asks and never reads keeps socket and buffers.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Fails with [`io::ErrorKind::TimedOut`] when the peer has not taken all that was written a time after it first
/// took no more. The clock stops at a flush that succeeds: bytes that trickle do not stop it.
#[derive(Debug)]
pub(crate) struct Unread<S> {
    io: S,
    /// What was read of it already, and is to be read again.
    first: Bytes,
    within: Duration,
    /// Runs while something is left.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Unread<S> {
    /// Nothing is left yet. `first`: what was read of the socket, which comes again.
    pub(crate) fn new(io: S, first: Bytes, within: Duration) -> Self {
        Self { io, first, within, deadline: None }
    }

    /// The socket, and what is still to be read before it.
    pub(crate) fn into_parts(self) -> (S, Bytes) {
        (self.io, self.first)
    }

    /// What the socket said, unless it is late.
    fn watched<T>(&mut self, cx: &mut Context<'_>, said: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if said.is_pending() && self.deadline.is_none() {
            self.deadline = Some(Box::pin(sleep(self.within)));
        }
        let is_late = self.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready());
        if is_late {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "answers are not read")));
        }
        said
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Unread<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let fits = self.first.len().min(into.remaining());
            into.put_slice(&self.first.split_to(fits));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.io).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Unread<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let said = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.watched(cx, said)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let said = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.watched(cx, said)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let said = Pin::new(&mut self.io).poll_flush(cx);
        if said.is_ready() {
            self.deadline = None;
        }
        self.watched(cx, said)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let said = Pin::new(&mut self.io).poll_shutdown(cx);
        self.watched(cx, said)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::{Instant, timeout};

    use super::*;

    const WITHIN: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn who_reads_a_byte_now_and_then_does_not_stop_the_clock() {
        let (ours, mut theirs) = duplex(8);
        let mut ours = Unread::new(ours, Bytes::new(), WITHIN);
        let began = Instant::now();
        let trickling = async {
            loop {
                tokio::time::sleep(WITHIN / 10).await;
                if theirs.read_u8().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let written = tokio::select! {
            written = ours.write_all(&[0; 64]) => written,
            () = trickling => unreachable!("it never ends"),
        };
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed(), WITHIN);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_already_comes_again_and_first() {
        let (ours, mut theirs) = duplex(8);
        theirs.write_all(b"behind").await.unwrap();
        drop(theirs);
        let mut ours = Unread::new(ours, Bytes::from_static(b"first "), WITHIN);
        let mut text = String::new();
        assert_eq!(ours.read(&mut [0; 2]).await.unwrap(), 2);
        ours.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "rst behind");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_read_in_time_gives_the_next_one_as_much() {
        let (ours, mut theirs) = duplex(8);
        let mut ours = Unread::new(ours, Bytes::new(), WITHIN);
        for _ in 0..3 {
            let writing = async {
                ours.write_all(&[0; 16]).await?;
                ours.flush().await
            };
            let reading = async {
                tokio::time::sleep(WITHIN / 2).await;
                theirs.read_exact(&mut [0; 16]).await
            };
            let (written, read) = tokio::join!(writing, reading);
            written.unwrap();
            read.unwrap();
        }
        assert!(timeout(WITHIN, ours.flush()).await.is_ok());
    }
}
