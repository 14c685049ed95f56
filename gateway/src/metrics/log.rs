//! What is counted of durable messages: stored, repaired, resumed, given up.

use prometheus::{IntCounter, IntCounterVec, Registry};
use signalbox_protocol::control::{Discontinuity, TopicResumed};
use signalbox_registry::Error;
use signalbox_registry::log::Appended;

use super::make::{counter, labelled};

/// Counters of one node's part in the durable logs.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the help texts stand in `LogMetrics::new`, where Prometheus gets them from")]
pub struct LogMetrics {
    pub appends: IntCounterVec,
    pub repeated: IntCounter,
    pub held: IntCounter,
    pub held_overflow: IntCounter,
    pub checks: IntCounterVec,
    pub repairs: IntCounterVec,
    pub breaks: IntCounterVec,
    pub resumes: IntCounterVec,
    pub replayed: IntCounter,
    pub slow_consumers: IntCounter,
    unknown: IntCounter,
}

const APPENDED: [&str; 4] = ["stored", "duplicate", "unknown", "failed"];
const CHECKED: [&str; 2] = ["done", "failed"];
const REPAIRED: [&str; 3] = ["filled", "broken", "failed"];
const REASONS: [&str; 4] = ["epoch", "trimmed", "expired", "other"];
const RESUMED: [&str; 5] = ["recovered", "epoch", "trimmed", "expired", "other"];

impl LogMetrics {
    pub(super) fn new(r: &Registry, unknown: &IntCounterVec) -> Self {
        let by = |name, help, label, values: &[&str]| {
            let counters = labelled(r, name, help, label);
            values.iter().for_each(|value| drop(counters.with_label_values(&[value])));
            counters
        };
        Self {
            appends: by(
                "signalbox_log_appends_total",
                "Messages to be stored, by result.",
                "result",
                &APPENDED,
            ),
            repeated: counter(
                r,
                "signalbox_log_messages_repeated_total",
                "Stored messages that came again, or late, and were dropped.",
            ),
            held: counter(
                r,
                "signalbox_log_messages_held_total",
                "Stored messages that were held back because others before them were missing.",
            ),
            held_overflow: counter(
                r,
                "signalbox_log_messages_held_dropped_total",
                "Messages that were too many to be held back; they are read from the log.",
            ),
            checks: by(
                "signalbox_log_checks_total",
                "Comparisons of what was delivered with where the logs end, by result.",
                "result",
                &CHECKED,
            ),
            repairs: by(
                "signalbox_log_repairs_total",
                "Gaps and doubts that were settled by the log, by result.",
                "result",
                &REPAIRED,
            ),
            breaks: by(
                "signalbox_log_breaks_total",
                "Topics whose local followers were told that messages may be missing, by reason.",
                "reason",
                &REASONS,
            ),
            resumes: by(
                "signalbox_resumes_total",
                "Topics resumed by clients, by result.",
                "result",
                &RESUMED,
            ),
            replayed: counter(
                r,
                "signalbox_messages_replayed_total",
                "Messages sent from the log to clients that had missed them.",
            ),
            unknown: unknown.with_label_values(&["append"]),
            slow_consumers: counter(
                r,
                "signalbox_slow_consumers_total",
                "Connections closed because what may not be dropped had no room.",
            ),
        }
    }

    /// Counts what became of a message that was to be stored.
    pub fn count_append(&self, appended: &Result<Appended, Error>) {
        let result = match appended {
            Ok(appended) if appended.duplicate => "duplicate",
            Ok(_) => "stored",
            Err(Error::OutcomeUnknown(_)) => {
                self.unknown.inc();
                "unknown"
            }
            Err(_) => "failed",
        };
        self.appends.with_label_values(&[result]).inc();
    }

    /// Counts a look at where the logs end.
    pub fn count_check(&self, checked: &Result<(), Error>) {
        let result = if checked.is_ok() { "done" } else { "failed" };
        self.checks.with_label_values(&[result]).inc();
    }

    /// Counts a topic whose followers were told that messages may be missing.
    pub fn count_break(&self, reason: Discontinuity) {
        self.breaks.with_label_values(&[name(reason)]).inc();
    }

    /// Counts a topic that a client resumed.
    pub fn count_resume(&self, told: &TopicResumed) {
        self.resumes.with_label_values(&[told.reason.map_or("recovered", name)]).inc();
    }
}

fn name(reason: Discontinuity) -> &'static str {
    match reason {
        Discontinuity::Epoch => "epoch",
        Discontinuity::Trimmed => "trimmed",
        Discontinuity::Expired => "expired",
        Discontinuity::Other => "other",
    }
}
