//! `metadata.traceparent` of a message: where it is, and what the node puts in its place, so that whoever receives the message
//! goes on below the node's span.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use signalbox_protocol::envelope::Incoming;

use super::{Kind, Span, TraceParent, Tracer};

/// What has to stand in a message that is traced.
const FIELD: &str = "\"traceparent\"";

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    traceparent: &'a RawValue,
}

/// The head of a message that was encoded by a node.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    message_type: Cow<'a, str>,
    #[serde(borrow)]
    metadata: &'a RawValue,
}

/// A message's span, and its metadata with that in it.
#[derive(Debug)]
pub struct Told {
    metadata: Box<RawValue>,
    pub(super) span: Span,
}

impl Told {
    /// The same message with the span in its metadata.
    pub fn message<'a>(&'a self, incoming: &Incoming<'a>) -> Incoming<'a> {
        Incoming { metadata: Some(&self.metadata), ..incoming.clone() }
    }

    /// What log lines stand in while the message is acted on.
    pub fn lines(&self) -> tracing::Span {
        self.span.lines()
    }

    /// The span.
    pub fn into_span(self) -> Span {
        self.span
    }
}

impl Tracer {
    /// Begins the span of a message of a client, if its metadata names a trace that is recorded.
    pub fn begin_message(&self, incoming: &Incoming<'_>) -> Option<Told> {
        if !self.is_on() {
            return None;
        }
        let metadata = incoming.metadata?;
        let (parent, raw) = parent_in(metadata)?;
        let mut span = self.begin("message", Kind::Producer, Some(parent))?;
        span.tell("signalbox.type", &incoming.message_type);
        let at = raw.get().as_ptr() as usize - metadata.get().as_ptr() as usize;
        let (before, after) = (&metadata.get()[..at], &metadata.get()[at + raw.get().len()..]);
        let metadata = format!("{before}\"{}\"{after}", span.context());
        let metadata = RawValue::from_string(metadata).expect("JSON with a text in place of another is JSON");
        Some(Told { metadata, span })
    }

    /// Begins the span of bringing an encoded message to local sockets, if it is traced. What stands before its
    /// JSON is passed over.
    pub fn begin_delivery(&self, encoded: &[u8]) -> Option<Span> {
        if !self.is_on() {
            return None;
        }
        let begin = encoded.iter().position(|byte| *byte == b'{')?;
        let text = std::str::from_utf8(&encoded[begin..]).ok()?;
        text.contains(FIELD).then_some(())?;
        let head: Head<'_> = serde_json::from_str(text).ok()?;
        let (parent, _) = parent_in(head.metadata)?;
        let mut span = self.begin("delivery", Kind::Consumer, Some(parent))?;
        span.tell("signalbox.type", &head.message_type);
        Some(span)
    }
}

/// The parent, and the text that it stands in.
fn parent_in(metadata: &RawValue) -> Option<(TraceParent, &RawValue)> {
    metadata.get().contains(FIELD).then_some(())?;
    let Metadata { traceparent } = serde_json::from_str(metadata.get()).ok()?;
    let text: Cow<'_, str> = serde_json::from_str(traceparent.get()).ok()?;
    Some((TraceParent::parse(&text)?, traceparent))
}
