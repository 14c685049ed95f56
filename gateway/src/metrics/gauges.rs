//! What is read at the moment of a scrape.

use std::collections::BTreeMap;

use prometheus::{Gauge, IntGauge, IntGaugeVec, Opts, Registry};
use signalbox_registry::bus::{BusCounters, BusHealth};
use signalbox_registry::lock::LockCounters;
use signalbox_reservoir::cache::CacheCounters;
use signalbox_reservoir::strapi::StrapiCounters;

use super::make::{register, seconds};
use super::process::ProcessMetrics;
use super::totals::{self, Totals};
use crate::hub::Connection;

#[derive(Debug, Clone)]
pub(super) struct Gauges {
    connections: IntGauge,
    by_agent_type: IntGaugeVec,
    queued_messages: IntGauge,
    queued_bytes: IntGauge,
    queue_largest: IntGauge,
    cluster_nodes: IntGauge,
    process: ProcessMetrics,
    handshakes_under_way: IntGauge,
    sockets_silent: IntGauge,
    sockets_waiting: IntGauge,
    http_connections: IntGauge,
    topics: IntGauge,
    tasks: IntGauge,
    routes: IntGauge,
    redis_up: IntGauge,
    redis_pooled: IntGauge,
    ready: IntGauge,
    generation: IntGauge,
    stop_phase: IntGauge,
    probe_age: Gauge,
    bus_queued: IntGauge,
    bus_subscriptions: IntGauge,
    locks_waiting: IntGauge,
    bus_totals: Totals<BusCounters>,
    lock_totals: Totals<LockCounters>,
    cache_totals: Totals<CacheCounters>,
    strapi_totals: Totals<StrapiCounters>,
}

/// What waits for all connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Queued {
    pub messages: usize,
    pub bytes: usize,
    pub largest_bytes: usize,
}

impl Queued {
    /// Adds what waits for one.
    pub fn add(&mut self, connection: &Connection) {
        let (messages, bytes) = connection.outbox().queued();
        self.messages += messages;
        self.bytes += bytes;
        self.largest_bytes = self.largest_bytes.max(bytes);
    }
}

/// What is read at the moment of a scrape.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Readings {
    pub connections: usize,
    pub by_agent_type: BTreeMap<String, u64>,
    /// As of the last look at all connections.
    pub queued: Queued,
    pub cluster_nodes: usize,
    pub started_at_ms: u64,
    pub handshakes_under_way: usize,
    pub sockets_silent: usize,
    /// Sockets that wait until fewer are silent.
    pub sockets_waiting: usize,
    pub http_connections: usize,
    pub topics: usize,
    pub tasks: usize,
    pub routes: usize,
    pub redis_up: bool,
    /// Connections of its pools.
    pub redis_pooled: usize,
    pub ready: bool,
    pub generation: u32,
    pub stop_phase: i64,
    pub bus: BusCounters,
    pub bus_health: BusHealth,
    pub locks: LockCounters,
    pub cache: CacheCounters,
    pub strapi: StrapiCounters,
}

impl Gauges {
    pub(super) fn new(r: &Registry) -> Self {
        Self {
            connections: gauge(r, "signalbox_connections", "Open connections."),
            by_agent_type: by_agent_type(r),
            queued_messages: gauge(
                r,
                "signalbox_outbox_queued_messages",
                "Messages that waited for clients at the last look, once a second.",
            ),
            queued_bytes: gauge(
                r,
                "signalbox_outbox_queued_bytes",
                "Bytes that waited for clients at the last look, once a second.",
            ),
            queue_largest: gauge(
                r,
                "signalbox_outbox_largest_bytes",
                "Bytes that waited for the client that was worst off at the last look.",
            ),
            cluster_nodes: gauge(r, "signalbox_cluster_nodes", "Live nodes, as this node sees the cluster."),
            process: ProcessMetrics::new(r),
            handshakes_under_way: gauge(
                r,
                "signalbox_handshakes_under_way",
                "WebSocket handshakes begun and not ended.",
            ),
            sockets_silent: gauge(
                r,
                "signalbox_sockets_silent",
                "Sockets accepted that have not sent a request yet.",
            ),
            sockets_waiting: gauge(
                r,
                "signalbox_sockets_waiting",
                "Sockets accepted that nothing is read of yet, because too many are silent.",
            ),
            http_connections: gauge(r, "signalbox_http_connections", "Connections that speak plain HTTP."),
            topics: gauge(r, "signalbox_topics", "Topics followed by local connections."),
            tasks: gauge(r, "signalbox_tasks", "Tasks that live in the node's runtime."),
            routes: gauge(
                r,
                "signalbox_route_cache_entries",
                "Point routes remembered for at most a second.",
            ),
            redis_pooled: gauge(
                r,
                "signalbox_redis_pool_connections",
                "Connections to Redis for large answers and long work: they come as they are needed, and stay.",
            ),
            redis_up: gauge(r, "signalbox_redis_up", "1 while the shared registry can be reached."),
            ready: gauge(r, "signalbox_ready", "1 while the node takes new connections."),
            generation: gauge(r, "signalbox_lease_generation", "The generation of this node's lease."),
            stop_phase: gauge(r, "signalbox_stop_phase", "0 serving, then the steps of stopping in order."),
            probe_age: seconds(
                r,
                "signalbox_bus_probe_age_seconds",
                "Age of the newest probe that came back; -1: none yet.",
            ),
            bus_queued: gauge(r, "signalbox_bus_queued_bytes", "Bytes waiting for the bus."),
            bus_subscriptions: gauge(r, "signalbox_bus_subscriptions", "Group topics followed on the bus."),
            locks_waiting: gauge(r, "signalbox_locks_waiting", "Acquisitions that stand in line now."),
            bus_totals: totals::of_bus(r),
            lock_totals: totals::of_locks(r),
            cache_totals: totals::of_cache(r),
            strapi_totals: totals::of_strapi(r),
        }
    }

    pub(super) fn set(&self, readings: &Readings) {
        self.connections.set(readings.connections as i64);
        for (agent_type, count) in &readings.by_agent_type {
            self.by_agent_type.with_label_values(&[agent_type]).set(*count as i64);
        }
        self.queued_messages.set(readings.queued.messages as i64);
        self.queued_bytes.set(readings.queued.bytes as i64);
        self.queue_largest.set(readings.queued.largest_bytes as i64);
        self.cluster_nodes.set(readings.cluster_nodes as i64);
        self.process.set(readings.started_at_ms);
        self.handshakes_under_way.set(readings.handshakes_under_way as i64);
        self.sockets_silent.set(readings.sockets_silent as i64);
        self.sockets_waiting.set(readings.sockets_waiting as i64);
        self.http_connections.set(readings.http_connections as i64);
        self.topics.set(readings.topics as i64);
        self.tasks.set(readings.tasks as i64);
        self.routes.set(readings.routes as i64);
        self.redis_up.set(readings.redis_up.into());
        self.redis_pooled.set(readings.redis_pooled as i64);
        self.ready.set(readings.ready.into());
        self.generation.set(readings.generation.into());
        self.stop_phase.set(readings.stop_phase);
        self.probe_age.set(readings.bus_health.probe_age.map_or(-1.0, |age| age.as_secs_f64()));
        self.bus_queued.set(readings.bus.bytes_queued as i64);
        self.bus_subscriptions.set(readings.bus.subscriptions as i64);
        self.locks_waiting.set(readings.locks.waiting as i64);
        self.bus_totals.set(&readings.bus);
        self.lock_totals.set(&readings.locks);
        self.cache_totals.set(&readings.cache);
        self.strapi_totals.set(&readings.strapi);
    }
}

fn by_agent_type(registry: &Registry) -> IntGaugeVec {
    let help = "Open connections, by the type of their agent (a configured list).";
    let gauges = IntGaugeVec::new(Opts::new("signalbox_agent_type_connections", help), &["agent_type"])
        .expect("metric names are constants of the right form");
    register(registry, &gauges);
    gauges
}

pub(super) fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    let gauge = IntGauge::new(name, help).expect("metric names are constants of the right form");
    register(registry, &gauge);
    gauge
}
