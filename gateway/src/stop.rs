//! The order of stopping, in one place: its steps, who may ask for it, and who leaves when. Also who leaves a node that goes on.

mod balance;
mod departures;
mod drain;
mod pace;
mod request;
mod turnover;

pub use self::balance::{Balance, Share};
pub use self::departures::Departures;
pub use self::drain::{drain, tell_newcomer, time_to_part};
pub use self::pace::Pace;
pub use self::request::StopRequest;
pub use self::turnover::{MaxAge, Old, serve};

/// The steps of a stop, in their order. Each is logged, exported as `signalbox_stop_phase`, written on the node's
/// card and told by `/readyz?verbose`. Until the lease is released messages flow, commands are answered and the
/// lease is renewed as ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopPhase {
    /// Not stopping.
    Serving = 0,
    /// `/readyz` says no, so that the load balancer sends nobody more; it is given time to notice.
    NotReady = 1,
    /// Handshakes are refused with 503; HTTP requests are still answered.
    Refusing = 2,
    /// Every connection is told by `system:draining` when it shall connect again.
    Announcing = 3,
    /// Connections are closed with 1012 at the set rate, each no earlier than it was told.
    Closing = 4,
    /// All are told to close: what waits for each goes out before its close frame, within the time of a close.
    Flushing = 5,
    /// The time is over, or somebody cut it short: who is left is closed at once.
    Cutting = 6,
    /// The last socket is gone; the last rows are removed, each only if it is still ours.
    Unregistering = 7,
    /// The port is closed and the lease released: rows that are left vanish from every answer.
    Releasing = 8,
    /// Nothing runs any more.
    Stopped = 9,
}

impl StopPhase {
    /// All of them, in order.
    pub const ALL: [Self; 10] = [
        Self::Serving,
        Self::NotReady,
        Self::Refusing,
        Self::Announcing,
        Self::Closing,
        Self::Flushing,
        Self::Cutting,
        Self::Unregistering,
        Self::Releasing,
        Self::Stopped,
    ];

    /// Its name in logs, on the node's card and in health answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::NotReady => "not_ready",
            Self::Refusing => "refusing",
            Self::Announcing => "announcing",
            Self::Closing => "closing",
            Self::Flushing => "flushing",
            Self::Cutting => "cutting",
            Self::Unregistering => "unregistering",
            Self::Releasing => "releasing",
            Self::Stopped => "stopped",
        }
    }
}

#[cfg(test)]
mod tests;
