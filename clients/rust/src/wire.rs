//! One WebSocket to a node: connecting up to the welcome, frames in, text out, bounded buffers, closing.
//!
//! The layer below [`Client`](crate::Client), for programs that drive many connections themselves, such as
//! the load tester. It starts no task; whoever owns it has to keep calling [`Wire::next`], which also
//! answers pings and writes what is queued. Idle it costs its read buffer and little more.

use std::fmt::{self, Write as _};
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{Sink, SinkExt, Stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message, Utf8Bytes};

use crate::closed::{CloseCause, Closed};

mod connect;

/// Bytes that a wire buffers before it writes; what does not fit waits for the socket.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;

/// A wire with so many unwritten bytes has no room. One message may go beyond it.
const UNWRITTEN_BYTES_MAX: usize = 64 * 1024;

/// The other side has this long to answer a close frame.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(2);

/// How a [`Wire`] connects and how much it buffers.
#[derive(Debug, Clone)]
pub struct WireConfig {
    /// `ws://host:port/path?query`.
    pub url: String,
    /// The token to show, if any.
    pub bearer: Option<Bearer>,
    /// The address to connect from; any if `None`. One address has about 28,000 ports for each listener.
    pub local_address: Option<IpAddr>,
    /// How long connecting may take, up to and including the welcome.
    pub connect_timeout: Duration,
    /// How long the socket may take for what is queued, at most 64 KiB and one message.
    pub write_timeout: Duration,
    /// The read buffer, allocated at once: 4 KiB by default. A longer message gets what it needs.
    pub read_buffer_bytes: usize,
    /// Most bytes of a received message: 4 MiB by default. A longer one ends the connection.
    pub received_bytes_max: usize,
}

/// A token. It is never shown in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Bearer(String);

impl<T: Into<String>> From<T> for Bearer {
    fn from(token: T) -> Self {
        Self(token.into())
    }
}

impl Bearer {
    /// The token itself, for whoever shows it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(..)")
    }
}

/// One WebSocket to a node. Dropping it cuts the connection; [`Wire::close`] ends it in order.
#[derive(Debug)]
pub struct Wire<S = TcpStream> {
    socket: WebSocketStream<S>,
    unwritten_bytes: usize,
    stalled_since: Option<Instant>,
    write_timeout: Duration,
}

/// What comes from a node.
#[derive(Debug, Clone)]
pub enum Frame {
    /// A text frame: one message.
    Text(Text),
    /// A ping, which is answered already, or a pong.
    Heartbeat,
    /// A binary frame, which no node sends; so many bytes.
    Binary(usize),
}

/// The text of a frame. It shares the read buffer's memory: copy what is to be kept.
#[derive(Debug, Clone)]
pub struct Text(Utf8Bytes);

impl std::ops::Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.0.as_str()
    }
}

impl WireConfig {
    /// The defaults, for the node or load balancer at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            bearer: None,
            local_address: None,
            connect_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            read_buffer_bytes: 4 * 1024,
            received_bytes_max: 4 * 1024 * 1024,
        }
    }

    /// Adds a field to the URL's query; the value is escaped.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.url.push(if self.url.contains('?') { '&' } else { '?' });
        push_escaped(&mut self.url, name);
        self.url.push('=');
        push_escaped(&mut self.url, value);
        self
    }

    /// Whether the URL's query has this field.
    pub(crate) fn names(&self, field: &str) -> bool {
        let fields = self.url.split_once('?').map_or("", |(_, query)| query).split('&');
        fields.map(|pair| pair.split('=').next()).any(|name| name == Some(field))
    }

    fn socket(&self) -> WebSocketConfig {
        WebSocketConfig::default()
            .read_buffer_size(self.read_buffer_bytes)
            .write_buffer_size(WRITE_BUFFER_BYTES)
            .max_write_buffer_size(usize::MAX) // `has_room` is the bound
            .max_message_size(Some(self.received_bytes_max))
            .max_frame_size(Some(self.received_bytes_max))
            .accept_unmasked_frames(false)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    fn new(socket: WebSocketStream<S>, write_timeout: Duration) -> Self {
        Self { socket, unwritten_bytes: 0, stalled_since: None, write_timeout }
    }

    /// The next frame. Meanwhile what is queued is written as far as the socket takes it.
    ///
    /// # Errors
    /// [`Closed`] when the connection ended.
    ///
    /// # Cancel safety
    /// No frame is lost.
    pub async fn next(&mut self) -> Result<Frame, Closed> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`Wire::next`], for whoever polls by hand.
    ///
    /// # Errors
    /// [`Closed`] when the connection ended.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame, Closed>> {
        self.poll_write(cx)?;
        Poll::Ready(match ready!(Pin::new(&mut self.socket).poll_next(cx)) {
            Some(Ok(Message::Text(text))) => Ok(Frame::Text(Text(text))),
            Some(Ok(Message::Binary(bytes))) => Ok(Frame::Binary(bytes.len())),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Ok(Frame::Heartbeat),
            Some(Ok(Message::Close(frame))) => Err(Closed::by_frame(frame)),
            Some(Err(error)) => Err(Closed::by_error(error)),
            None => Err(CloseCause::Lost(None).into()),
        })
    }

    /// As [`Wire::next`], but also returns, with `None`, when a wire that had no room has room again. Nothing is
    /// read unless `reading`.
    ///
    /// # Cancel safety
    /// No frame is lost.
    pub(crate) async fn next_or_room(&mut self, reading: bool) -> Result<Option<Frame>, Closed> {
        poll_fn(|cx| {
            let was_full = !self.has_room();
            let polled =
                if reading { self.poll_next(cx) } else { self.poll_write(cx).map(|()| Poll::Pending)? };
            match polled {
                Poll::Ready(frame) => Poll::Ready(frame.map(Some)),
                Poll::Pending if was_full && self.has_room() => Poll::Ready(Ok(None)),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Whether another message may be queued. If not, [`Wire::next`] and [`Wire::flush`] make room.
    pub fn has_room(&self) -> bool {
        self.unwritten_bytes < UNWRITTEN_BYTES_MAX
    }

    /// Queues a message; [`Wire::next`] or [`Wire::flush`] write it.
    ///
    /// # Errors
    /// [`Closed`] when the connection ended.
    pub fn queue(&mut self, text: String) -> Result<(), Closed> {
        self.unwritten_bytes += text.len();
        Pin::new(&mut self.socket).start_send(Message::text(text)).map_err(Closed::by_error)
    }

    /// Writes all that is queued.
    ///
    /// # Errors
    /// [`Closed`] when the connection ended, or the socket did not take it within the write timeout.
    pub async fn flush(&mut self) -> Result<(), Closed> {
        let limit = self.write_timeout;
        let flushed = timeout(limit, poll_fn(|cx| Pin::new(&mut self.socket).poll_flush(cx))).await;
        flushed.map_err(|_| CloseCause::Stalled(limit))?.map_err(Closed::by_error)?;
        self.written();
        Ok(())
    }

    /// When the write timeout ends, if the socket did not take all at once.
    pub(crate) fn stalls_at(&self) -> Option<Instant> {
        self.stalled_since.map(|since| since + self.write_timeout)
    }

    /// The write timeout, if it has passed.
    pub(crate) fn stalled_for(&self, now: Instant) -> Option<Duration> {
        self.stalls_at().is_some_and(|at| at <= now).then_some(self.write_timeout)
    }

    /// Writes what is queued, says goodbye, and waits a little for the other side to do so.
    pub async fn close(mut self) {
        let goodbye = CloseFrame { code: 1000.into(), reason: "".into() };
        // An error here means that it is closed already, which is what was asked for.
        let _ = self.flush().await;
        let closing = async {
            let _ = self.socket.send(Message::Close(Some(goodbye))).await;
            while poll_fn(|cx| Pin::new(&mut self.socket).poll_next(cx))
                .await
                .is_some_and(|frame| frame.is_ok())
            {}
        };
        let _ = timeout(CLOSING_TIMEOUT, closing).await;
    }

    /// Gives up the WebSocket for the stream under it, for programs that go on reading by themselves. Do it where nothing
    /// is under way: what was read of further frames, and what is queued, is gone.
    pub fn into_stream(self) -> S {
        self.socket.into_inner()
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<(), Closed> {
        if self.unwritten_bytes == 0 {
            return Ok(());
        }
        match Pin::new(&mut self.socket).poll_flush(cx) {
            Poll::Ready(Ok(())) => self.written(),
            Poll::Ready(Err(SocketError::AlreadyClosed)) => {} // the read side tells why
            Poll::Ready(Err(error)) => return Err(Closed::by_error(error)),
            Poll::Pending => {
                self.stalled_since.get_or_insert_with(Instant::now);
            }
        }
        Ok(())
    }

    fn written(&mut self) {
        self.unwritten_bytes = 0;
        self.stalled_since = None;
    }
}

/// Escapes what is not unreserved (RFC 3986, section 2.3).
fn push_escaped(url: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(byte.into());
        } else {
            write!(url, "%{byte:02X}").expect("a String takes every text");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_values_are_escaped() {
        let config = WireConfig::new("ws://h/ws").query("agent_id", "a+b@c~1").query("subject", "driver:ü");
        assert_eq!(config.url, "ws://h/ws?agent_id=a%2Bb%40c~1&subject=driver%3A%C3%BC");
    }
}
