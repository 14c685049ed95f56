//! How a node parted with a hostile client.

use std::fmt;

/// The last bytes of what was read that are kept: a close frame is 127 at most.
const TAIL_BYTES: usize = 256;
/// Enough for the status line.
const HEAD_BYTES: usize = 16;

/// The last word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ending {
    /// An HTTP status instead of a WebSocket.
    Status(u16),
    /// A close frame.
    Close(u16),
    /// The connection ended without a word.
    Cut,
    /// It did not end while it was watched.
    Open,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Close(code) => write!(f, "closed {code}"),
            Self::Cut => f.write_str("cut"),
            Self::Open => f.write_str("left open"),
        }
    }
}

/// What was read, as far as it tells how it ended.
#[derive(Debug, Default)]
pub(super) struct Heard {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Heard {
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let missing = HEAD_BYTES.saturating_sub(self.head.len());
        self.head.extend(bytes.iter().take(missing));
        self.tail.extend(bytes);
        let surplus = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..surplus);
    }

    /// After the end of the stream.
    pub(super) fn ending(&self) -> Ending {
        match (self.status(), self.close_code()) {
            (Some(status), _) if status != 101 => Ending::Status(status),
            (_, Some(code)) => Ending::Close(code),
            _ => Ending::Cut,
        }
    }

    fn status(&self) -> Option<u16> {
        let rest = self.head.strip_prefix(b"HTTP/1.1 ")?;
        std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok()
    }

    /// The code of a close frame that reaches to the very end.
    fn close_code(&self) -> Option<u16> {
        let starts = (0..self.tail.len()).rev().map(|start| &self.tail[start..]);
        let mut frames = starts.filter(|frame| frame[0] == 0x88 && frame.len() >= 4);
        let frame = frames.find(|frame| frame.len() == 2 + usize::from(frame[1]))?;
        Some(u16::from_be_bytes([frame[2], frame[3]]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(parts: &[&[u8]]) -> Ending {
        let mut heard = Heard::default();
        parts.iter().for_each(|part| heard.add(part));
        heard.ending()
    }

    #[test]
    fn the_last_word_is_found_behind_whatever_came_before() {
        let noise = [0x88; 1_000];
        assert_eq!(heard(&[b"HTTP/1.1 4", b"31 Too large\r\n\r\n"]), Ending::Status(431));
        assert_eq!(heard(&[b"HTTP/1.1 101 x\r\n\r\n", &noise, b"\x88\x04\x03\xeaab"]), Ending::Close(1002));
        assert_eq!(heard(&[b"HTTP/1.1 101 x\r\n\r\n", b"\x88\x02\x03", b"\xef"]), Ending::Close(1007));
        assert_eq!(heard(&[b"HTTP/1.1 101 x\r\n\r\n"]), Ending::Cut);
        assert_eq!(heard(&[]), Ending::Cut);
    }
}
