//! A client's message: what is read is written whole, and what is written is read by clients.

use signalbox_protocol::envelope::{Incoming, Received, Stamp, write_event};

const STAMP: Stamp<'static> = Stamp { id: "stamped", timestamp_ms: 1_767_254_400_007, source: "vehicle:V1" };

/// Text of a frame.
///
/// # Panics
/// When a message that is taken is not passed on as JSON with its data.
pub fn envelope(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(incoming) = Incoming::parse(text) else { return };
    let mut written = Vec::new();
    write_event(&mut written, &incoming, &STAMP);
    let written = String::from_utf8(written).expect("JSON is text");
    let received: Received = serde_json::from_str(&written).expect("what is passed on can be read");
    assert_eq!(received.message_type, *incoming.message_type);
    assert_eq!(received.source, STAMP.source, "nobody speaks as somebody else");
    let data = incoming.data.map_or("{}", |data| data.get());
    assert_eq!(received.data.get(), data, "data is passed on byte for byte");
}
