//! What is seen each second while a fleet drives, on stderr.

use std::io::{self, IsTerminal, Write};

use tokio::time::Instant;

use super::shared::Shared;

/// A line each second; on a terminal in the same place.
#[derive(Debug)]
pub(super) struct Display {
    begun: Instant,
    terminal: bool,
    shown: (Instant, u64),
}

impl Display {
    pub(super) fn start() -> Self {
        let now = Instant::now();
        Self { begun: now, terminal: io::stderr().is_terminal(), shown: (now, 0) }
    }

    pub(super) fn show(&mut self, shared: &Shared) {
        let line = self.line(shared);
        let (start, end) = if self.terminal { ("\r\x1b[K", "") } else { ("", "\n") };
        // Where nobody reads, nobody misses it.
        write!(io::stderr(), "{start}{line}{end}").and_then(|()| io::stderr().flush()).ok();
    }

    /// Leaves the last line where it is.
    pub(super) fn end(&self) {
        if self.terminal {
            writeln!(io::stderr()).ok();
        }
    }

    fn line(&mut self, shared: &Shared) -> String {
        let (waiting, aboard, violations) = {
            let audit = shared.audit();
            (audit.pools.waiting(), audit.aboard(), audit.violations_total())
        };
        let tally = shared.tally();
        let now = Instant::now();
        let (then, before) = std::mem::replace(&mut self.shown, (now, tally.queries));
        let rate = (tally.queries - before) as f64 / (now - then).as_secs_f64().max(0.001);
        format!(
            "{:>4} s  waiting {waiting}  on board {aboard}  boarded {}  alighted {}  conflicts {}  unknown {}  \
             {rate:.1} queries/s of {:.2} ms  violations {violations}",
            (now - self.begun).as_secs(),
            tally.boarded,
            tally.alighted,
            tally.conflicts,
            tally.unknown,
            tally.query.told().mean_ms,
        )
    }
}
