//! The frames of a node, where they lie.

use std::io::Cursor;

use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};

/// No message of a run is near to that.
const FRAME_BYTES_MAX: usize = 64 * 1024;

/// What a frame is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    Text(&'a [u8]),
    Ping(&'a [u8]),
    Close(Option<CloseFrame>),
    /// A pong, or bytes, which no node sends.
    Other,
}

/// The frame that `bytes` begin with, and its length; `None` if it is not all there.
///
/// # Errors
/// When it is not what a node sends: it is masked, a fragment, or too long.
pub(super) fn first(bytes: &[u8]) -> Result<Option<(Part<'_>, usize)>, Error> {
    // Nearly all of them are like this.
    if let [0x81, 126, high, low, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        return Ok(rest.get(..length).map(|text| (Part::Text(text), 4 + length)));
    }
    let mut cursor = Cursor::new(bytes);
    let Some((header, length)) = FrameHeader::parse(&mut cursor)? else { return Ok(None) };
    if header.mask.is_some() {
        return Err(ProtocolError::MaskedFrameFromServer.into());
    }
    if header.rsv1 || header.rsv2 || header.rsv3 {
        return Err(ProtocolError::NonZeroReservedBits.into());
    }
    let size = usize::try_from(length).unwrap_or(usize::MAX);
    if size > FRAME_BYTES_MAX {
        return Err(CapacityError::MessageTooLong { size, max_size: FRAME_BYTES_MAX }.into());
    }
    let start = cursor.position() as usize;
    let end = start + size;
    let Some(payload) = bytes.get(start..end) else { return Ok(None) };
    let part = match header.opcode {
        OpCode::Data(Data::Text) if header.is_final => Part::Text(payload),
        OpCode::Data(Data::Binary) if header.is_final => Part::Other,
        OpCode::Control(Control::Ping) => Part::Ping(payload),
        OpCode::Control(Control::Pong) => Part::Other,
        OpCode::Control(Control::Close) => Part::Close(close(payload)?),
        OpCode::Data(_) | OpCode::Control(_) => {
            return Err(ProtocolError::UnexpectedContinueFrame.into());
        }
    };
    Ok(Some((part, end)))
}

fn close(payload: &[u8]) -> Result<Option<CloseFrame>, Error> {
    match payload {
        [] => Ok(None),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]).into();
            Ok(Some(CloseFrame { code, reason: reason.to_vec().try_into()? }))
        }
        [_] => Err(ProtocolError::InvalidCloseSequence.into()),
    }
}

/// Writes a frame as a client does.
pub(super) fn mask(mut frame: Frame, to: &mut Vec<u8>) {
    frame.header_mut().mask = Some(fastrand::u32(..).to_be_bytes());
    frame.format(to).expect("a vector takes every byte");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(payload: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        Frame::message(payload.to_owned(), OpCode::Data(Data::Text), true).format(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_text_is_found_when_all_of_it_has_come() {
        for length in [0, 1, 125, 126, 350, 65_535, FRAME_BYTES_MAX] {
            let payload = "x".repeat(length);
            let frame = text(&payload);
            for cut in [0, 1, 3, frame.len() / 2, frame.len() - 1] {
                assert_eq!(first(&frame[..cut.min(frame.len() - 1)]).unwrap(), None, "{cut} of {length}");
            }
            let two = [frame.as_slice(), &frame].concat();
            assert_eq!(first(&two).unwrap(), Some((Part::Text(payload.as_bytes()), frame.len())));
        }
    }

    #[test]
    fn other_frames_are_told_apart() {
        for (bytes, expected) in [
            (&b"\x89\x02ab"[..], Part::Ping(b"ab")),
            (b"\x8a\x02ab", Part::Other),
            (b"\x82\x02ab", Part::Other),
            (b"\x88\x00", Part::Close(None)),
            (b"\x88\x04\x03\xe9by", Part::Close(Some(CloseFrame { code: 1001.into(), reason: "by".into() }))),
        ] {
            assert_eq!(first(bytes).unwrap(), Some((expected, bytes.len())), "{bytes:?}");
        }
    }

    #[test]
    fn what_no_node_sends_is_an_error() {
        for bytes in [
            &b"\x81\x82abcdab"[..],
            b"\xc1\x01a",
            b"\x01\x01a",
            b"\x80\x01a",
            b"\x83\x01a",
            b"\x88\x01a",
            b"\x88\x03\x03\xe9\xff",
            b"\x81\x7f\0\0\0\0\0\x01\0\x01",
            b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
        ] {
            assert!(first(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_client_masks_what_it_says() {
        let mut bytes = Vec::new();
        mask(Frame::pong(b"ab".to_vec()), &mut bytes);
        assert_eq!(bytes[..2], *b"\x8a\x82");
        assert_eq!([bytes[6] ^ bytes[2], bytes[7] ^ bytes[3]], *b"ab");
    }
}
