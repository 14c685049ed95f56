//! The node: what every connection, HTTP request and background task of this process holds.

mod settings;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use signalbox_protocol::vocabulary::Vocabulary;
use signalbox_registry::{Cluster, NodeCard};
use signalbox_reservoir::Reservoir;
use signalbox_reservoir::strapi::Strapi;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::settings::{Settings, StopSettings};
use crate::admission::{Admission, Lobby, Visitors};
use crate::fleet;
use crate::http::bodies::Bodies;
use crate::hub::{Flusher, Hub};
use crate::limits::Limits;
use crate::metrics::{Metrics, Queued, Readings};
use crate::roster::LateLeavers;
use crate::router::{RouteCache, Router};
use crate::stamps::{Uptime, now_ms};
use crate::stats::Rates;
use crate::stop::{Departures, StopPhase, StopRequest};
use crate::tails::Tails;
use crate::trace::Tracer;
use crate::trust::Trust;
use crate::viewing::Viewing;

/// One running node.
#[derive(Debug)]
pub struct Node {
    /// Its settings.
    pub settings: Settings,
    /// The agent types and namespaces it knows.
    pub vocabulary: Arc<Vocabulary>,
    /// Its sockets.
    pub hub: Arc<Hub>,
    /// How far the logs were delivered that its clients follow.
    pub tails: Arc<Tails>,
    /// Whose tokens it believes.
    pub trust: Trust,
    /// Who may begin a handshake.
    pub admission: Arc<Admission>,
    /// Its sockets that have not asked for anything yet.
    pub lobby: Arc<Lobby>,
    /// Its connections that speak plain HTTP.
    pub visitors: Arc<Visitors>,
    /// Room for the bodies of their requests.
    pub bodies: Bodies,
    /// Which orders its clients look at.
    pub viewing: Viewing,
    /// Who waits, who picks up.
    pub reservoir: Reservoir,
    /// The store behind the reservoir, if it has one of its own.
    pub strapi: Option<Strapi>,
    /// Its router.
    pub router: Arc<Router>,
    /// Its view of what the nodes share.
    pub cluster: Cluster,
    /// Who takes how much of it.
    pub limits: Arc<Limits>,
    /// Its counters.
    pub metrics: Metrics,
    /// Its spans.
    pub tracer: Tracer,
    /// How long it has run.
    pub uptime: Uptime,
    /// When it started, milliseconds since 1970.
    pub started_at_ms: u64,
    /// The live nodes, as of the last renewal of the lease.
    pub peers: ArcSwap<Vec<NodeCard>>,
    /// Whether the lease was held at the last look.
    pub lease_held: AtomicBool,
    /// What waited for all connections at the last look.
    pub queued: ArcSwap<Queued>,
    /// Messages per second of late.
    pub rates: Rates,
    /// Connections whose rows still have to be removed.
    pub late_leavers: LateLeavers,
    /// Who wants it to stop.
    pub stop: StopRequest,
    /// Who leaves when, while it stops.
    pub departures: Departures,
    /// Where the stop has got to.
    pub phase: watch::Sender<StopPhase>,
    /// The tasks of its connections, until each has removed its row. They are among `tasks` as well.
    pub sockets: TaskTracker,
    /// Every task of the node runs under this tracker.
    pub tasks: TaskTracker,
    /// Cancelled when the background tasks shall end.
    pub halt: CancellationToken,
    numbers: AtomicU64,
    /// One for each thread of the runtime.
    flushers: Box<[Arc<Flusher>]>,
}

impl Node {
    /// A node over `cluster`, with no connection yet. Starts nothing, but takes the bus's parcels from now on.
    pub fn new(
        settings: Settings,
        vocabulary: Vocabulary,
        cluster: Cluster,
        tasks: TaskTracker,
        halt: CancellationToken,
    ) -> Arc<Self> {
        let metrics = Metrics::new();
        metrics.show(&cluster.measured);
        let vocabulary = Arc::new(vocabulary);
        let hub = Arc::new(Hub::new(metrics.clone(), Arc::clone(&vocabulary)));
        let routes = RouteCache::new(settings.routes);
        let (log, background) = (Arc::clone(&cluster.log), (tasks.clone(), halt.clone()));
        let tails = Tails::new(Arc::clone(&hub), log, metrics.clone(), background);
        let local = (Arc::clone(&hub), Arc::clone(&tails));
        let tracer = Tracer::new(settings.collector.clone(), metrics.spans.clone());
        let router = Router::new(local, cluster.clone(), routes, Arc::clone(&vocabulary), metrics.clone());
        let router = Arc::new(router.telling(tracer.clone()));
        cluster.bus.attach(Arc::clone(&router) as _);
        let (reservoir, strapi) = fleet::open(&settings, &cluster.backing, (&tasks, halt.clone()));
        Arc::new(Self {
            admission: Admission::new(settings.admission),
            lobby: Lobby::new(settings.admission.silent_max),
            visitors: Visitors::new(settings.http.connections_max),
            bodies: Bodies::new(settings.http.bodies_bytes_max, settings.read.message_bytes_max),
            limits: Limits::new(settings.limits, metrics.clone()),
            departures: Departures::new(settings.stop.closes_per_second),
            trust: Trust::of_verifier(settings.verifier.clone()),
            settings,
            vocabulary,
            hub,
            tails,
            viewing: Viewing::default(),
            reservoir,
            strapi,
            router,
            cluster,
            metrics,
            tracer,
            uptime: Uptime::start(),
            started_at_ms: now_ms(),
            peers: ArcSwap::default(),
            lease_held: AtomicBool::new(false),
            queued: ArcSwap::default(),
            rates: Rates::default(),
            late_leavers: LateLeavers::default(),
            stop: StopRequest::default(),
            phase: watch::Sender::new(StopPhase::Serving),
            sockets: TaskTracker::new(),
            tasks,
            halt,
            numbers: AtomicU64::new(0),
            flushers: (0..threads()).map(|_| Arc::default()).collect(),
        })
    }

    /// The number of the next connection.
    pub fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Who writes what is delivered to the connection of that number.
    pub fn flusher_of(&self, number: u64) -> Arc<Flusher> {
        let place = number % self.flushers.len() as u64;
        Arc::clone(&self.flushers[place as usize])
    }

    /// Who writes what is delivered.
    pub fn flushers(&self) -> &[Arc<Flusher>] {
        &self.flushers
    }

    /// Runs a connection's task.
    pub fn spawn_socket(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(self.sockets.track_future(task));
    }

    /// Steps to a phase of the stop.
    pub fn enter(&self, phase: StopPhase) {
        tracing::info!(phase = phase.as_str(), connections = self.hub.len(), "stopping");
        self.phase.send_replace(phase);
    }

    /// Each thing that readiness hangs on, with whether it is well.
    pub fn checks(&self) -> [(&'static str, bool); 6] {
        let takes_tokens = self.settings.take_tokens();
        [
            ("redis", *self.cluster.reachable.borrow()),
            ("lease", self.lease_held.load(Ordering::Acquire)),
            ("bus", self.cluster.bus.health().healthy),
            ("keys", self.settings.publisher.is_none() || self.trust.has_published_keys()),
            ("revocations", !takes_tokens || self.trust.has_looked()),
            ("serving", *self.phase.borrow() == StopPhase::Serving),
        ]
    }

    /// Whether the node takes new connections and reaches the others.
    pub fn is_ready(&self) -> bool {
        self.checks().iter().all(|(_, well)| *well)
    }

    /// Whether a registration can succeed: Redis is there, and the node's lease vouches for its rows.
    pub fn can_register(&self) -> bool {
        *self.cluster.reachable.borrow() && self.lease_held.load(Ordering::Acquire)
    }

    /// How many connections there are of each agent type that the vocabulary has.
    fn by_agent_type(&self) -> BTreeMap<String, u64> {
        let known = self.vocabulary.agent_types().iter().map(|agent_type| (agent_type.to_owned(), 0));
        let mut counts: BTreeMap<String, u64> = known.collect();
        for (agent_type, connections) in self.hub.census().by_agent_type() {
            if let Some(count) = counts.get_mut(&*agent_type) {
                *count = connections;
            }
        }
        counts
    }

    /// What the gauges show now. Nobody looks at all connections for it: a scrape takes as long however many there are.
    pub fn readings(&self) -> Readings {
        Readings {
            connections: self.hub.len(),
            by_agent_type: self.by_agent_type(),
            queued: **self.queued.load(),
            cluster_nodes: self.peers.load().len(),
            started_at_ms: self.started_at_ms,
            handshakes_under_way: self.admission.under_way(),
            sockets_silent: self.lobby.len(),
            sockets_waiting: self.lobby.waiting(),
            http_connections: self.visitors.len(),
            topics: self.hub.topics_len(),
            // Outside a runtime there are none.
            tasks: Handle::try_current().map_or(0, |runtime| runtime.metrics().num_alive_tasks()),
            routes: self.router.routes().len(),
            redis_pooled: self.cluster.backing.pooled(),
            redis_up: *self.cluster.reachable.borrow(),
            ready: self.is_ready(),
            generation: self.cluster.node.generation(),
            stop_phase: *self.phase.borrow() as i64,
            bus: self.cluster.bus.counters(),
            bus_health: self.cluster.bus.health(),
            locks: self.cluster.locks.counters(),
            cache: self.reservoir.cache().map(|cache| cache.counters()).unwrap_or_default(),
            strapi: self.strapi.as_ref().map(Strapi::counters).unwrap_or_default(),
        }
    }
}

/// Threads of the runtime; outside of one there is one.
fn threads() -> usize {
    Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers())
}
