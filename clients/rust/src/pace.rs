//! When to connect again: after a failed attempt, after a connection, after a node that said when.

use std::time::Duration;

use fastrand::Rng;

use crate::backoff::Backoff;
use crate::closed::Closed;
use crate::error::ConnectError;

/// Nobody is believed who wants a client to stay away for longer.
const ASKED_MAX: Duration = Duration::from_secs(5 * 60);

/// How a client comes back.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    backoff: Backoff,
    stable_after: Duration,
    rng: Rng,
}

impl Pace {
    /// A connection that lasted for `stable_after` makes the back-off begin anew.
    pub(crate) fn new(backoff: Backoff, stable_after: Duration, rng: Rng) -> Self {
        Self { backoff, stable_after, rng }
    }

    /// How long to wait after an attempt that failed. A node that names a time is obeyed, and the jitter comes
    /// on top: others were told the same.
    pub(crate) fn after_attempt(&mut self, error: &ConnectError) -> Duration {
        match error {
            ConnectError::Refused { retry_after: Some(asked), .. } => {
                (*asked).min(ASKED_MAX) + self.backoff.next(&mut self.rng)
            }
            ConnectError::Closed(closed) => self.after_close(closed),
            _ => self.backoff.next(&mut self.rng),
        }
    }

    /// How long to wait after a connection that lasted for `lasted`. Who was told when to come (`told`, counted
    /// from now) comes then: the node has spread its clients already.
    pub(crate) fn after_connection(
        &mut self,
        closed: &Closed,
        lasted: Duration,
        told: Option<Duration>,
    ) -> Duration {
        if lasted >= self.stable_after {
            self.backoff.reset();
        }
        match told {
            Some(told) => told.min(ASKED_MAX),
            None => self.after_close(closed),
        }
    }

    fn after_close(&mut self, closed: &Closed) -> Duration {
        if closed.is_overload() {
            self.backoff.longest(&mut self.rng)
        } else {
            self.backoff.next(&mut self.rng)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::closed::CloseCause;

    const SECOND: Duration = Duration::from_secs(1);

    fn pace() -> Pace {
        Pace::new(Backoff::new(SECOND, 5 * SECOND), 10 * SECOND, Rng::with_seed(7))
    }

    fn refused(retry_after: Option<Duration>) -> ConnectError {
        ConnectError::Refused { status: 503, retry_after, body: String::new() }
    }

    fn closed(code: u16) -> Closed {
        CloseCause::ByNode { code, reason: "".into() }.into()
    }

    /// The largest of many waits, in seconds, rounded up.
    fn ceiling(wait: impl Fn(&mut Pace) -> Duration, pace: &Pace) -> f64 {
        let mut rng = Rng::with_seed(3);
        let waits = (0..500).map(|_| wait(&mut Pace { rng: rng.fork(), ..pace.clone() }));
        waits.max().unwrap_or_default().as_secs_f64().ceil()
    }

    #[test]
    fn a_named_time_is_the_least_and_the_jitter_comes_on_top() {
        for _ in 0..100 {
            let wait = pace().after_attempt(&refused(Some(7 * SECOND)));
            assert!((7 * SECOND..8 * SECOND).contains(&wait), "{wait:?}");
        }
        let for_ever = pace().after_attempt(&refused(Some(Duration::MAX)));
        assert!(for_ever <= ASKED_MAX + SECOND, "{for_ever:?}");
    }

    #[test]
    fn only_a_stable_connection_makes_the_back_off_begin_anew() {
        let mut tired = pace();
        for _ in 0..5 {
            tired.after_attempt(&refused(None));
        }
        let after = |lasted| move |pace: &mut Pace| pace.after_connection(&closed(1006), lasted, None);
        assert_eq!(ceiling(after(9 * SECOND), &tired), 5.0);
        assert_eq!(ceiling(after(10 * SECOND), &tired), 1.0);
    }

    #[test]
    fn who_was_told_when_to_come_comes_then() {
        let told = |told| pace().after_connection(&closed(1012), SECOND, Some(told));
        assert_eq!([told(Duration::ZERO), told(3 * SECOND)], [Duration::ZERO, 3 * SECOND]);
        assert_eq!(told(Duration::MAX), ASKED_MAX);
        let mut moved = pace();
        for _ in 0..5 {
            moved.after_connection(&closed(1012), SECOND, Some(SECOND));
        }
        let next = |pace: &mut Pace| pace.after_connection(&closed(1006), SECOND, None);
        assert_eq!(ceiling(next, &moved), 1.0, "a move is no failure");
    }

    #[test]
    fn an_overloaded_node_is_left_alone_for_longer() {
        for (code, seconds) in [(1013, 5.0), (4429, 5.0), (1012, 1.0), (1006, 1.0)] {
            let wait = |pace: &mut Pace| pace.after_connection(&closed(code), SECOND, None);
            assert_eq!(ceiling(wait, &pace()), seconds, "{code}");
            let wait = |pace: &mut Pace| pace.after_attempt(&ConnectError::Closed(closed(code)));
            assert_eq!(ceiling(wait, &pace()), seconds, "{code}");
        }
    }
}
