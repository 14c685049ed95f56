//! The limits that both ends of a connection have to know. These are the defaults; those that a node
//! lets its operator change are told in `system:welcome`.

use std::time::Duration;

/// Most bytes of one message, in either direction (1 MiB). A longer one closes the connection with 1009.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Most characters of a message type.
pub const MESSAGE_TYPE_CHARS_MAX: usize = 64;

/// Most characters of a message's `id` and of its `correlationId`.
pub const MESSAGE_ID_CHARS_MAX: usize = 128;

/// Most topics that one message may name as its target, repeated ones included.
pub const TARGETS_MAX: usize = 64;

/// Most topics that one connection may have joined by `system:subscribe`; its own topics don't count.
/// A subscribe that would exceed it is refused whole, with `too_large`.
pub const SUBSCRIPTIONS_MAX: usize = 1_000;

/// How often a node pings an idle connection.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(25);

/// A connection that sent no frame for so long, not even a pong, is closed with 4408.
pub const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(60);

/// This many malformed messages within [`MALFORMED_WINDOW`] close the connection with 4400.
pub const MALFORMED_MAX: usize = 100;

/// The time in which [`MALFORMED_MAX`] malformed messages are counted.
pub const MALFORMED_WINDOW: Duration = Duration::from_secs(10);

/// Most bytes that wait on a node for one slow reader (1 MiB). An empty outbox takes one message, however large.
pub const OUTBOX_BYTES_MAX: usize = 1024 * 1024;

/// Most messages that wait on a node for one slow reader.
pub const OUTBOX_MESSAGES_MAX: usize = 8_192;

/// Most connections of one session. One more closes the oldest with 4409.
pub const SESSION_CONNECTIONS_MAX: usize = 16;

/// How long a session goes on belonging to its subject after its last connection closed.
pub const SESSION_OWNER_KEPT: Duration = Duration::from_secs(10 * 60);
