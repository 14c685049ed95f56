//! What the node counts, and how Prometheus reads it.
//!
//! Names follow `signalbox_<noun>_<unit>[_total]`; labels come from enums only, never from a client.
//! Counters are incremented where things happen; gauges that can be derived are read at the scrape.

mod access;
mod directory;
mod fleet;
mod gauges;
mod log;
mod measured;
mod process;
mod totals;
mod traffic;
mod trust;

use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::{Encoder, Gauge, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};
use signalbox_protocol::close::CloseCode;
use signalbox_protocol::control::DrainReason;
use signalbox_protocol::error::ErrorCode;
use signalbox_registry::Measured;

pub use self::access::AccessMetrics;
pub use self::directory::DirectoryMetrics;
pub use self::fleet::FleetMetrics;
use self::gauges::Gauges;
pub use self::gauges::{Queues, Readings};
pub use self::log::LogMetrics;
pub use self::traffic::{Class, Direction, Volumes};
pub use self::trust::TrustMetrics;
use crate::limits::Limit;
use crate::ws::outbox::Pushed;

/// What a close without a code, and one with a code that we don't know, is counted as.
const NO_CODE: &str = "none";
const OTHER_CODE: &str = "other";
const DEPARTED: [DrainReason; 4] =
    [DrainReason::Stopping, DrainReason::Requested, DrainReason::Fault, DrainReason::Balance];
const HTTP_STATUSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

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

    /// Shows every label value from the start, so that a rate over its first occurrence is right.
    fn start_at_zero(&self) {
        for code in ErrorCode::ALL {
            self.errors.with_label_values(&[code.as_str()]);
        }
        for code in CloseCode::ALL {
            self.closes.with_label_values(&[&code.as_u16().to_string()]);
        }
        for code in [NO_CODE, OTHER_CODE] {
            self.closes.with_label_values(&[code]);
        }
        for reason in DEPARTED {
            self.departures.with_label_values(&[departed_as(reason)]);
        }
        for status in HTTP_STATUSES {
            self.http_requests.with_label_values(&[status]);
        }
        for limit in Limit::ALL {
            self.limits_hit.with_label_values(&[limit.as_str()]);
        }
        for result in crate::ws::handshake::HandshakeResult::ALL {
            self.handshakes.with_label_values(&[result.as_str()]);
        }
    }

    /// Shows what the registry measures as well; once.
    pub fn show(&self, measured: &Arc<Measured>) {
        let shown = measured::Shown::new(Arc::clone(measured));
        self.registry
            .register(Box::new(shown))
            .expect("a node has one registry, and each name is registered once");
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
            (None, _) => NO_CODE,
            (Some(_), Some(known)) => known,
            (Some(_), None) => OTHER_CODE,
        };
        self.closes.with_label_values(&[label]).inc();
    }

    /// Counts a connection that was told to leave.
    pub fn count_departure(&self, reason: DrainReason) {
        self.departures.with_label_values(&[departed_as(reason)]).inc();
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

fn build_info() -> IntGauge {
    let build = Opts::new("signalbox_build_info", "Always 1; the version as a label.")
        .const_label("version", env!("CARGO_PKG_VERSION"));
    let build = IntGauge::with_opts(build).expect("the options are constants");
    build.set(1);
    build
}

fn sheds(r: &Registry) -> IntCounter {
    let help = "Connections closed because more waited for all clients together than may.";
    counter(r, "signalbox_outbox_sheds_total", help)
}

fn departures(r: &Registry) -> IntCounterVec {
    let help = "Connections that were told by system:draining to connect again, by reason.";
    labelled(r, "signalbox_departures_total", help, "reason")
}

fn departed_as(reason: DrainReason) -> &'static str {
    match reason {
        DrainReason::Stopping => "stopping",
        DrainReason::Requested => "requested",
        DrainReason::Fault => "fault",
        DrainReason::Balance => "balance",
    }
}

fn unknown_outcomes(r: &Registry) -> IntCounterVec {
    let help =
        "Changes that Redis may or may not have made, since its answer was lost, by what was asked for.";
    labelled(r, "signalbox_unknown_outcomes_total", help, "operation")
}

fn limits_hit(r: &Registry) -> IntCounterVec {
    let help = "Times that somebody was refused or closed for exceeding a limit, by limit.";
    labelled(r, "signalbox_limits_hit_total", help, "limit")
}

fn certificates(r: &Registry) -> IntCounterVec {
    let help = "Times that the certificate was read again, by result.";
    let certificates = labelled(r, "signalbox_certificate_reloads_total", help, "result");
    ["read", "unusable"].iter().for_each(|result| drop(certificates.with_label_values(&[result])));
    certificates
}

fn tls_failures(r: &Registry) -> IntCounter {
    counter(r, "signalbox_tls_failures_total", "TLS handshakes that came to nothing.")
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
