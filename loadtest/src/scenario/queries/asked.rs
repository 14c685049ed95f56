//! What the vehicles heard.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::judge::{Near, Wrong};
use crate::latency::Latencies;
use crate::meter::Watched;
use crate::observed::Timeline;
use crate::plant::Plant;
use crate::report::Report;

pub(super) type Shared = Rc<RefCell<Asked>>;

/// What came of a question.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Found {
    /// An answer with these passengers, from the cache or not.
    Passengers { near: Vec<Near>, cached: bool },
    /// No answer, or an error.
    Failed,
}

/// All questions of a run.
#[derive(Debug)]
pub(super) struct Asked {
    timeline: Timeline,
    latencies: Latencies,
    recent: Latencies,
    lags: Latencies,
    answers: u64,
    passengers: u64,
    cached: u64,
    failed: u64,
    wrong: u64,
    first_wrong: Option<Wrong>,
    plant: Plant,
    /// Questions that were due while too many of the same vehicle waited.
    pub(super) not_asked: u64,
}

impl Asked {
    pub(super) fn new(timeline: Timeline, plant: Plant) -> Self {
        Self {
            timeline,
            latencies: Latencies::default(),
            recent: Latencies::default(),
            lags: Latencies::default(),
            answers: 0,
            passengers: 0,
            cached: 0,
            failed: 0,
            wrong: 0,
            first_wrong: None,
            plant,
            not_asked: 0,
        }
    }

    /// A question that was due then and sent later was answered now; `judge` says what is wrong with that.
    pub(super) fn answered(
        &mut self,
        due: Instant,
        sent: Instant,
        found: Found,
        judge: impl FnOnce(&[Near]) -> Option<Wrong>,
    ) {
        let Found::Passengers { mut near, cached } = found else {
            self.failed += 1;
            return;
        };
        self.answers += 1;
        self.plant.spoil(&mut near);
        if let Some(wrong) = judge(&near) {
            self.wrong += 1;
            self.first_wrong.get_or_insert(wrong);
        }
        self.recent.record(due.elapsed());
        if self.timeline.measures(due - self.timeline.began) {
            self.latencies.record(due.elapsed());
            self.lags.record(sent - due);
            self.passengers += near.len() as u64;
            self.cached += u64::from(cached);
        }
    }

    /// How late questions were sent, in one of a hundred cases.
    pub(super) fn lag(&self) -> Duration {
        self.lags.quantile(0.99)
    }

    pub(super) fn note(&self, report: &mut Report) {
        report.latencies("latency", &self.latencies);
        report.latencies("send_lag", &self.lags);
        let measured = self.latencies.count().max(1) as f64;
        report.figure("passengers_per_answer", self.passengers as f64 / measured);
        report.figure("cached_percent", 100.0 * self.cached as f64 / measured);
        report.result("answers", self.answers);
        report.result("wrong_answers", self.wrong);
        if let Some(first) = self.first_wrong {
            report.failure(format!("{} wrong answers, the first: {first}", self.wrong));
        }
        if self.failed + self.not_asked > 0 {
            let Self { failed, not_asked, .. } = self;
            report.failure(format!("{failed} questions without an answer, {not_asked} not asked in time"));
        }
    }
}

impl Watched for Shared {
    fn done(&self) -> u64 {
        self.borrow().answers
    }

    fn turn_over(&self) -> Latencies {
        std::mem::take(&mut self.borrow_mut().recent)
    }
}
