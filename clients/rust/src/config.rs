//! How a client connects and comes back, how long it waits, and how much it queues.

use std::future::Future;
use std::time::Duration;

use fastrand::Rng;

use crate::backoff::Backoff;
use crate::endpoints::Endpoints;
use crate::error::TokenError;
use crate::listeners::Listeners;
use crate::pace::Pace;
use crate::subscription::Subscription;
use crate::token::{Token, TokenProvider};
use crate::wire::WireConfig;

/// How a [`Client`](crate::Client) connects and comes back, how long it waits, and how much it queues.
#[derive(Debug)]
pub struct ClientConfig {
    pub(crate) wire: WireConfig,
    pub(crate) urls: Vec<String>,
    pub(crate) shuffles: bool,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) token: Token,
    pub(crate) reconnects: bool,
    pub(crate) reconnect_waits: (Duration, Duration),
    pub(crate) stable_after: Duration,
    pub(crate) jitter_seed: Option<u64>,
    pub(crate) request_timeout: Duration,
    pub(crate) send_timeout: Duration,
    pub(crate) delivery_timeout: Duration,
    pub(crate) closing_timeout: Duration,
    pub(crate) outbox_messages_max: usize,
    pub(crate) outbox_bytes_max: usize,
    pub(crate) when_full: WhenFull,
    pub(crate) when_offline: WhenOffline,
    pub(crate) in_flight_max: usize,
    pub(crate) pending_requests_max: usize,
    pub(crate) duplicates_max: usize,
    pub(crate) listeners: Listeners,
}

/// What happens to a message when the outgoing queue is full. Either way the newest is refused in the end, with
/// [`SendError::QueueFull`](crate::SendError::QueueFull), and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WhenFull {
    /// It waits for room, for the send timeout at most.
    Wait,
    /// It is refused at once.
    Refuse,
}

/// What happens to an ephemeral message that nobody waits for while there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WhenOffline {
    /// It waits in the outgoing queue and is sent in its turn.
    Queue,
    /// It is refused with [`SendError::Offline`](crate::SendError::Offline): for what is old news by then.
    Refuse,
}

impl ClientConfig {
    /// The defaults, for the node or load balancer at `url`, e.g. `ws://127.0.0.1:8080/ws/route-reservoir`.
    pub fn new(url: impl Into<String>) -> Self {
        let url = url.into();
        Self {
            wire: WireConfig::new(url.clone()),
            urls: vec![url],
            shuffles: true,
            query: Vec::new(),
            token: Token::default(),
            reconnects: true,
            reconnect_waits: (Duration::from_secs(1), Duration::from_secs(5)),
            stable_after: Duration::from_secs(10),
            jitter_seed: None,
            request_timeout: Duration::from_secs(5),
            send_timeout: Duration::from_secs(5),
            delivery_timeout: Duration::from_secs(60),
            closing_timeout: Duration::from_secs(5),
            outbox_messages_max: 1_024,
            outbox_bytes_max: 4 * 1024 * 1024,
            when_full: WhenFull::Wait,
            when_offline: WhenOffline::Queue,
            in_flight_max: 1,
            pending_requests_max: 1_024,
            duplicates_max: 2_048,
            listeners: Listeners::new(1_024, 4 * 1024 * 1024),
        }
    }

    /// Another address of the same cluster, for clusters without a load balancer. The addresses are shuffled once,
    /// then tried in turn: after every failed attempt and after every connection comes the next one.
    #[must_use]
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.urls.push(url.into());
        self
    }

    /// The addresses are tried in the order in which they were given.
    #[must_use]
    pub fn keep_order(mut self) -> Self {
        self.shuffles = false;
        self
    }

    /// Adds a field to the query of every address, e.g. `agent_type` = `vehicle`; the value is escaped.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The token to show. If a node refuses it, the client ends.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Token::fixed(token.into());
        self
    }

    /// Where to get a token: asked before the first connection, and whenever a node refuses the one of before
    /// (4401, or HTTP 401) or says that it ends soon (`system:token_expiring`): then the new one is shown on the open
    /// connection, which stays. It has the connect timeout to answer; if it fails, it is asked again after a back-off.
    #[must_use]
    pub fn token_provider<F, R>(mut self, provide: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, TokenError>> + Send + 'static,
    {
        self.token = Token::provided(TokenProvider::new(provide));
        self
    }

    /// How long to wait before an attempt to connect: a random time up to a limit that doubles from `first` to
    /// `longest`. Default: 1 s and 5 s.
    #[must_use]
    pub fn reconnect_waits(mut self, first: Duration, longest: Duration) -> Self {
        self.reconnect_waits = (first, longest);
        self
    }

    /// A connection that lasted so long makes the waits begin with the first again. Default: 10 s.
    #[must_use]
    pub fn stable_after(mut self, time: Duration) -> Self {
        self.stable_after = time;
        self
    }

    /// The end of the connection is the end of the client.
    #[must_use]
    pub fn without_reconnect(mut self) -> Self {
        self.reconnects = false;
        self
    }

    /// Makes every random wait, and the order of the addresses, repeatable.
    #[must_use]
    pub fn jitter_seed(mut self, seed: u64) -> Self {
        self.jitter_seed = Some(seed);
        self
    }

    /// How long one attempt to connect may take, up to and including the welcome. Default: 10 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.wire.connect_timeout = timeout;
        self
    }

    /// How long `emit_acked`, `subscribe` and `unsubscribe` wait for their answer, and the client itself for that
    /// to a resume. Default: 5 s.
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

    /// How long a durable message that nobody waits for is tried: one that was sent with
    /// [`Client::emit`](crate::Client::emit). Default: 60 s.
    #[must_use]
    pub fn delivery_timeout(mut self, timeout: Duration) -> Self {
        self.delivery_timeout = timeout;
        self
    }

    /// How long [`Client::close`](crate::Client::close) waits for what is queued to be sent, and for durable
    /// messages to be acknowledged. Default: 5 s.
    #[must_use]
    pub fn closing_timeout(mut self, timeout: Duration) -> Self {
        self.closing_timeout = timeout;
        self
    }

    /// The outgoing queue's bounds, connected or not. Durable messages count until they are acknowledged. Default:
    /// 1,024 messages, 4 MiB. An empty queue takes one message, however large.
    #[must_use]
    pub fn outgoing_queue(mut self, messages_max: usize, bytes_max: usize) -> Self {
        self.outbox_messages_max = messages_max.max(1);
        self.outbox_bytes_max = bytes_max.max(1);
        self
    }

    /// What happens when the outgoing queue is full. Default: [`WhenFull::Wait`].
    #[must_use]
    pub fn when_full(mut self, policy: WhenFull) -> Self {
        self.when_full = policy;
        self
    }

    /// What happens to ephemeral events while there is no connection. Default: [`WhenOffline::Queue`].
    #[must_use]
    pub fn when_offline(mut self, policy: WhenOffline) -> Self {
        self.when_offline = policy;
        self
    }

    /// How many durable messages may wait for their acknowledgement at once. Default: 1, which keeps them in order
    /// whatever happens. With more, one that the node can't take for a moment may be overtaken by those that were
    /// sent right behind it.
    #[must_use]
    pub fn durable_in_flight(mut self, messages_max: usize) -> Self {
        self.in_flight_max = messages_max.max(1);
        self
    }

    /// The bounds of each subscription's queue, from the next one on. Default: 1,024 messages, 4 MiB of data. An
    /// empty queue takes one message, however large. At the bound ephemeral messages are dropped, the oldest
    /// first, and [counted](crate::ClientStats::missed); for durable ones the client waits, and reads nothing more
    /// from the node.
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

    /// Of how many messages the client remembers that they came, so that one that comes through several topics is
    /// handed over once. Default: 2,048; 0 switches it off.
    #[must_use]
    pub fn duplicate_window(mut self, messages_max: usize) -> Self {
        self.duplicates_max = messages_max;
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

    pub(crate) fn rng(&self) -> Rng {
        self.jitter_seed.map_or_else(Rng::new, Rng::with_seed)
    }

    pub(crate) fn endpoints(&self, rng: &mut Rng) -> Endpoints {
        let urls = self.urls.clone();
        if self.shuffles { Endpoints::new(urls, rng) } else { Endpoints::in_order(urls) }
    }

    pub(crate) fn pace(&self, rng: Rng) -> Option<Pace> {
        let (first, longest) = self.reconnect_waits;
        self.reconnects.then(|| Pace::new(Backoff::new(first, longest), self.stable_after, rng))
    }
}
