//! Answers to one client: replies and errors, encoded and put into its outbox.

use bytes::Bytes;
use serde::Serialize;
use signalbox_protocol::control::Position;
use signalbox_protocol::envelope::{Reply, Stamp, write_reply};
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

/// The position of a topic that has no log. Its epoch is that of no log ever: who resumes from it is told
/// that something may be missing.
pub fn without_log() -> Position {
    Position { epoch: "0".to_owned(), offset: 0 }
}

/// Queues a reply; it may not be dropped, so a client that can't take it is closed.
pub fn push(connection: &Connection, frame: Bytes) {
    connection.outbox().push(frame, Keep::Always);
}

/// Answers with `system:error`, and counts it.
pub fn fail(connection: &Connection, metrics: &Metrics, fault: &Fault, correlation_id: Option<&str>) {
    metrics.count_error(fault.code);
    connection.traffic.errors.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    push(connection, reply("system:error", correlation_id, fault));
}
