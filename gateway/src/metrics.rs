//! What the node counts, and how Prometheus reads it.
//!
//! Names follow `signalbox_<noun>_<unit>[_total]`; labels come from enums only, never from a client.
//! Counters are incremented where things happen; gauges that can be derived are read at the scrape.

mod access;
mod fleet;
mod log;
mod totals;
mod trust;

use prometheus::core::Collector;
use prometheus::{Encoder, Gauge, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};
use signalbox_protocol::close::CloseCode;
use signalbox_protocol::error::ErrorCode;
use signalbox_registry::bus::{BusCounters, BusHealth};
use signalbox_registry::lock::LockCounters;
use signalbox_reservoir::cache::CacheCounters;
use signalbox_reservoir::strapi::StrapiCounters;

pub use self::access::AccessMetrics;
pub use self::fleet::FleetMetrics;
pub use self::log::LogMetrics;
use self::totals::Totals;
pub use self::trust::TrustMetrics;
use crate::limits::Limit;
use crate::ws::outbox::Pushed;

/// Handles to all metrics of one node; cloning shares them.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "each field's help text stands in `Metrics::new`, where Prometheus gets it from"
)]
pub struct Metrics {
    registry: Registry,
    pub handshakes: IntCounterVec,
    pub sockets_dropped: IntCounter,
    pub messages_received: IntCounter,
    pub messages_sent: IntCounter,
    pub bytes_received: IntCounter,
    pub bytes_sent: IntCounter,
    pub writes: IntCounter,
    pub dropped_conflated: IntCounter,
    pub dropped_overflow: IntCounter,
    pub dropped_closing: IntCounter,
    pub dropped_unroutable: IntCounter,
    pub dropped_unreachable: IntCounter,
    pub errors: IntCounterVec,
    pub closes: IntCounterVec,
    pub http_requests: IntCounterVec,
    pub limits_hit: IntCounterVec,
    pub rejoins: IntCounter,
    pub swept_rows: IntCounter,
    pub late_unregisters: IntCounter,
    pub access: AccessMetrics,
    pub fleet: FleetMetrics,
    pub log: LogMetrics,
    pub trust: TrustMetrics,
    gauges: Gauges,
}

#[derive(Debug, Clone)]
struct Gauges {
    connections: IntGauge,
    handshakes_under_way: IntGauge,
    sockets_silent: IntGauge,
    topics: IntGauge,
    tasks: IntGauge,
    routes: IntGauge,
    redis_up: IntGauge,
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

/// What is read at the moment of a scrape.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Readings {
    pub connections: usize,
    pub handshakes_under_way: usize,
    pub sockets_silent: usize,
    pub topics: usize,
    pub tasks: usize,
    pub routes: usize,
    pub redis_up: bool,
    pub ready: bool,
    pub generation: u32,
    pub stop_phase: i64,
    pub bus: BusCounters,
    pub bus_health: BusHealth,
    pub locks: LockCounters,
    pub cache: CacheCounters,
    pub strapi: StrapiCounters,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics at zero, in a registry of their own.
    pub fn new() -> Self {
        let registry = Registry::new();
        let r = &registry;
        let dropped =
            labelled(r, "signalbox_messages_dropped_total", "Messages dropped, by reason.", "reason");
        let build = Opts::new("signalbox_build_info", "Always 1; the version as a label.")
            .const_label("version", env!("CARGO_PKG_VERSION"));
        let build = IntGauge::with_opts(build).expect("the options are constants");
        build.set(1);
        let metrics = Self {
            handshakes: labelled(
                r,
                "signalbox_handshakes_total",
                "WebSocket handshakes, by result.",
                "result",
            ),
            sockets_dropped: counter(
                r,
                "signalbox_sockets_dropped_total",
                "Sockets dropped because too many had not sent a request yet.",
            ),
            messages_received: counter(r, "signalbox_messages_received_total", "Messages read from sockets."),
            messages_sent: counter(r, "signalbox_messages_sent_total", "Messages written to sockets."),
            bytes_received: counter(r, "signalbox_received_bytes_total", "Bytes read from sockets."),
            bytes_sent: counter(r, "signalbox_sent_bytes_total", "Bytes written to sockets."),
            writes: counter(r, "signalbox_socket_writes_total", "Write calls on sockets."),
            dropped_conflated: dropped.with_label_values(&["conflated"]),
            dropped_overflow: dropped.with_label_values(&["overflow"]),
            dropped_closing: dropped.with_label_values(&["closing"]),
            dropped_unroutable: dropped.with_label_values(&["unroutable"]),
            dropped_unreachable: dropped.with_label_values(&["unreachable"]),
            errors: labelled(r, "signalbox_errors_total", "Errors answered to clients, by code.", "code"),
            closes: labelled(
                r,
                "signalbox_closes_total",
                "Connections closed, by the code sent or got.",
                "code",
            ),
            http_requests: labelled(
                r,
                "signalbox_http_requests_total",
                "HTTP requests, by status class.",
                "status",
            ),
            limits_hit: limits_hit(r),
            rejoins: counter(
                r,
                "signalbox_lease_rejoins_total",
                "Times this node took a further generation.",
            ),
            swept_rows: counter(
                r,
                "signalbox_directory_swept_rows_total",
                "Rows of dead nodes removed by this node.",
            ),
            late_unregisters: counter(
                r,
                "signalbox_directory_late_unregisters_total",
                "Rows whose removal had to be tried again.",
            ),
            access: AccessMetrics::new(r),
            fleet: FleetMetrics::new(r),
            log: LogMetrics::new(r),
            trust: TrustMetrics::new(r),
            gauges: Gauges::new(r),
            registry: registry.clone(),
        };
        register(r, &build);
        metrics.start_at_zero();
        metrics
    }

    /// Shows every label value from the start, so that a rate over its first occurrence is right.
    fn start_at_zero(&self) {
        for code in ErrorCode::ALL {
            self.errors.with_label_values(&[code.as_str()]);
        }
        for code in CloseCode::ALL {
            self.closes.with_label_values(&[&code.as_u16().to_string()]);
        }
        for limit in Limit::ALL {
            self.limits_hit.with_label_values(&[limit.as_str()]);
        }
        for result in crate::ws::handshake::HandshakeResult::ALL {
            self.handshakes.with_label_values(&[result.as_str()]);
        }
    }

    /// Counts an error answered to a client.
    pub fn count_error(&self, code: ErrorCode) {
        self.errors.with_label_values(&[code.as_str()]).inc();
    }

    /// Counts that a limit was hit.
    pub fn count_limit(&self, limit: Limit) {
        self.limits_hit.with_label_values(&[limit.as_str()]).inc();
    }

    /// Counts a closed connection. A code that we don't know is counted as `other`.
    pub fn count_close(&self, code: Option<u16>) {
        let known = code.and_then(CloseCode::from_u16).map(|code| code.as_u16().to_string());
        let label = match (code, &known) {
            (None, _) => "none",
            (Some(_), Some(known)) => known,
            (Some(_), None) => "other",
        };
        self.closes.with_label_values(&[label]).inc();
    }

    /// Counts what was dropped when a frame was pushed into an outbox.
    pub fn count_push(&self, pushed: Pushed) {
        match pushed {
            Pushed::Queued => {}
            Pushed::Conflated => self.dropped_conflated.inc(),
            Pushed::Displaced(messages) => self.dropped_overflow.inc_by(messages.into()),
            Pushed::Dropped => self.dropped_overflow.inc(),
            Pushed::Closing => self.dropped_closing.inc(),
            Pushed::Overflow => {
                self.log.slow_consumers.inc();
                self.dropped_closing.inc();
            }
        }
    }

    /// Counts messages that were queued for a connection whose socket took no more.
    pub fn count_unwritten(&self, messages: usize) {
        self.dropped_closing.inc_by(messages as u64);
    }

    /// The text of a scrape.
    pub fn render(&self, readings: &Readings) -> Vec<u8> {
        self.gauges.set(readings);
        let mut text = Vec::with_capacity(16 * 1_024);
        if let Err(error) = TextEncoder::new().encode(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics could not be encoded");
        }
        text
    }
}

impl Gauges {
    fn new(r: &Registry) -> Self {
        Self {
            connections: gauge(r, "signalbox_connections", "Open connections."),
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
            topics: gauge(r, "signalbox_topics", "Topics followed by local connections."),
            tasks: gauge(r, "signalbox_tasks", "Tasks that live in the node's runtime."),
            routes: gauge(
                r,
                "signalbox_route_cache_entries",
                "Point routes remembered for at most a second.",
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

    fn set(&self, readings: &Readings) {
        self.connections.set(readings.connections as i64);
        self.handshakes_under_way.set(readings.handshakes_under_way as i64);
        self.sockets_silent.set(readings.sockets_silent as i64);
        self.topics.set(readings.topics as i64);
        self.tasks.set(readings.tasks as i64);
        self.routes.set(readings.routes as i64);
        self.redis_up.set(readings.redis_up.into());
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

fn limits_hit(r: &Registry) -> IntCounterVec {
    let help = "Times that somebody was refused or closed for exceeding a limit, by limit.";
    labelled(r, "signalbox_limits_hit_total", help, "limit")
}

fn seconds(registry: &Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::new(name, help).expect("metric names are constants of the right form");
    register(registry, &gauge);
    gauge
}

fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    let counter = IntCounter::new(name, help).expect("metric names are constants of the right form");
    register(registry, &counter);
    counter
}

fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    let gauge = IntGauge::new(name, help).expect("metric names are constants of the right form");
    register(registry, &gauge);
    gauge
}

fn labelled(registry: &Registry, name: &str, help: &str, label: &str) -> IntCounterVec {
    let counters = IntCounterVec::new(Opts::new(name, help), &[label])
        .expect("metric names are constants of the right form");
    register(registry, &counters);
    counters
}

fn register(registry: &Registry, metric: &(impl Collector + Clone + 'static)) {
    registry.register(Box::new(metric.clone())).expect("each name is registered once");
}

#[cfg(test)]
mod tests;
