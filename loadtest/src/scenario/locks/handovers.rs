//! How long a lock lay idle while somebody wanted it: from a release to the next grant.

use std::collections::HashMap;
use std::time::Duration;

use crate::history::Answer;
use crate::history::locks::{LockAction, LockOperation};
use crate::latency::Latencies;
use crate::report::Report;

/// The hand-overs of a run.
#[derive(Debug, Default)]
pub(super) struct Handovers {
    /// From the moment at which the release was sent to the next holder's answer.
    from_release: Latencies,
    /// From the answer to the release to the next holder's answer, which may be earlier: then it is none.
    from_answer: Latencies,
}

/// A grant whose holder gave it back.
#[derive(Debug, Clone, Copy, Default)]
struct Term {
    resource: u32,
    /// When its holder began to want it, through all denials.
    wanted_ns: u64,
    granted_ns: u64,
    /// When its holder sent the release, and got the answer; `None` if it was not confirmed.
    released: Option<(u64, u64)>,
}

impl Handovers {
    /// Of all grants for which somebody was waiting, or trying again and again, when the release was sent.
    pub(super) fn of(history: &[LockOperation]) -> Self {
        let mut terms = terms(history);
        terms.sort_unstable_by_key(|term| (term.resource, term.granted_ns));
        let mut handovers = Self::default();
        for pair in terms.windows(2) {
            let [before, next] = [pair[0], pair[1]];
            let Some((sent_ns, answered_ns)) = before.released else { continue };
            if before.resource == next.resource && next.wanted_ns < sent_ns {
                let since = |ns| Duration::from_nanos(next.granted_ns.saturating_sub(ns));
                handovers.from_release.record(since(sent_ns));
                handovers.from_answer.record(since(answered_ns));
            }
        }
        handovers
    }

    pub(super) fn note(&self, report: &mut Report) {
        report.result("handovers", self.from_release.count());
        if self.from_release.count() > 0 {
            report.latencies("handover", &self.from_release);
            report.latencies("handover_after_answer", &self.from_answer);
        }
    }
}

/// Each grant with what became of it. The operations of a client stand in the order in which it asked.
fn terms(history: &[LockOperation]) -> Vec<Term> {
    let mut terms: Vec<Term> = Vec::new();
    // By client: the resource that it wants, and since when; and its last grant.
    let mut wants: HashMap<u32, (u32, u64)> = HashMap::new();
    let mut holds: HashMap<u32, usize> = HashMap::new();
    for operation in history {
        let LockOperation { client, resource, span, .. } = *operation;
        match operation.action {
            LockAction::Acquire(answer) => {
                let want = wants.entry(client).or_insert((resource, span.invoked_ns));
                if want.0 != resource {
                    *want = (resource, span.invoked_ns);
                }
                if let Answer::Ok(_) = answer {
                    let (wanted_ns, granted_ns) = (want.1, span.returned_ns);
                    wants.remove(&client);
                    holds.insert(client, terms.len());
                    terms.push(Term { resource, wanted_ns, granted_ns, released: None });
                }
            }
            LockAction::Release { answer: Answer::Ok(()), .. } => {
                if let Some(place) = holds.remove(&client) {
                    terms[place].released = Some((span.invoked_ns, span.returned_ns));
                }
            }
            LockAction::Release { .. } | LockAction::Renew { .. } => {}
        }
    }
    terms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Span;
    use crate::history::locks::Granted;

    fn at(
        client: u32,
        resource: u32,
        [invoked_us, returned_us]: [u64; 2],
        action: LockAction,
    ) -> LockOperation {
        let span = Span { invoked_ns: invoked_us * 1_000, returned_ns: returned_us * 1_000 };
        LockOperation { client, resource, request: 0, span, action }
    }

    const GRANTED: LockAction = LockAction::Acquire(Answer::Ok(Granted { fence: 1, ttl_ms: 5_000 }));
    const DENIED: LockAction = LockAction::Acquire(Answer::Refused(()));
    const RELEASED: LockAction = LockAction::Release { fence: 1, answer: Answer::Ok(()) };

    fn found(history: &[LockOperation]) -> (u64, u128, u128) {
        let handovers = Handovers::of(history);
        let [release, answer] =
            [&handovers.from_release, &handovers.from_answer].map(|l| l.max().as_micros());
        (handovers.from_release.count(), release, answer)
    }

    #[test]
    fn a_waiter_gets_what_is_released() {
        let history =
            [at(1, 7, [0, 10], GRANTED), at(1, 7, [100, 120], RELEASED), at(2, 7, [50, 150], GRANTED)];
        assert_eq!(found(&history), (1, 50, 30));
        let quicker = [history[0], at(2, 7, [50, 115], GRANTED), history[1]];
        assert_eq!(found(&quicker), (1, 15, 0));
    }

    #[test]
    fn whoever_is_denied_wants_it_since_the_first_time() {
        let history = [
            at(1, 7, [0, 10], GRANTED),
            at(2, 7, [50, 60], DENIED),
            at(1, 7, [100, 120], RELEASED),
            at(2, 7, [200, 210], GRANTED),
        ];
        assert_eq!(found(&history), (1, 110, 90));
        let elsewhere = [history[0], at(2, 8, [50, 60], DENIED), history[2], history[3]];
        assert_eq!(found(&elsewhere).0, 0);
    }

    #[test]
    fn idle_time_that_nobody_minded_is_no_handover() {
        let released = [at(1, 7, [0, 10], GRANTED), at(1, 7, [100, 120], RELEASED)];
        assert_eq!(found(&[released[0], released[1], at(2, 7, [101, 150], GRANTED)]).0, 0);
        assert_eq!(found(&[released[0], released[1], at(2, 8, [50, 150], GRANTED)]).0, 0);
        let lost = LockAction::Release { fence: 1, answer: Answer::Unknown };
        assert_eq!(found(&[released[0], at(1, 7, [100, 120], lost), at(2, 7, [50, 150], GRANTED)]).0, 0);
        assert_eq!(found(&[]).0, 0);
    }
}
