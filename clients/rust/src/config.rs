//! How a client connects, how long it waits, and how much it queues.

use std::time::Duration;

use crate::listeners::Listeners;
use crate::subscription::Subscription;
use crate::wire::WireConfig;

/// How a [`Client`](crate::Client) connects, how long it waits, and how much it queues.
#[derive(Debug)]
pub struct ClientConfig {
    pub(crate) wire: WireConfig,
    pub(crate) request_timeout: Duration,
    pub(crate) send_timeout: Duration,
    pub(crate) outbox_messages_max: usize,
    pub(crate) outbox_bytes_max: usize,
    pub(crate) pending_requests_max: usize,
    pub(crate) listeners: Listeners,
}

impl ClientConfig {
    /// The defaults, for the node or load balancer at `url`, e.g. `ws://127.0.0.1:8080/ws/route-reservoir`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            wire: WireConfig::new(url),
            request_timeout: Duration::from_secs(5),
            send_timeout: Duration::from_secs(5),
            outbox_messages_max: 1_024,
            outbox_bytes_max: 4 * 1024 * 1024,
            pending_requests_max: 1_024,
            listeners: Listeners::new(1_024, 4 * 1024 * 1024),
        }
    }

    /// Adds a field to the URL's query, e.g. `agent_type` = `vehicle`; the value is escaped.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.wire = self.wire.query(name, value);
        self
    }

    /// How long connecting may take, up to and including the welcome. Default: 10 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.wire.connect_timeout = timeout;
        self
    }

    /// How long `emit_acked`, `subscribe` and `unsubscribe` wait for their answer. Default: 5 s.
    #[must_use]
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// How long a message may wait for room in the outgoing queue. Default: 5 s.
    #[must_use]
    pub fn send_timeout(mut self, timeout: Duration) -> Self {
        self.send_timeout = timeout;
        self
    }

    /// The outgoing queue's bounds. Default: 1,024 messages, 4 MiB. An empty queue takes one message,
    /// however large.
    #[must_use]
    pub fn outgoing_queue(mut self, messages_max: usize, bytes_max: usize) -> Self {
        self.outbox_messages_max = messages_max.max(1);
        self.outbox_bytes_max = bytes_max.max(1);
        self
    }

    /// The bounds of each subscription's queue, from the next one on. Default: 1,024 messages, 4 MiB of
    /// data. An empty queue takes one message, however large.
    #[must_use]
    pub fn event_queue(mut self, messages_max: usize, bytes_max: usize) -> Self {
        self.listeners = self.listeners.with_bounds(messages_max.max(1), bytes_max.max(1));
        self
    }

    /// How many requests may wait for their answers at once. Default: 1,024.
    #[must_use]
    pub fn pending_requests_max(mut self, requests_max: usize) -> Self {
        self.pending_requests_max = requests_max;
        self
    }

    /// As [`Client::on`](crate::Client::on), from the first frame after the welcome: a subscription made
    /// only after connecting may come too late for a message that was waiting for this agent.
    pub fn on(&self, message_type: &str) -> Subscription {
        self.listeners.on(message_type)
    }

    /// As [`Client::on_any`](crate::Client::on_any), from the first frame after the welcome.
    pub fn on_any(&self) -> Subscription {
        self.listeners.on_any()
    }
}
