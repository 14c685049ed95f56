//! What is counted of who may not come in, and of who may not do what it asked for.

use prometheus::{IntCounterVec, Registry};
use signalbox_identity::{Rejected, Verb};

use super::make::labelled;
use crate::identity::Refused;

/// Counters of refusals for want of a right.
#[derive(Debug, Clone)]
#[expect(
    missing_docs,
    reason = "the help texts stand in `AccessMetrics::new`, where Prometheus gets them from"
)]
pub struct AccessMetrics {
    pub refusals: IntCounterVec,
    pub strangers: IntCounterVec,
}

impl AccessMetrics {
    /// Beside the verbs: the namespace is none of the token's list.
    pub const NAMESPACE: &str = "namespace";

    pub(super) fn new(r: &Registry) -> Self {
        let refusals = labelled(
            r,
            "signalbox_capability_refusals_total",
            "Requests refused for want of a capability, by verb.",
            "verb",
        );
        for verb in Verb::ALL.map(Verb::as_str).into_iter().chain([Self::NAMESPACE]) {
            refusals.with_label_values(&[verb]);
        }
        let strangers = labelled(
            r,
            "signalbox_token_refusals_total",
            "Handshakes and requests refused for want of a token that is believed, by reason.",
            "reason",
        );
        for reason in Rejected::NAMES.into_iter().chain(Refused::NAMES) {
            strangers.with_label_values(&[reason]);
        }
        Self { refusals, strangers }
    }

    /// Counts somebody for whom no token vouches.
    pub fn count_stranger(&self, refused: &Refused) {
        if let Some(reason) = refused.as_str() {
            self.strangers.with_label_values(&[reason]).inc();
        }
    }

    /// Counts something that was refused for want of a right.
    pub fn count_refusal(&self, verb: &str) {
        self.refusals.with_label_values(&[verb]).inc();
    }
}
