//! Writing what clients receive: the field order is fixed and the raw parts are copied as they came.

use serde::Serialize;

use super::Incoming;
use crate::json::write_str;
use crate::timestamp::write_iso8601;
use crate::topic::Topic;

/// What a node adds to a message.
#[derive(Debug, Clone, Copy)]
pub struct Stamp<'a> {
    /// The message's id, used where the sender chose none.
    pub id: &'a str,
    /// Milliseconds since 1970, used where the sender gave no timestamp.
    pub timestamp_ms: u64,
    /// Who sent it; always used.
    pub source: &'a str,
}

/// A durable message's place in the log of the topic through which it is delivered.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The topic that has the log.
    pub topic: &'a Topic,
    /// The message's number in it.
    pub offset: u64,
}

/// A message that the gateway itself makes.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a, T: ?Sized> {
    /// Id, time and source of the message.
    pub stamp: Stamp<'a>,
    /// `group:name`.
    pub message_type: &'a str,
    /// Whose answer it is: see [`Incoming::answer_to`].
    pub correlation_id: Option<&'a str>,
    /// The payload.
    pub data: &'a T,
}

/// Appends the message as its receivers get it: `id`, `type`, `timestamp`, `source`, `data`, `target`,
/// `correlationId`, `metadata`, in this order. Absent `data` and `metadata` become `{}`.
pub fn write_event(out: &mut Vec<u8>, incoming: &Incoming<'_>, stamp: &Stamp<'_>) {
    write_event_at(out, incoming, stamp, None);
}

/// As [`write_event`]; with a place, `topic` and `offset` follow.
pub fn write_event_at(
    out: &mut Vec<u8>,
    incoming: &Incoming<'_>,
    stamp: &Stamp<'_>,
    place: Option<&Place<'_>>,
) {
    let [data, metadata] = [incoming.data, incoming.metadata].map(|raw| raw.map_or("{}", |raw| raw.get()));
    let target = incoming.target_raw.map_or("null", |raw| raw.get());
    out.reserve(data.len() + metadata.len() + target.len() + 256);

    write_id(out, incoming.id.as_deref().unwrap_or(stamp.id), &incoming.message_type);
    match &incoming.timestamp {
        Some(timestamp) => write_str(out, timestamp),
        None => write_instant(out, stamp.timestamp_ms),
    }
    write_source(out, stamp.source);
    out.extend_from_slice(data.as_bytes());
    out.extend_from_slice(br#","target":"#);
    out.extend_from_slice(target.as_bytes());
    write_correlation_id(out, incoming.correlation_id.as_deref());
    out.extend_from_slice(br#","metadata":"#);
    out.extend_from_slice(metadata.as_bytes());
    if let Some(place) = place {
        write_place(out, place);
    }
    out.push(b'}');
}

/// Appends a message that [`write_event`] or [`write_reply`] made, or that was stored as such, byte for byte;
/// `topic` and `offset` follow behind its other fields.
pub fn write_placed(out: &mut Vec<u8>, message: &[u8], place: &Place<'_>) {
    let fields = message.strip_suffix(b"}").unwrap_or(message);
    out.reserve(message.len() + place.topic.as_str().len() + 48);
    out.extend_from_slice(fields);
    write_place(out, place);
    out.push(b'}');
}

/// Appends a message that the gateway itself makes, in the same field order, with `target` `null` and
/// `metadata` `{}`.
///
/// # Panics
/// When `data` is of a type that JSON can't express, such as a map whose keys are not strings.
pub fn write_reply<T: Serialize + ?Sized>(out: &mut Vec<u8>, reply: &Reply<'_, T>) {
    let Reply { stamp, message_type, correlation_id, data } = *reply;
    let data = |out: &mut Vec<u8>| {
        serde_json::to_writer(out, data).expect("payloads are structs that JSON can express");
    };
    write_reply_with(out, &Reply { stamp, message_type, correlation_id, data: &data });
}

/// As [`write_reply`], with a payload that appends its JSON itself.
pub fn write_reply_with<F: Fn(&mut Vec<u8>)>(out: &mut Vec<u8>, reply: &Reply<'_, F>) {
    write_id(out, reply.stamp.id, reply.message_type);
    write_instant(out, reply.stamp.timestamp_ms);
    write_source(out, reply.stamp.source);
    (reply.data)(out);
    out.extend_from_slice(br#","target":null"#);
    write_correlation_id(out, reply.correlation_id);
    out.extend_from_slice(br#","metadata":{}}"#);
}

/// From the opening brace to where the timestamp follows.
fn write_id(out: &mut Vec<u8>, id: &str, message_type: &str) {
    out.extend_from_slice(br#"{"id":"#);
    write_str(out, id);
    out.extend_from_slice(br#","type":"#);
    write_str(out, message_type);
    out.extend_from_slice(br#","timestamp":"#);
}

fn write_instant(out: &mut Vec<u8>, ms: u64) {
    out.push(b'"');
    write_iso8601(out, ms);
    out.push(b'"');
}

/// From after the timestamp to where the data follows.
fn write_source(out: &mut Vec<u8>, source: &str) {
    out.extend_from_slice(br#","source":"#);
    write_str(out, source);
    out.extend_from_slice(br#","data":"#);
}

fn write_correlation_id(out: &mut Vec<u8>, correlation_id: Option<&str>) {
    out.extend_from_slice(br#","correlationId":"#);
    match correlation_id {
        Some(correlation_id) => write_str(out, correlation_id),
        None => out.extend_from_slice(b"null"),
    }
}

fn write_place(out: &mut Vec<u8>, place: &Place<'_>) {
    out.extend_from_slice(br#","topic":"#);
    write_str(out, place.topic.as_str());
    out.extend_from_slice(br#","offset":"#);
    serde_json::to_writer(out, &place.offset).expect("a Vec takes every byte and a u64 is a JSON number");
}
