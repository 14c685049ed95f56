//! What the contenders of a run did and were told. One thread owns all of them, so this is a plain cell.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::history::Answer;
use crate::history::locks::{LockAction, LockOperation};
use crate::latency::Latencies;
use crate::meter::Watched;
use crate::observed::Timeline;
use crate::report::Report;

/// Shared by the contenders of a run.
pub(super) type Shared = Rc<RefCell<Record>>;

/// What the contenders of a run did and were told.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) timeline: Timeline,
    pub(super) history: Vec<LockOperation>,
    /// Of each contender, in the measured part.
    pub(super) grants: Vec<u64>,
    /// Grants and releases so far.
    done: u64,
    /// From the moment at which a lock was wanted to the answer that grants it.
    acquires: Latencies,
    /// The same, of the time since the last progress.
    recent: Latencies,
    releases: Latencies,
    start_lags: Latencies,
    renewals: u64,
    denials: u64,
    /// Releases and renewals that were refused.
    refusals: u64,
    /// Questions to which a node said that it can't do anything at the moment.
    unavailable: u64,
    /// Connections that broke.
    pub(super) broken: u64,
    /// Questions that were given up because the run was over.
    pub(super) cut_off: u64,
    /// What was due and never begun.
    pub(super) never_begun: u64,
}

impl Record {
    /// A record with room for so many operations.
    pub(super) fn new(timeline: Timeline, contenders: u32, operations: usize) -> Shared {
        Rc::new(RefCell::new(Self {
            timeline,
            history: Vec::with_capacity(operations),
            grants: vec![0; contenders as usize],
            done: 0,
            acquires: Latencies::default(),
            recent: Latencies::default(),
            releases: Latencies::default(),
            start_lags: Latencies::default(),
            renewals: 0,
            denials: 0,
            refusals: 0,
            unavailable: 0,
            broken: 0,
            cut_off: 0,
            never_begun: 0,
        }))
    }

    /// Nanoseconds since the run began.
    pub(super) fn now_ns(&self) -> u64 {
        self.timeline.began.elapsed().as_nanos() as u64
    }

    /// An operation has ended.
    pub(super) fn add(&mut self, operation: LockOperation) {
        let [invoked, returned] =
            [operation.span.invoked_ns, operation.span.returned_ns].map(Duration::from_nanos);
        match operation.action {
            LockAction::Acquire(Answer::Ok(_)) => {
                self.done += 1;
                if self.timeline.measures(returned) {
                    self.grants[operation.client as usize] += 1;
                }
            }
            LockAction::Acquire(Answer::Refused(())) => self.denials += 1,
            LockAction::Release { answer: Answer::Ok(()), .. } => {
                self.done += 1;
                if self.timeline.measures(invoked) {
                    self.releases.record(returned - invoked);
                }
            }
            LockAction::Renew { answer: Answer::Ok(_), .. } => self.renewals += 1,
            LockAction::Renew { answer: Answer::Refused(()), .. }
            | LockAction::Release { answer: Answer::Refused(()), .. } => self.refusals += 1,
            LockAction::Acquire(Answer::Unknown)
            | LockAction::Renew { answer: Answer::Unknown, .. }
            | LockAction::Release { answer: Answer::Unknown, .. } => {}
        }
        self.history.push(operation);
    }

    /// A contender began only now what was due at `due` after the beginning.
    pub(super) fn began(&mut self, due: Duration) {
        if self.timeline.measures(due) {
            self.start_lags.record(self.timeline.began.elapsed().saturating_sub(due));
        }
    }

    /// A lock that was wanted at `due` after the beginning has just been granted.
    pub(super) fn granted(&mut self, due: Duration) {
        if self.timeline.measures(due) {
            self.recent.record(self.timeline.began.elapsed().saturating_sub(due));
        }
    }

    /// A node could not do anything.
    pub(super) fn unavailable(&mut self) {
        self.unavailable += 1;
    }

    /// How late contenders began, in one case of a hundred.
    pub(super) fn start_lag_p99(&self) -> Duration {
        self.start_lags.quantile(0.99)
    }

    /// Notes what was done.
    pub(super) fn note(&mut self, report: &mut Report) {
        self.turn_over();
        report.figure(
            "grants_per_second",
            self.grants.iter().sum::<u64>() as f64 / self.timeline.measured.as_secs_f64(),
        );
        report.latencies("acquire", &self.acquires);
        report.latencies("release", &self.releases);
        for (name, count) in [
            ("renewals", self.renewals),
            ("denials", self.denials),
            ("refusals", self.refusals),
            ("unavailable", self.unavailable),
            ("connections_broken", self.broken),
            ("cut_off_at_the_end", self.cut_off),
        ] {
            report.result(name, count);
        }
        if self.never_begun > 0 {
            report.result("never_begun", self.never_begun);
            report.warning(format!("{} acquisitions were due and never begun", self.never_begun));
        }
        if self.broken > 0 {
            report.warning(format!("{} connections broke and were replaced", self.broken));
        }
    }

    fn turn_over(&mut self) -> Latencies {
        let recent = self.recent.clone();
        self.acquires.merge(&recent);
        self.recent.clear();
        recent
    }
}

impl Watched for RefCell<Record> {
    fn done(&self) -> u64 {
        self.borrow().done
    }

    fn turn_over(&self) -> Latencies {
        self.borrow_mut().turn_over()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Span;
    use crate::history::locks::Granted;

    #[tokio::test(start_paused = true)]
    async fn all_operations_are_kept_and_those_of_the_measured_part_are_measured() {
        let seconds = Duration::from_secs;
        let timeline = Timeline::starting_now(seconds(2), seconds(10));
        let record = Record::new(timeline, 2, 4);
        let mut record = record.borrow_mut();
        let mut add = |client, second: u64, action| {
            let span = Span { invoked_ns: second * 1_000_000_000, returned_ns: second * 1_000_000_000 + 500 };
            record.add(LockOperation { client, resource: 0, request: second, span, action });
        };
        for second in 0..15 {
            add(1, second, LockAction::Acquire(Answer::Ok(Granted { fence: second, ttl_ms: 1 })));
            add(1, second, LockAction::Release { fence: second, answer: Answer::Ok(()) });
        }
        add(0, 3, LockAction::Acquire(Answer::Refused(())));
        add(0, 3, LockAction::Acquire(Answer::Unknown));
        add(0, 3, LockAction::Release { fence: 1, answer: Answer::Refused(()) });
        assert_eq!((record.grants.as_slice(), record.done), (&[0, 10][..], 30));
        assert_eq!((record.releases.count(), record.denials, record.refusals), (10, 1, 1));
        assert_eq!(record.history.len(), 33);
    }
}
