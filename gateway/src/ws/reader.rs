//! Bytes in, WebSocket messages out, without a buffer of its own while nothing is open.
//!
//! tungstenite does the protocol (masks, fragments, UTF-8, control frames). Around it stands a frame tracker,
//! which cuts the input at frame boundaries. So it knows when nothing is half read, and the tungstenite
//! context with its buffers exists only from the first byte of a message to its last: an idle connection
//! costs the tracker alone. It also counts the frames that never surface as messages.
//!
//! Must stay true: a byte that [`FrameReader::next`] took from the input is never asked for again.

use std::io::{self, Cursor, Read, Write};

use signalbox_protocol::close::CloseCode;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error as WsError};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tokio_tungstenite::tungstenite::{Bytes, Message, Utf8Bytes};

/// Longest header of a client's frame: two bytes, a 64-bit length, a mask.
const HEADER_BYTES_MAX: usize = 14;
/// A fragment with fewer bytes of payload than this is small: many of them are a flood, not a message.
const SMALL_FRAME_BYTES: u64 = 32;
/// What tungstenite copies at a time. It zeroes as much before each of the three reads of a short message: more would
/// only empty the cache.
const READ_BUFFER_BYTES: usize = 512;
/// Room for the answers that tungstenite writes by itself, and that are dropped.
const WRITE_BUFFER_BYTES: usize = 4_096;

/// What the peer did.
#[derive(Debug, PartialEq, Eq)]
pub enum FromPeer {
    /// A whole text message.
    Text(Utf8Bytes),
    /// A whole binary message.
    Binary(Bytes),
    /// A ping; answer with its payload.
    Ping(Bytes),
    /// A pong.
    Pong,
    /// A close frame, with its code if it had one.
    Close(Option<u16>),
    /// The peer broke the protocol: close with this code, read no more.
    Broken(CloseCode),
}

/// Bounds of what a peer may send.
#[derive(Debug, Clone, Copy)]
pub struct ReadLimits {
    /// Bytes of one message, and so of one frame.
    pub message_bytes_max: usize,
    /// Control frames, and small fragments that complete no message, between two calls of [`FrameReader::begin_interval`].
    pub idle_frames_max: usize,
}

/// Reads one connection's frames.
#[derive(Debug, Default)]
pub struct FrameReader {
    header: [u8; HEADER_BYTES_MAX],
    header_bytes: u8,
    /// The frame being read, once its header is complete.
    frame: Option<OpenFrame>,
    idle_frames: usize,
    context: Option<Box<WebSocketContext>>,
    /// A data message has begun and its last fragment has not come.
    fragmented: bool,
}

#[derive(Debug, Clone, Copy)]
struct OpenFrame {
    bytes_left: u64,
    is_final: bool,
    is_data: bool,
}

impl FrameReader {
    /// A reader at the start of a connection's frames.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts counting idle frames anew; to be called about once a second.
    pub fn begin_interval(&mut self) {
        self.idle_frames = 0;
    }

    /// Whether nothing is half read, so that this reader holds no memory of its own.
    pub fn is_idle(&self) -> bool {
        self.context.is_none() && self.header_bytes == 0
    }

    /// Takes bytes from the front of `input` until they complete something or run out; `None`: they ran out.
    pub fn next(&mut self, input: &mut &[u8], limits: ReadLimits) -> Option<FromPeer> {
        while !input.is_empty() {
            let outcome = match self.frame {
                None => self.read_header(input, limits),
                Some(_) => self.read_payload(input, limits),
            };
            if outcome.is_some() {
                return outcome;
            }
        }
        None
    }

    fn read_header(&mut self, input: &mut &[u8], limits: ReadLimits) -> Option<FromPeer> {
        while self.header_bytes < self.header_bytes_needed() {
            let (byte, rest) = input.split_first()?;
            self.header[usize::from(self.header_bytes)] = *byte;
            self.header_bytes += 1;
            *input = rest;
        }
        let header_bytes = usize::from(std::mem::take(&mut self.header_bytes));
        let header = self.header;
        let (parsed, bytes_left) = match FrameHeader::parse(&mut Cursor::new(&header[..header_bytes])) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => return Some(FromPeer::Broken(CloseCode::ProtocolError)),
            Err(error) => return Some(FromPeer::Broken(close_code(&error))),
        };
        let is_data = matches!(parsed.opcode, OpCode::Data(_));
        self.frame = Some(OpenFrame { bytes_left, is_final: parsed.is_final, is_data });
        self.fragmented |= matches!(parsed.opcode, OpCode::Data(Data::Text | Data::Binary));
        self.count_frame(limits).or_else(|| self.feed(&header[..header_bytes], limits))
    }

    /// RFC 6455, 5.2: the first two bytes tell how long the header is.
    fn header_bytes_needed(&self) -> u8 {
        if self.header_bytes < 2 {
            return 2;
        }
        let length = match self.header[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.header[1] & 0x80 == 0 { 0 } else { 4 };
        2 + length + mask
    }

    fn count_frame(&mut self, limits: ReadLimits) -> Option<FromPeer> {
        let frame = self.frame?;
        let is_small = frame.bytes_left < SMALL_FRAME_BYTES;
        if !frame.is_data || (is_small && !frame.is_final) {
            self.idle_frames += 1;
        }
        (self.idle_frames > limits.idle_frames_max).then_some(FromPeer::Broken(CloseCode::RateLimited))
    }

    fn read_payload(&mut self, input: &mut &[u8], limits: ReadLimits) -> Option<FromPeer> {
        let frame = self.frame.as_mut()?;
        let bytes = usize::try_from(frame.bytes_left).map_or(input.len(), |left| left.min(input.len()));
        let (payload, rest) = input.split_at(bytes);
        *input = rest;
        frame.bytes_left -= bytes as u64;
        self.feed(payload, limits)
    }

    /// Gives bytes of the open frame to tungstenite, and closes the frame if they were its last.
    fn feed(&mut self, bytes: &[u8], limits: ReadLimits) -> Option<FromPeer> {
        let context = self.context.get_or_insert_with(|| Box::new(context(limits)));
        let result = context.read(&mut Slice(bytes));
        if let Some(frame) = self.frame.filter(|frame| frame.bytes_left == 0) {
            self.frame = None;
            self.fragmented &= !(frame.is_data && frame.is_final);
            if !self.fragmented {
                self.context = None;
            }
        }
        match result {
            Ok(message) => Some(from_message(message)),
            Err(WsError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => Some(FromPeer::Broken(close_code(&error))),
        }
    }
}

fn context(limits: ReadLimits) -> WebSocketContext {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER_BYTES)
        .max_message_size(Some(limits.message_bytes_max))
        .max_frame_size(Some(limits.message_bytes_max))
        .accept_unmasked_frames(false);
    WebSocketContext::new(Role::Server, Some(config))
}

fn from_message(message: Message) -> FromPeer {
    match message {
        Message::Text(text) => FromPeer::Text(text),
        Message::Binary(bytes) => FromPeer::Binary(bytes),
        Message::Ping(payload) => FromPeer::Ping(payload),
        Message::Pong(_) | Message::Frame(_) => FromPeer::Pong,
        Message::Close(frame) => FromPeer::Close(frame.map(|frame| frame.code.into())),
    }
}

/// RFC 6455, 7.4.1: 1009 too big, 1007 not UTF-8, 1002 for every other breach.
fn close_code(error: &WsError) -> CloseCode {
    match error {
        WsError::Capacity(CapacityError::MessageTooLong { .. }) => CloseCode::MessageTooBig,
        WsError::Utf8(_) => CloseCode::InvalidPayload,
        _ => CloseCode::ProtocolError,
    }
}

/// What tungstenite reads from: one slice, after which nothing is there yet. What it would write (pongs, the
/// answer to a close) is dropped here: the connection sends those itself, in the outbox's order.
struct Slice<'a>(&'a [u8]);

impl Read for Slice<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.0.read(buffer)
    }
}

impl Write for Slice<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
