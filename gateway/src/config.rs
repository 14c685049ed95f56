//! Every setting of a node, in one typed value.
//!
//! Defaults, then the TOML file, then `SIGNALBOX_*`, then flags: [`load()`] merges them, checks the
//! result and reports everything that is wrong with it at once, each problem with the place that it
//! came from. What must stay true: a [`Config`] that [`load()`] returned is safe to run with, and no
//! password ever leaves it by `Debug`, `Display` or serialization.
//!
//! A new setting is a field here or in [`sections`], its default, and a row of [`SETTINGS`].

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};
use signalbox_protocol::Tenant;
use signalbox_protocol::vocabulary::{InvalidVocabulary, Vocabulary};
use signalbox_registry::log::{LogSettings, Retention, Strict};
use signalbox_reservoir::StrapiSettings;

use crate::origins::{Hosts, Origins};
use crate::peer::Proxies;
use crate::tls::TlsFiles;

mod keys;
pub mod layers;
pub mod load;
pub(crate) mod log_filter;
mod nearest;
pub mod redis_url;
pub mod render;
mod retention;
mod rules;
mod secret;
pub mod sections;
pub mod settings;
pub mod units;

pub use keys::{UnusableKey, UnusableKeys};
pub use layers::{FlagValue, Origin, Sources};
pub use load::{BadConfig, Loaded, Problem, load};
pub use redis_url::RedisUrl;
pub use secret::Secret;
pub use sections::{
    Admission, Auth, Bus, Catalogue, Close, Connection, Durable, Flood, Handshake, Heartbeat, Http, Limits,
    Log, LogFormat, Malformed, Message, Node, Orders, Outbox, Proxy, Redis, RedisMode, Reservoir, RouteCache,
    Runtime, Stop, Strapi, Tls, Trace,
};
pub use settings::{SETTINGS, Setting, Unit};

/// Every setting of a node. [`SETTINGS`] tells unit, range and reason of each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where WebSocket and HTTP are served.
    pub listen: SocketAddr,
    /// Lets identities come from the query on an address that others can reach.
    pub allow_anonymous: bool,
    /// Namespaces besides the built-in ones.
    pub namespaces: Vec<String>,
    /// The agent types that clients may have; each is a kind of point topics.
    pub agent_types: Vec<String>,
    /// Web pages that may talk to the node.
    pub origins: Vec<String>,
    /// Whose tokens are believed.
    pub auth: Auth,
    /// This node, as others see it.
    pub node: Node,
    /// What the nodes share it through.
    pub redis: Redis,
    /// TLS without a proxy.
    pub tls: Tls,
    /// Proxies before the node.
    pub proxy: Proxy,
    /// What plain HTTP may hold.
    pub http: Http,
    /// What one customer, agent, address or connection may take.
    pub limits: Limits,
    /// What a handshake may cost.
    pub handshake: Handshake,
    /// How many may come in.
    pub admission: Admission,
    /// When a silent client counts as gone.
    pub heartbeat: Heartbeat,
    /// What one message may be.
    pub message: Message,
    /// What one connection may have.
    pub connection: Connection,
    /// What may wait to be written to one connection.
    pub outbox: Outbox,
    /// How much that is no envelope is borne.
    pub malformed: Malformed,
    /// How many small frames that complete no message are borne.
    pub flood: Flood,
    /// How a connection is closed.
    pub close: Close,
    /// Which types are known.
    pub catalogue: Catalogue,
    /// What is remembered of the directory.
    pub route_cache: RouteCache,
    /// Who waits, and for how long that is remembered.
    pub reservoir: Reservoir,
    /// Strapi as the store of passengers.
    pub strapi: Strapi,
    /// Orders that one driver accepts.
    pub orders: Orders,
    /// What the logs of durable topics keep.
    pub durable: Durable,
    /// What may wait to be published.
    pub bus: Bus,
    /// How the node stops.
    pub stop: Stop,
    /// What is logged, and how.
    pub log: Log,
    /// Who is told about single requests and messages.
    pub trace: Trace,
    /// The threads that everything runs on.
    pub runtime: Runtime,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            allow_anonymous: false,
            namespaces: Vec::new(),
            agent_types: Vocabulary::default().agent_types().to_vec(),
            auth: Auth::default(),
            origins: Vec::new(),
            node: Node::default(),
            redis: Redis::default(),
            tls: Tls::default(),
            proxy: Proxy::default(),
            http: Http::default(),
            limits: Limits::default(),
            handshake: Handshake::default(),
            admission: Admission::default(),
            heartbeat: Heartbeat::default(),
            message: Message::default(),
            connection: Connection::default(),
            outbox: Outbox::default(),
            malformed: Malformed::default(),
            flood: Flood::default(),
            close: Close::default(),
            catalogue: Catalogue::default(),
            route_cache: RouteCache::default(),
            reservoir: Reservoir::default(),
            strapi: Strapi::default(),
            orders: Orders::default(),
            durable: Durable::default(),
            bus: Bus::default(),
            stop: Stop::default(),
            log: Log::default(),
            trace: Trace::default(),
            runtime: Runtime::default(),
        }
    }
}

impl Config {
    /// What the logs of durable topics keep; nothing if a kind's text makes no sense.
    pub fn log_settings(&self) -> Option<LogSettings> {
        let Durable { messages_max, bytes_max, age, .. } = self.durable;
        let others = Retention { messages_max, bytes_max: bytes_max as u64, age };
        let by_kind = self.durable.kinds.iter().map(|text| retention::of_kind(text));
        Some(LogSettings { by_kind: by_kind.collect::<Option<_>>()?, others })
    }

    /// How many replicas a stored message is waited for, if any.
    pub fn log_strict(&self) -> Option<Strict> {
        let Durable { replicas, replicas_wait, .. } = self.durable;
        (replicas > 0).then_some(Strict { replicas, within: replicas_wait })
    }

    /// Whether only this machine can reach the node.
    pub fn listens_on_loopback(&self) -> bool {
        self.listen.ip().to_canonical().is_loopback()
    }

    /// Whether a client may say by the query who it is. On loopback by default, but not where keys show that
    /// tokens are meant to count: a proxy may stand before it.
    pub fn anonymous_allowed(&self) -> bool {
        self.allow_anonymous || (self.listens_on_loopback() && !self.auth.has_keys())
    }

    /// Which web pages may talk to the node; nothing if one of them is no origin. Where keys show that tokens count, a
    /// proxy may stand before a loopback address.
    pub fn origins(&self) -> Option<Origins> {
        let is_local = self.listens_on_loopback() && !self.auth.has_keys();
        Some(Origins::try_new(&self.origins, is_local).ok()?.asked_as(self.hosts()))
    }

    /// By which names it is asked. Where nobody needs a token, any page that is taken for the node's own would be let in.
    fn hosts(&self) -> Hosts {
        match (self.anonymous_allowed(), self.listens_on_loopback()) {
            (false, _) => Hosts::Any,
            (true, true) => Hosts::Loopback,
            (true, false) => Hosts::Fixed,
        }
    }

    /// The files of the certificate, if TLS is served.
    pub fn tls_files(&self) -> Option<TlsFiles> {
        let (certificate, key) = (self.tls.certificate.as_ref()?.into(), self.tls.key.as_ref()?.into());
        Some(TlsFiles { certificate, key })
    }

    /// The proxies before the node; nothing if one of the ranges makes no sense.
    pub fn proxies(&self) -> Option<Proxies> {
        let trusted = self.proxy.trusted.iter().map(|range| range.parse().ok()).collect::<Option<_>>()?;
        Some(Proxies { trusted, protocol: self.proxy.protocol })
    }

    /// The address told to others; `bound` is what the listener got, which differs from
    /// [`Config::listen`] for port 0.
    pub fn advertised(&self, bound: SocketAddr) -> String {
        self.node.advertise.clone().unwrap_or_else(|| bound.to_string())
    }

    /// Strapi, if there is one and its tenant is a name.
    pub fn strapi_settings(&self) -> Option<StrapiSettings> {
        let strapi = &self.strapi;
        let tenant = Tenant::try_new(&strapi.tenant).ok()?;
        Some(StrapiSettings {
            token: strapi.token.as_ref().map(|token| token.expose().to_owned()),
            request_timeout: strapi.request_timeout,
            give_up_after: strapi.give_up_after,
            outbox_max: strapi.outbox_max,
            ..StrapiSettings::new(tenant, strapi.url.as_deref()?)
        })
    }

    /// The agent types and namespaces of this configuration; the built-in namespaces come first.
    ///
    /// # Errors
    /// What is wrong with the words; never for a configuration that [`load()`] returned.
    pub fn vocabulary(&self) -> Result<Vocabulary, InvalidVocabulary> {
        let mut namespaces = Vocabulary::default().namespaces().to_vec();
        namespaces.extend_from_slice(&self.namespaces);
        Vocabulary::try_new(self.agent_types.clone(), namespaces)
    }

    /// Threads of the runtime, at least one.
    pub fn worker_threads(&self) -> usize {
        match self.runtime.worker_threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }
}

#[cfg(test)]
mod tests;
