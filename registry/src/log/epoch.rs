//! Which life of a log a position belongs to. Pure: texts in, verdicts out.
//!
//! ```text
//! data set.since           the first life of a log, or a topic without one
//! data set.since.forced    a later life: whoever holds an earlier position may miss something
//! ```
//!
//! *Data set* names what Redis holds: it changes when Redis was emptied, restarted, or a replica was
//! promoted. *Since* is a time of Redis' clock in milliseconds, in base 16.
//!
//! A topic in which nobody has said anything has no keys. Who looks at it is told the time at which it looked;
//! the first message makes a log whose epoch is the time of that message. Its first life is the one that
//! follows what the looker was told if no other life can lie between; and it can't, since a log is remembered
//! for [`REMEMBERED`] after its last message: so the two times must be closer than that. The same then holds for
//! whatever offset is reached later under the epoch that was told first.

use std::time::Duration;

use signalbox_protocol::control::{Discontinuity, Position};

/// How long a log is remembered after its last message, at least: its epoch and offset, not the messages.
pub const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Epoch<'a> {
    pub(crate) data_set: &'a str,
    since_ms: u64,
    forced: bool,
}

impl<'a> Epoch<'a> {
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split('.');
        let (data_set, since) = (parts.next()?, parts.next()?);
        let forced = parts.next().is_some();
        let since_ms = u64::from_str_radix(since, 16).ok()?;
        parts.next().is_none().then_some(Self { data_set, since_ms, forced })
    }
}

/// The epoch of a log that begins now, or of a topic that has none now.
pub(crate) fn first(data_set: &str, now_ms: u64) -> String {
    format!("{data_set}.{now_ms:x}")
}

/// Whether somebody who has had everything up to `held` can have what follows up to `head`, as far as epochs and
/// offsets tell.
///
/// # Errors
/// Why it can't: something may be missing.
pub fn judge(held: &Position, head: &Position) -> Result<(), Discontinuity> {
    if held.epoch != head.epoch {
        continues(&held.epoch, &head.epoch)?;
    }
    if held.offset > head.offset { Err(Discontinuity::Epoch) } else { Ok(()) }
}

fn continues(held: &str, head: &str) -> Result<(), Discontinuity> {
    let (Some(held), Some(head)) = (Epoch::parse(held), Epoch::parse(head)) else {
        return Err(Discontinuity::Epoch);
    };
    if held.forced || head.forced || held.data_set != head.data_set || held.since_ms > head.since_ms {
        return Err(Discontinuity::Epoch);
    }
    let apart = Duration::from_millis(head.since_ms - held.since_ms);
    if apart < REMEMBERED { Ok(()) } else { Err(Discontinuity::Expired) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: &str, offset: u64) -> Position {
        Position { epoch: epoch.to_owned(), offset }
    }

    #[test]
    fn positions_are_judged() {
        let (epoch, expired) = (Err(Discontinuity::Epoch), Err(Discontinuity::Expired));
        let (day, late) = (first("s", 86_399_999), first("s", 86_400_000));
        for (held, head, verdict) in [
            (at("s.1", 0), at("s.1", 0), Ok(())),
            (at("s.1", 3), at("s.1", 7), Ok(())),
            (at("s.1", 8), at("s.1", 7), epoch),
            // Told before the first message, and since.
            (at("s.1", 0), at("s.5", 7), Ok(())),
            (at("s.1", 7), at("s.5", 7), Ok(())),
            (at("s.0", 0), at(&day, 7), Ok(())),
            (at("s.0", 0), at(&late, 7), expired),
            // A log that is forgotten, and one that was told after it began.
            (at("s.1", 7), at("s.5", 0), epoch),
            (at("s.5", 0), at("s.1", 7), epoch),
            // Another data set, another life.
            (at("r.1", 0), at("s.1", 7), epoch),
            (at("s.1", 7), at("s.1.f", 7), epoch),
            (at("s.1.f", 7), at("s.2", 7), epoch),
            (at("s.1.f", 7), at("s.1.f", 8), Ok(())),
            (at("s.1.e", 7), at("s.1.f", 8), epoch),
            // What no node has told.
            (at("", 0), at("s.1", 7), epoch),
            (at("s", 0), at("s.1", 7), epoch),
            (at("s.x", 0), at("s.1", 7), epoch),
            (at("s.1.f.f", 0), at("s.1", 7), epoch),
        ] {
            assert_eq!(judge(&held, &head), verdict, "{held:?} {head:?}");
        }
    }
}
