//! Metrics whose help or labels take more than a line.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::make::{counter, labelled};

pub(super) fn build_info() -> IntGauge {
    let build = Opts::new("signalbox_build_info", "Always 1; the version as a label.")
        .const_label("version", env!("CARGO_PKG_VERSION"));
    let build = IntGauge::with_opts(build).expect("the options are constants");
    build.set(1);
    build
}

pub(super) fn sheds(r: &Registry) -> IntCounter {
    let help = "Connections closed because more waited for all clients together than may.";
    counter(r, "signalbox_outbox_sheds_total", help)
}

pub(super) fn departures(r: &Registry) -> IntCounterVec {
    let help = "Connections that were told by system:draining to connect again, by reason.";
    labelled(r, "signalbox_departures_total", help, "reason")
}

pub(super) fn unknown_outcomes(r: &Registry) -> IntCounterVec {
    let help =
        "Changes that Redis may or may not have made, since its answer was lost, by what was asked for.";
    labelled(r, "signalbox_unknown_outcomes_total", help, "operation")
}

pub(super) fn limits_hit(r: &Registry) -> IntCounterVec {
    let help = "Times that somebody was refused or closed for exceeding a limit, by limit.";
    labelled(r, "signalbox_limits_hit_total", help, "limit")
}

pub(super) fn certificates(r: &Registry) -> IntCounterVec {
    let help = "Times that the certificate was read again, by result.";
    let certificates = labelled(r, "signalbox_certificate_reloads_total", help, "result");
    ["read", "unusable"].iter().for_each(|result| drop(certificates.with_label_values(&[result])));
    certificates
}

pub(super) fn tls_failures(r: &Registry) -> IntCounter {
    counter(r, "signalbox_tls_failures_total", "TLS handshakes that came to nothing.")
}
