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

/// How long a lock lasts unless its acquirer says otherwise.
pub const LOCK_TTL: Duration = Duration::from_secs(5);

/// The shortest and the longest time that a lock may be asked for.
pub const LOCK_TTL_BOUNDS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(3_600));

/// The longest wait in a lock's line.
pub const LOCK_WAIT_MAX: Duration = Duration::from_secs(60);

/// Requests of one connection that may wait for long (a lock's line) beside its other traffic.
pub const WAITS_MAX: usize = 16;

/// How far around a vehicle a query looks unless it says otherwise, in kilometres.
pub const QUERY_RADIUS_KM: f64 = 0.2;

/// Furthest that a query may look, in kilometres.
pub const QUERY_RADIUS_KM_MAX: f64 = 100.0;

/// How many passengers a query answers unless it says otherwise.
pub const QUERY_RESULTS: u32 = 100;

/// How many it may ask for.
pub const QUERY_RESULTS_MAX: u32 = 1_000;

/// Most passengers of one list that is pushed.
pub const PUSH_PASSENGERS_MAX: usize = 10_000;

/// Most passengers of one `commuter:spawned_batch`.
pub const BATCH_PASSENGERS_MAX: usize = 100;

/// Most bytes of the passengers of one `commuter:spawned_batch`; a single one may be longer.
pub const BATCH_BYTES_MAX: usize = 64 * 1024;

/// Most seats of a vehicle.
pub const CAPACITY_MAX: u32 = 10_000;
