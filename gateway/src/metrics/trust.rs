//! What is counted about tokens and their keys.

use prometheus::{Gauge, IntCounter, IntCounterVec, Registry};

use super::make::{counter, labelled, seconds};
use crate::stamps::now_ms;

/// Handles to them; cloning shares them.
#[derive(Debug, Clone)]
pub struct TrustMetrics {
    key_reads: IntCounterVec,
    key_reloads: IntCounterVec,
    keys_read_at: Gauge,
    refreshes: IntCounterVec,
    /// Connections closed because their token had ended.
    pub(crate) expired: IntCounter,
    /// Connections closed because of a revocation.
    pub(crate) revoked: IntCounter,
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
            key_reloads: labelled(
                r,
                "signalbox_key_reloads_total",
                "Times that the keys of auth.keys were read again, by result.",
                "result",
            ),
            keys_read_at: seconds(
                r,
                "signalbox_jwks_read_timestamp_seconds",
                "When published keys were last read, in seconds since 1970; 0: never.",
            ),
            refreshes: labelled(
                r,
                "signalbox_token_refreshes_total",
                "Tokens shown on connections that were open, by result.",
                "result",
            ),
            expired: counter(
                r,
                "signalbox_token_expired_connections_total",
                "Connections closed because their token had ended.",
            ),
            revoked: counter(
                r,
                "signalbox_token_revoked_connections_total",
                "Connections closed because of a revocation.",
            ),
        };
        for result in ["ok", "refused"] {
            metrics.refreshes.with_label_values(&[result]);
        }
        for result in ["ok", "failed"] {
            metrics.key_reads.with_label_values(&[result]);
        }
        for result in ["read", "unusable"] {
            metrics.key_reloads.with_label_values(&[result]);
        }
        metrics
    }

    /// Counts a token that was shown on an open connection.
    pub(crate) fn count_refresh(&self, well: bool) {
        self.refreshes.with_label_values(&[if well { "ok" } else { "refused" }]).inc();
    }

    /// Counts that configured keys were read again.
    pub(crate) fn reloaded_keys(&self, well: bool) {
        self.key_reloads.with_label_values(&[if well { "read" } else { "unusable" }]).inc();
    }

    /// Counts a reading of an issuer's published keys.
    pub(crate) fn read_keys(&self, well: bool) {
        self.key_reads.with_label_values(&[if well { "ok" } else { "failed" }]).inc();
        if well {
            self.keys_read_at.set((now_ms() / 1_000) as f64);
        }
    }
}
