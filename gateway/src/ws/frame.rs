//! WebSocket frames as bytes, encoded once and shared by every socket they go to.

use bytes::Bytes;
use signalbox_protocol::Topic;
use signalbox_protocol::close::CloseCode;
use signalbox_protocol::envelope::{Place, write_placed};
use tokio_tungstenite::tungstenite::protocol::frame::FrameHeader;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// Largest header of a frame that a server sends (unmasked): two bytes and a 64-bit length.
const HEADER_BYTES_MAX: usize = 10;

/// Bytes of a close frame's reason: of the 125 of a control frame, two are the code's.
const CLOSE_REASON_BYTES_MAX: usize = 123;

/// A text frame in the making: the message is appended to [`TextFrame::body`], the header is put in
/// front of it when its length is known, and nothing is copied.
#[derive(Debug)]
pub struct TextFrame {
    buffer: Vec<u8>,
}

impl TextFrame {
    /// An empty frame with room for about `bytes` of text.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut buffer = Vec::with_capacity(HEADER_BYTES_MAX + bytes);
        buffer.resize(HEADER_BYTES_MAX, 0);
        Self { buffer }
    }

    /// Where the text goes: append to it, and leave what is there alone.
    pub fn body(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// The text alone.
    pub fn into_text(self) -> Bytes {
        Bytes::from(self.buffer).slice(HEADER_BYTES_MAX..)
    }

    /// The frame, ready to be written to a socket.
    pub fn finish(mut self) -> Bytes {
        let body_bytes = (self.buffer.len() - HEADER_BYTES_MAX) as u64;
        let header = FrameHeader { opcode: OpCode::Data(Data::Text), ..FrameHeader::default() };
        let start = HEADER_BYTES_MAX - header.len(body_bytes);
        let mut place = &mut self.buffer[start..HEADER_BYTES_MAX];
        header.format(body_bytes, &mut place).expect("a slice of the header's own length takes it");
        Bytes::from(self.buffer).slice(start..)
    }
}

/// A stored message as its receivers get it.
pub fn placed(topic: &Topic, offset: u64, body: &[u8]) -> Bytes {
    let mut frame = TextFrame::with_capacity(body.len() + topic.as_str().len() + 48);
    write_placed(frame.body(), body, &Place { topic, offset });
    frame.finish()
}

/// An empty ping.
pub fn ping() -> Bytes {
    Bytes::from_static(&[0x89, 0x00])
}

/// The answer to a ping; `payload` is at most 125 bytes, as tungstenite has checked.
pub fn pong(payload: &[u8]) -> Bytes {
    control(Control::Pong, &[payload])
}

/// A close frame with the code and its short reason.
pub fn close(code: CloseCode) -> Bytes {
    close_saying(code, code.reason())
}

/// A close frame with the code and a reason of its own; what does not fit of that is cut off.
pub fn close_saying(code: CloseCode, reason: &str) -> Bytes {
    let fitting = reason.floor_char_boundary(CLOSE_REASON_BYTES_MAX);
    control(Control::Close, &[&code.as_u16().to_be_bytes(), &reason.as_bytes()[..fitting]])
}

/// The answer to a peer's close frame, which repeats its code.
pub fn close_echo(code: Option<u16>) -> Bytes {
    match code {
        Some(code) => control(Control::Close, &[&code.to_be_bytes()]),
        None => control(Control::Close, &[]),
    }
}

fn control(opcode: Control, parts: &[&[u8]]) -> Bytes {
    let bytes: usize = parts.iter().map(|part| part.len()).sum();
    debug_assert!(bytes <= 125, "a control frame holds at most 125 bytes");
    let header = FrameHeader { opcode: OpCode::Control(opcode), ..FrameHeader::default() };
    let mut frame = Vec::with_capacity(2 + bytes);
    header.format(bytes as u64, &mut frame).expect("a Vec takes what it is given");
    parts.iter().for_each(|part| frame.extend_from_slice(part));
    Bytes::from(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(body_bytes: usize) -> Bytes {
        let mut frame = TextFrame::with_capacity(16);
        frame.body().extend(std::iter::repeat_n(b'x', body_bytes));
        frame.finish()
    }

    #[test]
    fn a_text_frame_has_the_shortest_header_that_fits() {
        for (body_bytes, header) in [
            (0, vec![0x81, 0]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (65_535, vec![0x81, 126, 255, 255]),
            (65_536, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let frame = text(body_bytes);
            assert_eq!(&frame[..header.len()], header, "{body_bytes}");
            assert_eq!(frame.len(), header.len() + body_bytes);
        }
    }

    #[test]
    fn every_close_reason_fits_a_control_frame() {
        for code in CloseCode::ALL {
            let frame = close(code);
            assert_eq!(usize::from(frame[1]), frame.len() - 2);
            assert_eq!(frame[2..4], code.as_u16().to_be_bytes());
        }
        assert_eq!(close_echo(None)[..], [0x88, 0]);
        assert_eq!(pong(b"hi")[..], [0x8a, 2, b'h', b'i']);
    }
}
