//! What is counted of this node's rows in the directory.

use prometheus::{IntCounter, IntCounterVec, IntGauge, Registry};
use signalbox_registry::Error;

use super::gauges::gauge;
use super::make::{counter, labelled};

/// Handles to them; cloning shares them.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the help texts stand in `DirectoryMetrics::new`, where Prometheus gets them from"
)]
pub struct DirectoryMetrics {
    pub swept_rows: IntCounter,
    pub late_unregisters: IntCounter,
    pub audits: IntCounterVec,
    pub rows: IntGauge,
    pub stale: IntGauge,
    pub missing: IntGauge,
    pub differences: IntCounter,
}

impl DirectoryMetrics {
    pub(super) fn new(r: &Registry) -> Self {
        let audits = labelled(
            r,
            "signalbox_directory_audits_total",
            "Comparisons of the directory with this node's sockets, by result.",
            "result",
        );
        ["done", "failed"].iter().for_each(|result| drop(audits.with_label_values(&[result])));
        Self {
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
            audits,
            rows: gauge(r, "signalbox_directory_rows", "Rows of this node at the last audit."),
            stale: gauge(
                r,
                "signalbox_directory_stale_rows",
                "Rows of this node without a socket, in the last two audits; they are removed.",
            ),
            missing: gauge(
                r,
                "signalbox_directory_missing_rows",
                "Sockets of this node that the directory did not find in the last two audits; their rows are written.",
            ),
            differences: counter(
                r,
                "signalbox_directory_differences_total",
                "Rows that audits have found stale or missing.",
            ),
        }
    }

    /// Shows what an audit has found.
    pub fn show(&self, rows: usize, stale: usize, missing: usize) {
        self.rows.set(rows as i64);
        self.stale.set(stale as i64);
        self.missing.set(missing as i64);
        self.differences.inc_by((stale + missing) as u64);
    }

    /// Counts an audit.
    pub fn count_audit(&self, passed: &Result<(), Error>) {
        let result = if passed.is_ok() { "done" } else { "failed" };
        self.audits.with_label_values(&[result]).inc();
    }
}
