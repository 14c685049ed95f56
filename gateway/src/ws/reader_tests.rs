//! The reader's promises: however the bytes are cut, the same messages come out, and nothing is kept.

use proptest::prelude::*;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;

use super::*;

const LIMITS: ReadLimits = ReadLimits { message_bytes_max: 70_000, idle_frames_max: 100 };
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn masked(mut frame: Frame) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.header_mut().mask = Some(MASK);
    frame.format(&mut bytes).unwrap();
    bytes
}

fn data(opcode: Data, payload: &[u8], is_final: bool) -> Vec<u8> {
    masked(Frame::message(payload.to_vec(), OpCode::Data(opcode), is_final))
}

fn read_in_pieces(bytes: &[u8], piece_bytes: usize) -> (Vec<FromPeer>, FrameReader) {
    let mut reader = FrameReader::new();
    let mut outcomes = Vec::new();
    for mut piece in bytes.chunks(piece_bytes) {
        while let Some(outcome) = reader.next(&mut piece, LIMITS) {
            let broken = matches!(outcome, FromPeer::Broken(_));
            outcomes.push(outcome);
            if broken {
                return (outcomes, reader);
            }
        }
    }
    (outcomes, reader)
}

#[test]
fn messages_are_the_same_however_the_bytes_are_cut() {
    let long = "ä".repeat(33_000);
    let bytes = [
        data(Data::Text, b"one", true),
        data(Data::Text, b"tw", false),
        masked(Frame::ping(b"hi".to_vec())),
        data(Data::Continue, b"o", true),
        data(Data::Text, b"", true),
        data(Data::Text, long.as_bytes(), true),
        data(Data::Binary, b"\x00", true),
        masked(Frame::pong(b"".to_vec())),
        masked(Frame::close(None)),
    ]
    .concat();
    for piece_bytes in [1, 2, 3, 5, 7, 125, 4_096, 16_384, bytes.len()] {
        let (outcomes, reader) = read_in_pieces(&bytes, piece_bytes);
        let expected = [
            FromPeer::Text("one".into()),
            FromPeer::Ping(Bytes::from_static(b"hi")),
            FromPeer::Text("two".into()),
            FromPeer::Text("".into()),
            FromPeer::Text(long.as_str().into()),
            FromPeer::Binary(Bytes::from_static(b"\x00")),
            FromPeer::Pong,
            FromPeer::Close(None),
        ];
        assert_eq!(outcomes, expected, "pieces of {piece_bytes}");
        assert!(reader.is_idle());
    }
}

#[test]
fn between_messages_nothing_is_held() {
    let message = data(Data::Text, b"hello", true);
    let mut reader = FrameReader::new();
    let (head, tail) = message.split_at(7);
    assert_eq!(reader.next(&mut &head[..], LIMITS), None);
    assert!(!reader.is_idle());
    assert_eq!(reader.next(&mut &tail[..], LIMITS), Some(FromPeer::Text("hello".into())));
    assert!(reader.is_idle());
    assert_eq!(reader.next(&mut &data(Data::Text, b"a", false)[..], LIMITS), None);
    assert!(!reader.is_idle(), "an open fragmented message is held");
}

#[test]
fn breaches_are_told_with_their_close_code() {
    let mut reserved_bits = data(Data::Text, b"x", true);
    reserved_bits[0] |= 0x40;
    let mut unmasked = Vec::new();
    Frame::message(b"x".to_vec(), OpCode::Data(Data::Text), true).format(&mut unmasked).unwrap();
    let mut unknown_opcode = data(Data::Text, b"x", true);
    unknown_opcode[0] = 0x83;
    for (what, bytes, code) in [
        ("reserved bits", reserved_bits, CloseCode::ProtocolError),
        ("unmasked", unmasked, CloseCode::ProtocolError),
        ("unknown opcode", unknown_opcode, CloseCode::ProtocolError),
        ("stray continuation", data(Data::Continue, b"x", true), CloseCode::ProtocolError),
        ("bad UTF-8", data(Data::Text, b"\xff\xfe", true), CloseCode::InvalidPayload),
        ("too big", data(Data::Text, &vec![b'x'; 70_001], true), CloseCode::MessageTooBig),
    ] {
        let (outcomes, _) = read_in_pieces(&bytes, bytes.len());
        assert_eq!(outcomes.first(), Some(&FromPeer::Broken(code)), "{what}");
    }
}

#[test]
fn a_flood_of_empty_continuations_is_told_from_a_message() {
    let flood = [data(Data::Text, b"", false), data(Data::Continue, b"", false).repeat(200)].concat();
    let (outcomes, _) = read_in_pieces(&flood, 4_096);
    assert_eq!(outcomes.first(), Some(&FromPeer::Broken(CloseCode::RateLimited)));
    let (outcomes, _) = read_in_pieces(&masked(Frame::ping(Vec::new())).repeat(101), 4_096);
    assert_eq!(outcomes.last(), Some(&FromPeer::Broken(CloseCode::RateLimited)));
    let (outcomes, _) = read_in_pieces(&data(Data::Text, b"tiny", true).repeat(500), 4_096);
    assert_eq!(outcomes.len(), 500, "small messages are messages");
}

proptest! {
    /// No bytes panic the reader, and it always gets to the end of them or says that they are broken.
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), piece in 1_usize..50) {
        let mut reader = FrameReader::new();
        'all: for mut input in bytes.chunks(piece) {
            while let Some(outcome) = reader.next(&mut input, LIMITS) {
                if matches!(outcome, FromPeer::Broken(_)) {
                    break 'all;
                }
            }
            prop_assert!(input.is_empty());
        }
    }

    /// Any sequence of well-formed frames gives the messages that tungstenite gives when it reads it whole.
    #[test]
    fn agrees_with_tungstenite_alone(
        messages in proptest::collection::vec((proptest::collection::vec("[a-zé]{0,60}", 1..4), any::<bool>()), 0..12),
        piece in 1_usize..300,
    ) {
        let mut bytes = Vec::new();
        for (fragments, ping_between) in &messages {
            for (place, fragment) in fragments.iter().enumerate() {
                let opcode = if place == 0 { Data::Text } else { Data::Continue };
                bytes.extend(data(opcode, fragment.as_bytes(), place + 1 == fragments.len()));
                if *ping_between {
                    bytes.extend(masked(Frame::ping(b"p".to_vec())));
                }
            }
        }
        let mut whole = super::context(LIMITS);
        let mut slice = Slice(&bytes);
        let mut expected = Vec::new();
        while let Ok(message) = whole.read(&mut slice) {
            expected.push(from_message(message));
        }
        let (outcomes, reader) = read_in_pieces(&bytes, piece);
        prop_assert_eq!(outcomes, expected);
        prop_assert!(reader.is_idle());
    }
}

#[test]
fn close_frames_carry_their_code() {
    let frame = CloseFrame { code: 1001.into(), reason: "bye".into() };
    let bytes = masked(Frame::close(Some(frame)));
    assert_eq!(read_in_pieces(&bytes, 3).0, [FromPeer::Close(Some(1001))]);
}
