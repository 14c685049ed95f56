//! A TCP stream that its connection's task reads and waits for, and that others may write to as well.
//!
//! Only the task polls: readiness wakes one waker, its own. Others try, and leave the rest to it.

use std::io::{self, IoSlice, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// The task's side.
#[derive(Debug)]
pub(super) struct SharedStream(Arc<TcpStream>);

impl SharedStream {
    /// Takes the stream over.
    pub(super) fn new(stream: TcpStream) -> Self {
        Self(Arc::new(stream))
    }

    /// For those who may write to it.
    pub(super) fn share(&self) -> Arc<TcpStream> {
        Arc::clone(&self.0)
    }
}

/// Writes what the socket takes at once; `WouldBlock`: nothing. Asks the socket and not what the runtime remembers of it, which
/// is one more miss of the cache for each socket of a fan-out; the task finds out for itself that the socket is full.
pub(super) fn try_write(stream: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let socket = SockRef::from(stream);
    match slices {
        [one] => socket.send(one),
        many => socket.send_vectored(many),
    }
}

/// One read. Fewer bytes than asked for are all there are: readiness ends with them, which saves the read that
/// would find nothing. It comes again with whatever arrives behind them, the end of the stream included.
pub(crate) fn try_read(stream: &TcpStream, into: &mut [u8]) -> io::Result<usize> {
    let room = into.len();
    let mut got = 0;
    let read = stream.try_io(Interest::READABLE, || {
        got = (&*SockRef::from(stream)).read(into)?;
        if (1..room).contains(&got) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match read {
        Err(error) if got == 0 => Err(error),
        _ => Ok(got),
    }
}

impl AsyncRead for SharedStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.0.poll_read_ready(cx))?;
            match try_read(&self.0, into.initialize_unfilled()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(bytes) => {
                    into.advance(bytes);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for SharedStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.0.poll_write_ready(cx))?;
            match self.0.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&*self.0).shutdown(std::net::Shutdown::Write))
    }
}
