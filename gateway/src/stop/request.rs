//! Who asked the node to stop, and whether it shall hurry.

use std::sync::OnceLock;

use signalbox_protocol::control::DrainReason;
use tokio_util::sync::CancellationToken;

/// The wish that a node stops; shared by whoever may have it.
#[derive(Debug, Default)]
pub struct StopRequest {
    reason: OnceLock<DrainReason>,
    asked: CancellationToken,
    hurry: CancellationToken,
}

impl StopRequest {
    /// Asks the node to drain and stop; the first reason stays.
    pub fn ask(&self, reason: DrainReason) {
        self.reason.get_or_init(|| reason);
        self.asked.cancel();
    }

    /// Resolves once it was asked for.
    ///
    /// # Cancel safety
    /// Nothing is lost when this is dropped while it waits.
    pub async fn asked(&self) {
        self.asked.cancelled().await;
    }

    /// Why the node stops; `Stopping` while nobody asked.
    pub fn reason(&self) -> DrainReason {
        self.reason.get().copied().unwrap_or(DrainReason::Stopping)
    }

    /// Ends all waiting of a stop, whether it has begun or not.
    pub fn cut_short(&self) {
        self.hurry.cancel();
    }

    /// Resolves once it was cut short.
    ///
    /// # Cancel safety
    /// Nothing is lost when this is dropped while it waits.
    pub async fn hurried(&self) {
        self.hurry.cancelled().await;
    }
}
