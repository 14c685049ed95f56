//! Answers to one client: replies and errors, encoded and put into its outbox.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Serialize;
use signalbox_protocol::Topic;
use signalbox_protocol::control::{Discontinuity, Position, Resumed, TopicResumed};
use signalbox_protocol::envelope::{Reply, Stamp, write_reply, write_reply_with};
use signalbox_protocol::error::Fault;

use super::frame::TextFrame;
use super::outbox::Keep;
use crate::announce::GATEWAY;
use crate::hub::Connection;
use crate::metrics::Metrics;
use crate::stamps::{MessageId, now_ms};

/// A reply of the gateway as a frame. `correlation_id` is that of the request, or the request's id.
pub fn reply(message_type: &str, correlation_id: Option<&str>, data: &impl Serialize) -> Bytes {
    let id = MessageId::fresh();
    let stamp = Stamp { id: id.as_str(), timestamp_ms: now_ms(), source: GATEWAY };
    let mut frame = TextFrame::with_capacity(320);
    write_reply(frame.body(), &Reply { stamp, message_type, correlation_id, data });
    frame.finish()
}

/// As [`reply`], with a payload that appends its JSON itself.
pub fn reply_with(message_type: &str, correlation_id: Option<&str>, data: &impl Fn(&mut Vec<u8>)) -> Bytes {
    let id = MessageId::fresh();
    let stamp = Stamp { id: id.as_str(), timestamp_ms: now_ms(), source: GATEWAY };
    let mut frame = TextFrame::with_capacity(320);
    write_reply_with(frame.body(), &Reply { stamp, message_type, correlation_id, data });
    frame.finish()
}

/// The position of a topic that has no log. Its epoch is that of no log ever: who resumes from it is told
/// that something may be missing.
pub fn without_log() -> Position {
    Position { epoch: "0".to_owned(), offset: 0 }
}

/// `system:resumed` that nobody asked for: messages of the topic may be missing, and it goes on from `head`.
pub fn broken(topic: &Topic, reason: Discontinuity, head: &Position) -> Bytes {
    let told = lost(reason, head);
    reply("system:resumed", None, &Resumed { topics: BTreeMap::from([(topic.clone(), told)]) })
}

/// How a topic goes on of which messages may be missing.
pub fn lost(reason: Discontinuity, head: &Position) -> TopicResumed {
    let Position { epoch, offset } = head.clone();
    TopicResumed { recovered: false, reason: Some(reason), epoch, offset, replayed: 0 }
}

/// Queues a reply; it may not be dropped, so a client that can't take it is closed.
pub fn push(connection: &Connection, metrics: &Metrics, frame: Bytes) {
    metrics.count_push(connection.outbox().push(frame, Keep::Always));
}

/// Answers with `system:error`, and counts it.
pub fn fail(connection: &Connection, metrics: &Metrics, fault: &Fault, correlation_id: Option<&str>) {
    metrics.count_error(fault.code);
    connection.traffic.errors.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    push(connection, metrics, reply("system:error", correlation_id, fault));
}
