//! What is counted about tokens and their keys.

use prometheus::{Gauge, IntCounterVec, Registry};

use super::{labelled, seconds};
use crate::stamps::now_ms;

/// Handles to them; cloning shares them.
#[derive(Debug, Clone)]
pub struct TrustMetrics {
    key_reads: IntCounterVec,
    keys_read_at: Gauge,
}

impl TrustMetrics {
    pub(super) fn new(r: &Registry) -> Self {
        let metrics = Self {
            key_reads: labelled(
                r,
                "signalbox_jwks_reads_total",
                "Readings of an issuer's published keys, by result.",
                "result",
            ),
            keys_read_at: seconds(
                r,
                "signalbox_jwks_read_timestamp_seconds",
                "When published keys were last read, in seconds since 1970; 0: never.",
            ),
        };
        for result in ["ok", "failed"] {
            metrics.key_reads.with_label_values(&[result]);
        }
        metrics
    }

    /// Counts a reading of an issuer's published keys.
    pub(crate) fn read_keys(&self, well: bool) {
        self.key_reads.with_label_values(&[if well { "ok" } else { "failed" }]).inc();
        if well {
            self.keys_read_at.set((now_ms() / 1_000) as f64);
        }
    }
}
