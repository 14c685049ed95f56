//! The message that every scenario sends: who, which one, when it was due, and padding.

use std::sync::LazyLock;
use std::time::Duration;

use memchr::memmem::Finder;
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) struct Tick {
    /// The sender's number within the run.
    pub(crate) from: u32,
    /// Counts the sender's messages from 0.
    pub(crate) number: u64,
    /// When it was due, in nanoseconds since the run began.
    pub(crate) due_ns: u64,
}

/// What is sent of it.
#[derive(Serialize)]
struct Padded<'a> {
    from: u32,
    number: u64,
    due_ns: u64,
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

/// Room for what surrounds the `data`, most often.
const ENVELOPE_BYTES: usize = 100;

/// How a message says what it is.
static TYPE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""type":"load:tick""#));

/// How its `data` begins.
static DATA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(br#""data":{"from":"#));

impl Tick {
    /// The tick that a delivery carries; `None` if it is something else.
    ///
    /// The tester reads many more messages than a node does at the same time, so one that looks as
    /// it was written is not parsed as JSON.
    pub(crate) fn of(text: &[u8]) -> Option<Self> {
        Self::at_a_glance(text).or_else(|| {
            let delivery: Delivery<'_> = serde_json::from_slice(text).ok()?;
            let is_tick = delivery.message_type == TICK;
            is_tick.then(|| serde_json::from_str(delivery.data.get()).ok()).flatten()
        })
    }

    fn at_a_glance(text: &[u8]) -> Option<Self> {
        let rest = after(&TYPE, text)?;
        let (from, rest) = leading_number(after(&DATA, rest)?)?;
        let (number, rest) = leading_number(rest.strip_prefix(br#","number":"#)?)?;
        let (due_ns, rest) = leading_number(rest.strip_prefix(br#","due_ns":"#)?)?;
        let padding = rest.strip_prefix(br#","padding":""#)?;
        let (padding, rest) = padding.split_at(memchr::memchr(b'"', padding)?);
        let envelope = rest.strip_prefix(br#""}"#)?;
        let intact = PADDING.as_bytes().starts_with(padding) && envelope.ends_with(b"}");
        intact.then_some(Self { from: from.try_into().ok()?, number, due_ns })
    }

    pub(crate) fn due(&self) -> Duration {
        Duration::from_nanos(self.due_ns)
    }

    /// Its `data`, of as near to `bytes` bytes as it gets: 60 to 360.
    pub(crate) fn data(&self, bytes: usize) -> Box<RawValue> {
        let json = serde_json::to_string(&self.padded(bytes)).expect("numbers and text are JSON");
        RawValue::from_string(json).expect("it was written as JSON")
    }

    fn padded(&self, bytes: usize) -> Padded<'static> {
        let Self { from, number, due_ns } = *self;
        let digits = |number: u64| number.checked_ilog10().unwrap_or(0) as usize + 1;
        let bare = r#"{"from":,"number":,"due_ns":,"padding":""}"#.len();
        let unpadded = bare + digits(from.into()) + digits(number) + digits(due_ns);
        let padding = &PADDING[..bytes.saturating_sub(unpadded).min(PADDING.len())];
        Padded { from, number, due_ns, padding }
    }

    /// The message that carries it to `target`.
    pub(crate) fn message(&self, target: &Target, bytes: usize) -> String {
        let data = self.padded(bytes);
        let mut message = Outgoing::new(TICK, &data);
        message.target = target.clone();
        let mut text = Vec::with_capacity(bytes + ENVELOPE_BYTES);
        serde_json::to_writer(&mut text, &message).expect("an envelope is JSON");
        String::from_utf8(text).expect("JSON is UTF-8")
    }
}

/// What follows the first place where it is found.
fn after<'a>(finder: &Finder<'_>, text: &'a [u8]) -> Option<&'a [u8]> {
    finder.find(text).map(|place| &text[place + finder.needle().len()..])
}

/// The digits that a text begins with, and what follows them.
fn leading_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(digits);
    let add = |sum: u64, digit: &u8| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0'));
    (!digits.is_empty()).then(|| digits.iter().try_fold(0, add))?.map(|number| (number, rest))
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
    fn a_tick_is_read_of_whatever_carries_it() {
        let tick = Tick { from: 7, number: u64::MAX, due_ns: 4 };
        let (said, data) = (tick.message(&Target::Default, 200), tick.data(200));
        let stamped =
            format!(r#"{{"id":"1","type":"load:tick","source":"vehicle:V1","data":{data},"target":null}}"#);
        let turned = format!(r#"{{"data":{data},"type":"load:tick"}}"#);
        let spaced = said.replace(',', ", ");
        for (text, at_a_glance) in [(said, true), (stamped, true), (turned, false), (spaced, false)] {
            assert_eq!(Tick::at_a_glance(text.as_bytes()), at_a_glance.then_some(tick), "{text}");
            assert_eq!(Tick::of(text.as_bytes()), Some(tick), "{text}");
        }
    }

    #[test]
    fn what_is_damaged_is_no_tick() {
        let tick = Tick { from: 7, number: 3, due_ns: 4 };
        let said = tick.message(&Target::Default, 200);
        for wrong in [
            said.replace("load:tick", "load:tock"),
            said.replace(r#""number":3"#, r#""number":"#),
            said.replace(r#""number":3"#, r#""number":99999999999999999999"#),
            said.replace(r#""from":7"#, r#""from":99999999999"#),
            said.replace(r#"signa"}"#, "signa}"),
            said[..said.len() - 1].to_owned(),
            String::new(),
        ] {
            assert_eq!(Tick::of(wrong.as_bytes()), None, "{wrong}");
        }
        let padding = said.replace("signalbox s", "signalbox\\s");
        assert_eq!(Tick::at_a_glance(padding.as_bytes()), None, "{padding}");
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
