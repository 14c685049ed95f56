//! Why a follower of a topic does not get what the others get, and when it does again.

use signalbox_protocol::control::Position;
use signalbox_registry::log::judge;

/// Why a follower does not get all that others get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// It has not been told yet that it follows the topic: it gets nothing.
    Joining,
    /// It reads the topic's log by itself.
    CatchingUp,
    /// It has read further than the others have got.
    From(Position),
}

/// Whether a follower that caught up is one of all now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caught {
    /// It is.
    Up,
    /// It is, and the node itself has to look into the log.
    UpWithDoubt,
    /// There is more to read first.
    Behind,
}

/// Whether the offsets of both can be compared.
pub(super) fn alike(one: &Position, other: &Position) -> bool {
    one.epoch == other.epoch || judge(one, other).is_ok() || judge(other, one).is_ok()
}

/// Whether somebody who has read so far has this message, or does not want it: it is of a life that is over.
pub(super) fn has(read: &Position, message: &Position) -> bool {
    message.offset <= read.offset || !alike(read, message)
}
