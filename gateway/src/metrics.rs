//! What the node counts, and how Prometheus reads it.
//!
//! Names follow `signalbox_<noun>_<unit>[_total]`; labels come from enums only, never from a client.
//! Counters are incremented where things happen; gauges that can be derived are read at the scrape.

mod access;
mod counting;
mod directory;
mod families;
mod fleet;
mod gauges;
mod log;
mod make;
mod measured;
mod process;
mod totals;
mod traffic;
mod trust;

use std::sync::Arc;

use prometheus::{Encoder, IntCounter, IntCounterVec, Registry, TextEncoder};
use signalbox_registry::Measured;

pub use self::access::AccessMetrics;
pub use self::directory::DirectoryMetrics;
use self::families::{
    build_info, certificates, departures, limits_hit, sheds, tls_failures, unknown_outcomes,
};
pub use self::fleet::FleetMetrics;
use self::gauges::Gauges;
pub use self::gauges::{Queued, Readings};
pub use self::log::LogMetrics;
use self::make::{counter, labelled, register};
pub use self::traffic::{Class, Direction, Volumes};
pub use self::trust::TrustMetrics;

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
    pub messages_received: Direction,
    pub messages_sent: Direction,
    pub bytes_received: IntCounter,
    pub bytes_sent: IntCounter,
    pub writes: IntCounter,
    pub dropped_conflated: IntCounter,
    pub dropped_overflow: IntCounter,
    pub dropped_closing: IntCounter,
    pub dropped_unroutable: IntCounter,
    pub dropped_unreachable: IntCounter,
    pub sheds: IntCounter,
    pub errors: IntCounterVec,
    pub closes: IntCounterVec,
    pub departures: IntCounterVec,
    pub http_requests: IntCounterVec,
    pub limits_hit: IntCounterVec,
    pub certificates: IntCounterVec,
    pub tls_failures: IntCounter,
    pub rejoins: IntCounter,
    pub spans: IntCounterVec,
    pub access: AccessMetrics,
    pub directory: DirectoryMetrics,
    pub fleet: FleetMetrics,
    pub log: LogMetrics,
    pub trust: TrustMetrics,
    gauges: Gauges,
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
        let unknown = unknown_outcomes(r);
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
            messages_received: Direction::received(r),
            messages_sent: Direction::sent(r),
            bytes_received: counter(r, "signalbox_received_bytes_total", "Bytes read from sockets."),
            bytes_sent: counter(r, "signalbox_sent_bytes_total", "Bytes written to sockets."),
            writes: counter(r, "signalbox_socket_writes_total", "Write calls on sockets."),
            dropped_conflated: dropped.with_label_values(&["conflated"]),
            dropped_overflow: dropped.with_label_values(&["overflow"]),
            dropped_closing: dropped.with_label_values(&["closing"]),
            dropped_unroutable: dropped.with_label_values(&["unroutable"]),
            dropped_unreachable: dropped.with_label_values(&["unreachable"]),
            sheds: sheds(r),
            errors: labelled(r, "signalbox_errors_total", "Errors answered to clients, by code.", "code"),
            closes: labelled(
                r,
                "signalbox_closes_total",
                "Connections closed, by the code sent or got.",
                "code",
            ),
            departures: departures(r),
            http_requests: labelled(
                r,
                "signalbox_http_requests_total",
                "HTTP requests, by status class.",
                "status",
            ),
            limits_hit: limits_hit(r),
            certificates: certificates(r),
            tls_failures: tls_failures(r),
            rejoins: counter(
                r,
                "signalbox_lease_rejoins_total",
                "Times this node took a further generation.",
            ),
            spans: labelled(
                r,
                "signalbox_trace_spans_total",
                "Spans that ended, by what became of them.",
                "result",
            ),
            access: AccessMetrics::new(r),
            directory: DirectoryMetrics::new(r),
            fleet: FleetMetrics::new(r, &unknown),
            log: LogMetrics::new(r, &unknown),
            trust: TrustMetrics::new(r),
            gauges: Gauges::new(r),
            registry: registry.clone(),
        };
        register(r, &build_info());
        metrics.start_at_zero();
        metrics
    }

    /// Shows what the registry measures as well; once.
    pub fn show(&self, measured: &Arc<Measured>) {
        let shown = measured::Shown::new(Arc::clone(measured));
        self.registry
            .register(Box::new(shown))
            .expect("a node has one registry, and each name is registered once");
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

#[cfg(test)]
mod tests;
