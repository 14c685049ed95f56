//! What the node's parts need of the configuration.

use std::time::Duration;

use signalbox_identity::Verifier;
use signalbox_protocol::Topic;
use signalbox_reservoir::{StrapiSettings, repository, reservoir};

use crate::admission::{AdmissionBounds, HttpBounds};
use crate::limits::LimitBounds;
use crate::origins::Origins;
use crate::peer::Proxies;
use crate::router::RouteBounds;
use crate::stop::{MaxAge, Share};
use crate::tls::Tls;
use crate::trace::Collector;
use crate::trust::{KeyFiles, Publisher, RevocationSettings};
use crate::ws::manner::Manner;
use crate::ws::outbox::Bounds;
use crate::ws::reader::ReadLimits;

/// See the module; checked, where the configuration says what has to be checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where other nodes and operators find it, `host:port`.
    pub address: String,
    /// A silent client is pinged after this long.
    pub heartbeat_interval: Duration,
    /// A client that was silent this long is closed with 4408.
    pub heartbeat_timeout: Duration,
    /// What is made of what clients send.
    pub manner: Manner,
    /// Bounds of what a client may send.
    pub read: ReadLimits,
    /// Bounds of what waits for a client.
    pub outbox: Bounds,
    /// Bytes that may wait for all clients together; 0 is no bound.
    pub outboxes_bytes_max: usize,
    /// How long deliveries gather after a long turn of writing, at most.
    pub gather: Duration,
    /// Topics that a connection may join with `system:subscribe`.
    pub subscriptions_max: usize,
    /// When a connection is old.
    pub max_age: MaxAge,
    /// How many connections it may have, among nodes that have fewer.
    pub share: Share,
    /// This many malformed messages within the window close a connection.
    pub malformed_max: usize,
    /// That window.
    pub malformed_window: Duration,
    /// How long a closing connection waits for its peer.
    pub close_timeout: Duration,
    /// Whether types outside the catalogue pass as ephemeral events.
    pub unknown_types: bool,
    /// How long a directory row lives without a refresh.
    pub row_ttl: Duration,
    /// How often the directory is compared with the sockets.
    pub audit_interval: Duration,
    /// Bounds of the route cache.
    pub routes: RouteBounds,
    /// Whether identities may come from the query.
    pub anonymous: bool,
    /// The keys that are configured, and what a token has to say beside being signed.
    pub verifier: Verifier,
    /// Which of them are in files, if any.
    pub key_files: Option<KeyFiles>,
    /// Where more keys are published, if anywhere.
    pub publisher: Option<Publisher>,
    /// Whether a token may stand in the address.
    pub token_in_url: bool,
    /// How long before the end of its token a client is told.
    pub expiry_notice: Duration,
    /// How revocations are kept and spread.
    pub revocations: RevocationSettings,
    /// Whether the node runs alone, in memory.
    pub embedded: bool,
    /// How long a handshake may take, from the first byte to the upgrade.
    pub handshake_timeout: Duration,
    /// Bytes of a request's head.
    pub header_bytes_max: usize,
    /// Headers of a request.
    pub headers_max: usize,
    /// Where passengers and vehicles are kept.
    pub repository: repository::Settings,
    /// Strapi behind them; its settings were checked.
    pub strapi: Option<StrapiSettings>,
    /// How long an answer from Strapi is remembered.
    pub cache_ttl: Duration,
    /// How often what was delivered is compared with the logs.
    pub log_check_interval: Duration,
    /// What the reservoir checks.
    pub reservoir: reservoir::Settings,
    /// Further topics that hear of an accepted order.
    pub orders_announce: Vec<Topic>,
    /// Which web pages may talk to the node.
    pub origins: Origins,
    /// Its certificate, if it serves TLS.
    pub tls: Option<Tls>,
    /// Which proxies stand before it.
    pub proxies: Proxies,
    /// How many may come in.
    pub admission: AdmissionBounds,
    /// What plain HTTP may hold.
    pub http: HttpBounds,
    /// Agent types for which a part of that is reserved.
    pub go_first: Vec<String>,
    /// What one customer, agent, address or connection may take.
    pub limits: LimitBounds,
    /// How the node stops.
    pub stop: StopSettings,
    /// Where spans go, if anywhere.
    pub collector: Option<Collector>,
}

impl Settings {
    /// Whether there are keys, or will be: without any, nobody has a token that is believed.
    pub fn take_tokens(&self) -> bool {
        !self.verifier.keys.is_empty() || self.publisher.is_some()
    }
}

/// The paces of a graceful stop.
#[derive(Debug, Clone, Copy)]
pub struct StopSettings {
    /// How long the load balancer is given to notice.
    pub balancer_wait: Duration,
    /// Connections closed per second.
    pub closes_per_second: u32,
    /// How long the whole may take.
    pub timeout: Duration,
}
