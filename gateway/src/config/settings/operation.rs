//! The settings of `stop`, `log`, `trace` and `runtime`.

use super::{Setting, Unit, ms, s, setting};

/// What operators see of it, and how it ends.
pub(super) const OPERATION: &[Setting] = &[
    setting(
        "stop.balancer_wait",
        Unit::Period(ms(0), s(300)),
        "From turning unready to refusing handshakes: the load balancer's time to notice. Should exceed the \
         interval of its health check. Not waited for by a node alone.",
    ),
    setting(
        "stop.closes_per_second",
        Unit::Count("connections/s", 1, 1_000_000),
        "Connections closed each second while stopping, and so the handshakes that the other nodes have to take \
         in. Each is told its moment by system:draining.",
    ),
    setting(
        "stop.timeout",
        Unit::Period(ms(10), s(3600)),
        "The longest that a stop may take; what is open 3 s before is closed at once. Needs the balancer's wait, \
         connections / stop.closes_per_second, and 4 s. Less than the grace period of whoever sends the SIGKILL \
         (systemd 90 s, Kubernetes 30 s unless raised).",
    ),
    setting("log.format", Unit::Choice(&["text", "json"]), "Lines for people, or JSON objects for machines."),
    setting(
        "log.filter",
        Unit::Text("info,signalbox_gateway=debug"),
        "Which log events are written, in the syntax of RUST_LOG, which wins when set.",
    ),
    setting(
        "trace.otlp_endpoint",
        Unit::Text("http://127.0.0.1:4318"),
        "A collector that is told, by OTLP over HTTP with JSON, of handshakes, requests and messages whose traceparent says \
         that they are recorded. Absent: nobody, and nothing is looked for.",
    ),
    setting(
        "trace.otlp_ca_file",
        Unit::Text("/etc/signalbox/ca.pem"),
        "Certificates in PEM that vouch for the server of trace.otlp_endpoint. Without it those of the machine do.",
    ),
    setting("trace.service_name", Unit::Text("signalbox"), "What the node is called there."),
    setting(
        "runtime.worker_threads",
        Unit::Count("threads", 0, 1024),
        "Worker threads; 0 means one per core that the process may use.",
    ),
];
