//! The message that every scenario sends: who, which one, when it was due, and padding.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use signalbox_client::protocol::Target;
use signalbox_client::protocol::envelope::Outgoing;

/// An event that the catalogue does not know: ephemeral, never conflated, allowed from anyone.
pub(crate) const TICK: &str = "load:tick";

/// The padding is cut from this.
const PADDING: &str = concat!(
    "signalbox signalbox signalbox signalbox signalbox signalbox signalbox signalbox signalbox signalbox ",
    "signalbox signalbox signalbox signalbox signalbox signalbox signalbox signalbox signalbox signalbox ",
    "signalbox signalbox signalbox signalbox signalbox signalbox signalbox signalbox signalbox signalbox ",
);

/// The `data` of a [`TICK`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tick {
    /// The sender's number within the run.
    pub(crate) from: u32,
    /// Counts the sender's messages from 0.
    pub(crate) number: u64,
    /// When it was due, in nanoseconds since the run began.
    pub(crate) due_ns: u64,
}

#[derive(Serialize)]
struct Padded<'a> {
    #[serde(flatten)]
    tick: Tick,
    padding: &'a str,
}

/// What a receiver reads of a message. A view: the whole is `protocol`'s `Received`, whose copies would
/// cost the tester more than the node's own work.
#[derive(Deserialize)]
pub(crate) struct Delivery<'a> {
    #[serde(rename = "type")]
    pub(crate) message_type: &'a str,
    #[serde(borrow)]
    pub(crate) data: &'a RawValue,
}

impl Tick {
    pub(crate) fn due(&self) -> Duration {
        Duration::from_nanos(self.due_ns)
    }

    /// Its `data`, of as near to `bytes` bytes as it gets: 60 to 360.
    pub(crate) fn data(&self, bytes: usize) -> Box<RawValue> {
        let bare = Padded { tick: *self, padding: "" };
        let json = |padded: &Padded<'_>| serde_json::to_string(padded).expect("numbers and text are JSON");
        let padding = bytes.saturating_sub(json(&bare).len()).min(PADDING.len());
        let json = json(&Padded { padding: &PADDING[..padding], ..bare });
        RawValue::from_string(json).expect("it was written as JSON")
    }

    /// The message that carries it to `target`.
    pub(crate) fn message(&self, target: &Target, bytes: usize) -> String {
        let data = self.data(bytes);
        let mut message = Outgoing::new(TICK, &data);
        message.target = target.clone();
        serde_json::to_string(&message).expect("an envelope is JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use signalbox_client::protocol::Topic;

    #[test]
    fn a_tick_has_the_size_asked_for_and_is_read_back() {
        for (number, due_ns) in [(0, 0), (123_456, 9_876_543_210)] {
            let tick = Tick { from: 7, number, due_ns };
            for bytes in [80, 200, 300] {
                let data = tick.data(bytes);
                assert_eq!(data.get().len(), bytes);
                assert_eq!(serde_json::from_str::<Tick>(data.get()).unwrap(), tick);
            }
        }
        assert!(Tick { from: 0, number: 0, due_ns: 0 }.data(1).get().len() < 60);
    }

    #[test]
    fn its_message_is_an_envelope() {
        let target = Target::from(Topic::try_new("vehicle:V1").unwrap());
        let text = Tick { from: 7, number: 3, due_ns: 4 }.message(&target, 200);
        assert!(
            text.starts_with(r#"{"type":"load:tick","data":{"from":7,"number":3,"due_ns":4,"padding":"sig"#)
        );
        assert!(text.ends_with(r#""},"target":"vehicle:V1"}"#), "{text}");
        let delivery: Delivery<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!((delivery.message_type, delivery.data.get().len()), (TICK, 200));
    }
}
