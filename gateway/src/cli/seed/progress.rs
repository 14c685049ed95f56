//! How far a long push is: a bar on a terminal, a line now and then elsewhere. Both on stderr.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use tokio::time::Instant;

const BAR_CHARS: usize = 30;
/// Between two pictures of the bar.
const REDRAW: Duration = Duration::from_millis(100);
/// Between two lines where there is no terminal. A push that is shorter prints none.
const LINE: Duration = Duration::from_secs(5);

/// Shows how many of `total` are done.
#[derive(Debug)]
pub(super) struct Progress {
    total: usize,
    begun: Instant,
    shown: Instant,
    terminal: bool,
}

impl Progress {
    pub(super) fn start(total: usize) -> Self {
        let now = Instant::now();
        Self { total, begun: now, shown: now, terminal: io::stderr().is_terminal() }
    }

    /// Shows it, if it is time to.
    pub(super) fn show(&mut self, done: usize) {
        let pause = if self.terminal { REDRAW } else { LINE };
        let finished = self.terminal && done == self.total;
        if self.shown.elapsed() < pause && !finished {
            return;
        }
        self.shown = Instant::now();
        let text = picture(done, self.total, self.begun.elapsed());
        let end = if self.terminal && !finished { "" } else { "\n" };
        let start = if self.terminal { "\r\x1b[K" } else { "" };
        // Where nobody reads, nobody misses it.
        write!(io::stderr(), "{start}{text}{end}").and_then(|()| io::stderr().flush()).ok();
    }
}

fn picture(done: usize, total: usize, elapsed: Duration) -> String {
    let full = (done * BAR_CHARS).checked_div(total).unwrap_or(BAR_CHARS).min(BAR_CHARS);
    let bar = "#".repeat(full) + &".".repeat(BAR_CHARS - full);
    let per_second = done as f64 / elapsed.as_secs_f64().max(0.001);
    format!("[{bar}] {done} of {total} passengers, {per_second:.0}/s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_as_long_as_what_is_done() {
        for (done, total, full) in [(0, 10, 0), (5, 10, 15), (10, 10, 30), (0, 0, 30), (11, 10, 30)] {
            let text = picture(done, total, Duration::from_secs(2));
            assert_eq!(text.matches('#').count(), full, "{text}");
            assert_eq!(text.matches('.').count(), 30 - full, "{text}");
        }
        assert!(picture(500, 1_000, Duration::from_secs(2)).ends_with("500 of 1000 passengers, 250/s"));
    }
}
