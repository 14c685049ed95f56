//! What the vehicles of a run did and were told. One thread owns all of them, so this is a plain cell.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use signalbox_client::protocol::control::BoardingDenial;
use tokio::time::Instant;

use super::words::Reply;
use crate::history::Answer;
use crate::history::boardings::{BoardingAction, BoardingHistory, BoardingOperation};
use crate::latency::Latencies;
use crate::report::Report;

/// Shared by the vehicles of a run.
pub(super) type Shared = Rc<RefCell<Record>>;

/// What the vehicles of a run did and were told.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) began: Instant,
    pub(super) history: BoardingHistory,
    /// Boardings that were confirmed, each once.
    pub(super) boardings: u64,
    /// From a request to its first answer.
    answers: Latencies,
    alights: Latencies,
    alighted: u64,
    denials: Denials,
    /// How often a vehicle asked through both connections at once.
    pub(super) doubled: u64,
    /// Questions to which a node said that it can't do anything at the moment.
    pub(super) unavailable: u64,
    /// Connections that broke.
    pub(super) broken: u64,
}

/// Why vehicles were denied what they asked for.
#[derive(Debug, Default)]
struct Denials {
    boarded: u64,
    full: u64,
    stale_fence: u64,
    state: u64,
    not_found: u64,
}

impl Record {
    /// A record with room for so many operations.
    pub(super) fn new(capacities: Vec<u32>, operations: usize) -> Shared {
        Rc::new(RefCell::new(Self {
            began: Instant::now(),
            history: BoardingHistory { operations: Vec::with_capacity(operations), capacities },
            boardings: 0,
            answers: Latencies::default(),
            alights: Latencies::default(),
            alighted: 0,
            denials: Denials::default(),
            doubled: 0,
            unavailable: 0,
            broken: 0,
        }))
    }

    /// Nanoseconds since the run began.
    pub(super) fn now_ns(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// An attempt has ended.
    pub(super) fn add(&mut self, operation: BoardingOperation, reply: Option<&Reply>) {
        if let Some(Reply::Denied { reason, .. }) = reply {
            self.denials.count(*reason);
        }
        let took = Duration::from_nanos(operation.span.returned_ns - operation.span.invoked_ns);
        match operation.action {
            BoardingAction::Board { answer: Answer::Ok(_) | Answer::Refused(_), .. } => {
                self.answers.record(took);
            }
            BoardingAction::Alight { answer: Answer::Ok(()), .. } => {
                self.alighted += 1;
                self.alights.record(took);
            }
            BoardingAction::Board { answer: Answer::Unknown, .. }
            | BoardingAction::Alight { answer: Answer::Refused(()) | Answer::Unknown, .. } => {}
        }
        self.history.operations.push(operation);
    }

    /// Notes what was done.
    pub(super) fn note(&self, report: &mut Report) {
        report.latencies("board", &self.answers);
        report.latencies("alight", &self.alights);
        let Denials { boarded, full, stale_fence, state, not_found } = self.denials;
        for (name, count) in [
            ("boardings", self.boardings),
            ("alighted", self.alighted),
            ("conflicts", boarded),
            ("denied_full", full),
            ("denied_stale_fence", stale_fence),
            ("denied_state", state),
            ("asked_two_at_once", self.doubled),
            ("unavailable", self.unavailable),
            ("connections_broken", self.broken),
        ] {
            report.result(name, count);
        }
        if not_found > 0 {
            report.failure(format!("{not_found} times a passenger or vehicle was not found"));
        }
        if self.broken > 0 {
            report.warning(format!("{} connections broke and were replaced", self.broken));
        }
    }
}

impl Denials {
    fn count(&mut self, reason: BoardingDenial) {
        *match reason {
            BoardingDenial::Boarded => &mut self.boarded,
            BoardingDenial::Full => &mut self.full,
            BoardingDenial::StaleFence => &mut self.stale_fence,
            BoardingDenial::State => &mut self.state,
            BoardingDenial::NotFound => &mut self.not_found,
        } += 1;
    }
}
