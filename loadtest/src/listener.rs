//! A connection that only listens. It reads much at a time, into a buffer that all share, and shows each text where it
//! lies: a client of the usual kind costs several times as much per message, and the tester reads all copies of what a
//! node writes. It asks as little of its node as any other client: it answers pings, and says goodbye.

mod frames;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use signalbox_client::{CloseCause, Closed, Wire};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::Error as SocketError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;

use self::frames::{Part, first};

/// Read at most at a time.
const READ_BUFFER_BYTES: usize = 128 * 1024;

/// The node has this long to take an answer.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// The node has this long to say goodbye.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(2);

/// What all listeners of a thread read into, one after the other.
#[derive(Debug, Clone)]
pub(crate) struct ReadBuffer(Rc<RefCell<Box<[u8]>>>);

/// A WebSocket whose side here says nothing of itself.
#[derive(Debug)]
pub(crate) struct Listener {
    stream: TcpStream,
    read_buffer: ReadBuffer,
    /// What has come of the next frame.
    begun: Vec<u8>,
    /// To pings, and to a goodbye.
    answers: Vec<u8>,
}

impl Default for ReadBuffer {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(vec![0; READ_BUFFER_BYTES].into())))
    }
}

impl Listener {
    /// Listens where nothing was under way.
    pub(crate) fn new(wire: Wire, read_buffer: &ReadBuffer) -> Self {
        Self::over(wire.into_stream(), read_buffer)
    }

    fn over(stream: TcpStream, read_buffer: &ReadBuffer) -> Self {
        Self { stream, read_buffer: read_buffer.clone(), begun: Vec::new(), answers: Vec::new() }
    }

    /// Shows each text that comes, and when it came, until the connection ends.
    ///
    /// # Errors
    /// How it ended.
    pub(crate) async fn listen(&mut self, mut hear: impl FnMut(&[u8], Instant)) -> Result<(), Closed> {
        loop {
            let ended = poll_fn(|cx| self.poll_read(cx, &mut hear)).await;
            if !self.answers.is_empty() {
                self.answer().await?;
            }
            ended?;
        }
    }

    /// Reads once.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        hear: &mut impl FnMut(&[u8], Instant),
    ) -> Poll<Result<(), Closed>> {
        let read_buffer = Rc::clone(&self.read_buffer.0);
        let bytes = &mut *read_buffer.borrow_mut();
        let (begun, free) = bytes.split_at_mut(self.begun.len());
        let mut free = ReadBuf::new(free);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut free)).map_err(lost)?;
        let at = Instant::now();
        let read = free.filled().len();
        if read == 0 {
            return Poll::Ready(Err(CloseCause::Lost(None).into()));
        }
        begun.copy_from_slice(&self.begun);
        let filled = begun.len() + read;
        Poll::Ready(self.take_in(&bytes[..filled], |text| hear(text, at)))
    }

    /// Takes what has come; the beginning of a frame is kept.
    fn take_in(&mut self, mut bytes: &[u8], mut hear: impl FnMut(&[u8])) -> Result<(), Closed> {
        while let Some((part, length)) = first(bytes).map_err(violation)? {
            match part {
                Part::Text(text) => hear(text),
                Part::Ping(payload) => frames::mask(Frame::pong(payload.to_vec()), &mut self.answers),
                Part::Close(frame) => {
                    frames::mask(Frame::close(frame.clone()), &mut self.answers);
                    return Err(ended_by(frame));
                }
                Part::Other => {}
            }
            bytes = &bytes[length..];
        }
        self.begun.clear();
        self.begun.extend_from_slice(bytes);
        Ok(())
    }

    async fn answer(&mut self) -> Result<(), Closed> {
        let answered = timeout(ANSWERED_WITHIN, self.stream.write_all(&self.answers)).await;
        self.answers.clear();
        answered.map_err(|_| CloseCause::Stalled(ANSWERED_WITHIN))?.map_err(lost)
    }

    /// Says goodbye, and waits a little for the other side to do so.
    pub(crate) async fn close(mut self) {
        frames::mask(Frame::close(None), &mut self.answers);
        // An error here means that it is closed already, which is what was asked for.
        let _ = self.answer().await;
        let mut rest = [0; 1_024];
        let closing = async { while self.stream.read(&mut rest).await.is_ok_and(|read| read > 0) {} };
        let _ = timeout(CLOSING_TIMEOUT, closing).await;
    }
}

fn ended_by(frame: Option<CloseFrame>) -> Closed {
    const NO_CODE: u16 = 1005;
    let (code, reason) =
        frame.map_or((NO_CODE, "".into()), |frame| (frame.code.into(), frame.reason.as_str().into()));
    CloseCause::ByNode { code, reason }.into()
}

fn violation(error: SocketError) -> Closed {
    CloseCause::Violation(error.into()).into()
}

fn lost(error: io::Error) -> Closed {
    CloseCause::Lost(Some(error.into())).into()
}
