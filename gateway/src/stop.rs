//! The order of stopping, in one place.

/// The steps of a graceful stop, in their order. Each is logged, and exported as `signalbox_stop_phase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopPhase {
    /// Not stopping.
    Serving = 0,
    /// `/readyz` says no, so that the load balancer sends nobody more; everything else goes on.
    NotReady = 1,
    /// No new connection is accepted.
    Refusing = 2,
    /// Connections are closed with 1012 at the set rate; each one unregisters itself.
    Closing = 3,
    /// What is left after the longest time is cut off.
    Cutting = 4,
    /// The lease is released: what rows are left vanish from every answer.
    Releasing = 5,
    /// Nothing runs any more.
    Stopped = 6,
}

impl StopPhase {
    /// Its name in logs and health answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::NotReady => "not_ready",
            Self::Refusing => "refusing",
            Self::Closing => "closing",
            Self::Cutting => "cutting",
            Self::Releasing => "releasing",
            Self::Stopped => "stopped",
        }
    }
}
