//! Hiccups: moments in which a core did not run what was due there, for whatever reason: the host had given it to somebody
//! else, or the kernel was at something that it lets nobody interrupt. A message that met one tells of the machine and not of
//! the servers. [`Watch`] finds them, [`Undisturbed`] keeps the latencies of the messages that met none.
//!
//! The idea of a thread that does nothing but notice when it is late is jHiccup's, <https://github.com/giltene/jHiccup>.

mod undisturbed;
mod watch;

use rustix::time::{ClockId, clock_gettime};

pub(crate) use self::undisturbed::Undisturbed;
pub(crate) use self::watch::Watch;

/// What had to wait during a hiccup is done so many times as long behind its end, by a core that is busy for three quarters of
/// its time: b / (1 - b).
const AFTERMATH: u64 = 3;

/// A time between two moments of the monotonic clock, in nanoseconds, which is the same in all processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Span {
    from_ns: u64,
    to_ns: u64,
}

impl Span {
    /// Bytes of one in a file.
    const BYTES: usize = 16;

    fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.from_ns.to_le_bytes());
        bytes[8..].copy_from_slice(&self.to_ns.to_le_bytes());
        bytes
    }

    fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (from, to) = bytes.split_at_checked(8)?;
        let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_le_bytes);
        Some(Self { from_ns: number(from)?, to_ns: number(to)? })
    }

    fn ns(self) -> u64 {
        self.to_ns.saturating_sub(self.from_ns)
    }

    /// With the time in which is done what had to wait.
    fn with_aftermath(self) -> Self {
        Self { to_ns: self.to_ns.saturating_add(self.ns().saturating_mul(AFTERMATH)), ..self }
    }
}

/// Hiccups of all cores and what came of them.
#[derive(Debug, Default)]
struct Hiccups {
    /// In order, with gaps between them.
    spans: Vec<Span>,
}

impl Hiccups {
    /// Adds some, in any order.
    fn add(&mut self, spans: impl IntoIterator<Item = Span>) {
        self.spans.extend(spans.into_iter().map(Span::with_aftermath));
        self.spans.sort_unstable();
        self.spans.dedup_by(|next, last| {
            let meet = next.from_ns <= last.to_ns;
            if meet {
                last.to_ns = last.to_ns.max(next.to_ns);
            }
            meet
        });
    }

    /// Whether what lasted that long met one of them.
    fn met(&self, span: Span) -> bool {
        let begun = self.spans.partition_point(|hiccup| hiccup.from_ns <= span.to_ns);
        begun > 0 && self.spans[begun - 1].to_ns >= span.from_ns
    }
}

/// The monotonic clock, in nanoseconds.
fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn span(from_ns: u64, to_ns: u64) -> Span {
        Span { from_ns, to_ns }
    }

    #[test]
    fn what_overlaps_a_hiccup_or_the_time_in_which_its_queue_is_done_met_it() {
        let mut hiccups = Hiccups::default();
        assert!(!hiccups.met(span(0, 1_000)));
        hiccups.add([span(500, 600), span(100, 110)]);
        hiccups.add([span(550, 570), span(115, 116)]);
        for (from, to, met) in [
            (0, 99, false),
            (0, 100, true),
            (105, 106, true),
            (110, 112, true),
            (141, 499, false),
            (141, 800, true),
            (900, 990, true),
            (901, 990, false),
            (0, 1_000, true),
        ] {
            assert_eq!(hiccups.met(span(from, to)), met, "{from} to {to}");
        }
        assert_eq!(hiccups.spans, [span(100, 140), span(500, 900)]);
    }

    #[test]
    fn a_span_is_read_as_it_was_written() {
        let written = span(1 << 40, u64::MAX);
        assert_eq!(Span::of_bytes(&written.to_bytes()), Some(written));
        assert_eq!(Span::of_bytes(&[0; 15]), None);
        assert_eq!(written.with_aftermath().to_ns, u64::MAX);
    }
}
