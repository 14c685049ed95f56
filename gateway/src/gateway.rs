//! Builds a node from its configuration, runs it, and stops it in order.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::select_all;
use signalbox_identity::Verifier;
use signalbox_protocol::NodeId;
use signalbox_protocol::control::DrainReason;
use signalbox_protocol::vocabulary::InvalidVocabulary;
use signalbox_registry::memory::MemoryCluster;
use signalbox_registry::redis::{self, Mode, RedisConfig};
use signalbox_registry::{Cluster, ThisNode};
use signalbox_reservoir::strapi::InvalidSettings;
use signalbox_reservoir::{repository, reservoir};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::{AdmissionBounds, HttpBounds};
use crate::config::{Config, RedisMode, Secret, UnusableKeys, sections};
use crate::limits::{ConnectionBounds, LimitBounds, RateBounds};
use crate::node::{Node, Settings, StopSettings};
use crate::router::RouteBounds;
use crate::stamps::unguessable;
use crate::stop::{MaxAge, Share};
use crate::tls::{Tls, UnusableTls};
use crate::trace::InvalidCollector;
use crate::trust::{KeyFiles, RevocationSettings};
use crate::ws::manner::{self, Manner};
use crate::ws::outbox::Bounds;
use crate::ws::reader::ReadLimits;
use crate::{keeper, server, stop};

/// Hexadecimal characters of a node id.
const NODE_ID_CHARS: usize = 10;

/// Why a node could not start, or ended by itself.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address can't be listened on.
    #[error("can't listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The certificates that vouch for Redis can't be read.
    #[error("{path}, which vouches for Redis, can't be read")]
    RedisCertificates {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The registry's settings make no sense.
    #[error("the registry can't be used")]
    Registry(#[from] signalbox_registry::Error),
    /// The lists of agent types and namespaces make no sense.
    #[error("agent types or namespaces can't be used")]
    Vocabulary(#[from] InvalidVocabulary),
    /// The certificate can't be used.
    #[error("TLS can't be served")]
    Tls(#[from] UnusableTls),
    /// The settings of Strapi make no sense.
    #[error("strapi can't be used")]
    Strapi(#[from] InvalidSettings),
    /// Nobody can be told of spans.
    #[error("the collector of spans can't be used")]
    Collector(#[from] InvalidCollector),
    /// Keys of tokens can't be used.
    #[error(transparent)]
    Keys(#[from] UnusableKeys),
    /// A background task that must run as long as the node ended; the node was stopped in order.
    #[error("a background task of the node ended by itself")]
    Halted,
}

/// A node that is bound to its address and not yet running.
#[derive(Debug)]
pub struct Gateway {
    node: Arc<Node>,
    listener: TcpListener,
    address: SocketAddr,
}

impl Gateway {
    /// A node of its own cluster: Redis if the configuration names one, else in memory.
    ///
    /// # Errors
    /// [`StartError`]; a Redis that is away is none: the node joins when it comes.
    pub fn build(config: &Config) -> Result<Self, StartError> {
        let tasks = TaskTracker::new();
        let this = ThisNode::new(fresh_node_id());
        let halt = CancellationToken::new();
        let cluster = match redis_config(config)? {
            Some(redis) => redis::connect(&redis, this, &tasks, halt.clone())?,
            None => MemoryCluster::with_log(config.log_settings().unwrap_or_default()).join(this),
        };
        Self::build_in(config, cluster, tasks, halt)
    }

    /// A node of a cluster that exists already; for several nodes in one process.
    ///
    /// # Errors
    /// As [`Gateway::build`].
    pub fn build_in(
        config: &Config,
        cluster: Cluster,
        tasks: TaskTracker,
        halt: CancellationToken,
    ) -> Result<Self, StartError> {
        Self::build_speaking(config, cluster, (tasks, halt), manner::GATEWAY)
    }

    /// The same with another manner: for the conformance run, whose node echoes.
    ///
    /// # Errors
    /// As [`Gateway::build`].
    pub fn build_speaking(
        config: &Config,
        cluster: Cluster,
        (tasks, halt): (TaskTracker, CancellationToken),
        manner: Manner,
    ) -> Result<Self, StartError> {
        let listen = |source| StartError::Listen { address: config.listen, source };
        let listener = server::bind(config.listen).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let vocabulary = config.vocabulary()?;
        let settings = Settings {
            manner,
            // Before they are read, so that no change is missed.
            key_files: KeyFiles::watch(&config.auth),
            verifier: config.auth.verifier()?,
            publisher: config.auth.publisher()?,
            tls: config.tls_files().map(Tls::load).transpose()?,
            collector: config.collector()?,
            ..settings(config, address)
        };
        settings.strapi.as_ref().map_or(Ok(()), |strapi| strapi.check())?;
        let node = Node::new(settings, vocabulary, cluster, tasks, halt);
        Ok(Self { node, listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The node, for whoever wants to look inside while it runs.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Runs until `stop` resolves, or the node is asked to drain in another way; then stops in order.
    ///
    /// # Errors
    /// [`StartError::Halted`] when a background task ended: there is no half-life.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), StartError> {
        let node = self.node;
        let close_port = CancellationToken::new();
        let mut essential = keeper::spawn(&node);
        essential.push(node.tasks.spawn(server::run(Arc::clone(&node), self.listener, close_port.clone())));
        let reason = tokio::select! {
            () = stop => DrainReason::Stopping,
            () = node.stop.asked() => node.stop.reason(),
            () = node.router.drain_asked() => DrainReason::Requested,
            (ended, _, _) = select_all(essential) => {
                tracing::error!(?ended, "a background task ended; the node stops");
                DrainReason::Fault
            }
        };
        node.stop.ask(reason);
        stop::drain(&node, &close_port).await;
        if reason == DrainReason::Fault { Err(StartError::Halted) } else { Ok(()) }
    }
}

/// Runs a node of this configuration until SIGTERM or SIGINT, or until it is drained; a second signal cuts the stop
/// short. `ready` is told the address once it is bound.
///
/// # Errors
/// [`StartError`].
pub async fn serve(config: Config, ready: impl FnOnce(SocketAddr)) -> Result<(), StartError> {
    // Whoever is told that there is a node may signal it.
    let signals = Signals::listen();
    let gateway = Gateway::build(&config)?;
    let address = gateway.address();
    tracing::info!(%address, node = %gateway.node().cluster.node.id(), "listening");
    ready(address);
    let node = Arc::clone(gateway.node());
    node.tasks.spawn(heed(signals, Arc::clone(&node)));
    gateway.run(pending()).await
}

/// What a process is told from outside.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// It asks for files to be read again, which whoever has some does; it does not end who has none.
    _hangup: Signal,
}

impl Signals {
    /// From now on none ends the process by itself.
    fn listen() -> Self {
        let of = |kind| signal(kind).expect("the runtime handles signals");
        Self {
            terminate: of(SignalKind::terminate()),
            interrupt: of(SignalKind::interrupt()),
            _hangup: of(SignalKind::hangup()),
        }
    }

    /// The next one that asks for an end.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => tracing::info!("SIGTERM"),
            _ = self.interrupt.recv() => tracing::info!("SIGINT"),
        }
    }
}

/// A signal to a node that drains already, because somebody asked it to over HTTP, is the first all the same: a
/// supervisor sends one after its own request.
async fn heed(mut signals: Signals, node: Arc<Node>) {
    let heed = async {
        signals.next().await;
        node.stop.ask(DrainReason::Stopping);
        signals.next().await;
        tracing::warn!("a second signal: the stop is cut short");
        node.stop.cut_short();
    };
    node.halt.run_until_cancelled(heed).await;
}

fn fresh_node_id() -> NodeId {
    NodeId::try_new(&unguessable(NODE_ID_CHARS)).expect("hexadecimal digits are node id characters")
}

pub(crate) fn redis_config(config: &Config) -> Result<Option<RedisConfig>, StartError> {
    let Some(url) = config.redis.url.as_ref() else { return Ok(None) };
    let unreadable = |path: &String| {
        let path = path.clone();
        |source| StartError::RedisCertificates { path, source }
    };
    let read = |path: &String| std::fs::read(path).map_err(unreadable(path));
    Ok(Some(RedisConfig {
        ca: config.redis.ca_file.as_ref().map(read).transpose()?,
        url: url.expose().to_owned(),
        mode: redis_mode(&config.redis),
        prefix: config.redis.prefix.clone(),
        command_timeout: config.redis.command_timeout,
        connect_timeout: config.redis.connect_timeout,
        links: config.redis.links,
        pool_connections: config.redis.pool_size,
        row_ttl: config.redis.row_ttl,
        bus_destination_bytes_max: config.bus.destination_bytes_max,
        bus_bytes_max: config.bus.total_bytes_max,
        bus_gather: config.bus.gather,
        log: config.log_settings().unwrap_or_default(),
        log_strict: config.log_strict(),
    }))
}

fn redis_mode(redis: &sections::Redis) -> Mode {
    match redis.mode {
        RedisMode::Single => Mode::Single,
        RedisMode::Cluster => Mode::Cluster,
        RedisMode::Sentinel => Mode::Sentinel {
            service: redis.sentinel_service.clone().unwrap_or_default(),
            user: redis.sentinel_user.clone(),
            password: redis.sentinel_password.as_ref().map(Secret::expose).map(str::to_owned),
        },
    }
}

fn max_age(connection: &sections::Connection) -> MaxAge {
    MaxAge { age: connection.max_age, dither_percent: connection.max_age_dither_percent }
}

fn share(connection: &sections::Connection) -> Share {
    Share { over_mean_percent: connection.shed_over_mean_percent, lasting: connection.shed_after }
}

pub(crate) fn settings(config: &Config, bound: SocketAddr) -> Settings {
    // The reader counts by the second.
    let flood_seconds = config.flood.window.as_secs().max(1) as usize;
    Settings {
        address: config.advertised(bound),
        heartbeat_interval: config.heartbeat.interval,
        heartbeat_timeout: config.heartbeat.timeout,
        manner: manner::GATEWAY,
        tls: None,
        read: ReadLimits {
            message_bytes_max: config.message.bytes_max,
            idle_frames_max: config.flood.frames_max.div_ceil(flood_seconds),
        },
        outbox: Bounds { messages_max: config.outbox.messages_max, bytes_max: config.outbox.bytes_max },
        outboxes_bytes_max: config.outbox.total_bytes_max,
        subscriptions_max: config.connection.subscriptions_max,
        max_age: max_age(&config.connection),
        share: share(&config.connection),
        malformed_max: config.malformed.messages_max,
        malformed_window: config.malformed.window,
        close_timeout: config.close.timeout,
        unknown_types: config.catalogue.allow_unknown_types,
        row_ttl: config.redis.row_ttl,
        audit_interval: config.redis.audit_interval,
        routes: RouteBounds {
            time_to_live: config.route_cache.ttl,
            entries_max: config.route_cache.entries_max,
        },
        anonymous: config.anonymous_allowed(),
        verifier: Verifier::default(),
        key_files: None,
        publisher: None,
        token_in_url: config.auth.token_in_url,
        expiry_notice: config.auth.expiry_notice,
        revocations: revocations(&config.auth),
        embedded: config.redis.url.is_none(),
        collector: None,
        handshake_timeout: config.handshake.timeout,
        header_bytes_max: config.handshake.header_bytes_max,
        headers_max: config.handshake.headers_max,
        repository: repository::Settings { ended_kept: config.reservoir.ended_kept },
        reservoir: reservoir::Settings { waiting_max: config.reservoir.waiting_max },
        log_check_interval: config.durable.check_interval,
        strapi: config.strapi_settings(),
        cache_ttl: config.strapi.cache_ttl,
        orders_announce: config.orders.announce.clone(),
        origins: config.origins().unwrap_or_default(),
        proxies: config.proxies().unwrap_or_default(),
        limits: limit_bounds(config),
        http: HttpBounds {
            connections_max: config.http.connections_max,
            answer_timeout: config.http.answer_timeout,
            bodies_bytes_max: config.http.bodies_bytes_max,
        },
        admission: AdmissionBounds {
            handshakes_per_second: config.admission.handshakes_per_second,
            handshakes_max: config.admission.handshakes_max,
            silent_max: config.admission.silent_sockets_max,
            reserved_percent: config.admission.reserved_percent,
        },
        go_first: config.admission.reserved_for.clone(),
        stop: StopSettings {
            balancer_wait: config.stop.balancer_wait,
            closes_per_second: config.stop.closes_per_second,
            timeout: config.stop.timeout,
        },
    }
}

fn revocations(auth: &sections::Auth) -> RevocationSettings {
    RevocationSettings {
        // From `iat` by the slowest clock to the end by the fastest.
        kept: auth.lifetime_max + 2 * auth.leeway,
        most: auth.revocations_max,
        reread: auth.revocations_reread,
    }
}

fn limit_bounds(config: &Config) -> LimitBounds {
    let limits = &config.limits;
    LimitBounds {
        connections: ConnectionBounds {
            all: limits.connections_max,
            tenant: limits.tenant_connections_max,
            agent: limits.agent_connections_max,
            address: limits.address_connections_max,
            address_per_second: limits.address_connects_per_second,
        },
        rates: RateBounds {
            messages: limits.messages_per_second,
            bytes: limits.bytes_per_second,
            tenant_messages: limits.tenant_messages_per_second,
            tenant_bytes: limits.tenant_bytes_per_second,
            lock_attempts: limits.lock_attempts_per_second,
            refusals_max: limits.refusals_max,
        },
    }
}
