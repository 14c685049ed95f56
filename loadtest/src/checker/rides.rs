//! From operations to rides: who was boarded by whom, and from when to when that was certainly so.

use std::collections::HashSet;

use super::{Rule, Verdict};
use crate::history::Answer;
use crate::history::boardings::{BoardingAction, BoardingOperation, Question};

/// A confirmed boarding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ride {
    /// The operation that told of it first.
    pub(crate) operation: u32,
    pub(crate) passenger: u32,
    pub(crate) vehicle: u32,
    pub(crate) fence: u64,
    request: u64,
    /// From then on it was certain.
    pub(crate) told_ns: u64,
    /// From then on it is not: the passenger may have alighted.
    pub(crate) until_ns: u64,
    pub(crate) alighted: Alighted,
}

/// Whether a passenger alighted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alighted {
    No,
    /// It was asked for, and not confirmed.
    Maybe,
    Yes,
}

/// The operations about one passenger, in the order in which they began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Story<'a> {
    pub(crate) operations: &'a [BoardingOperation],
    pub(crate) order: &'a [u32],
}

impl<'a> Story<'a> {
    /// The operations with their numbers.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (u32, &'a BoardingOperation)> {
        let operations = self.operations;
        self.order.iter().map(move |number| (*number, &operations[*number as usize]))
    }

    pub(crate) fn passenger(&self) -> u32 {
        self.operations[self.order[0] as usize].passenger
    }

    /// The confirmed boardings, each once; more than one is a broken promise.
    pub(crate) fn rides(&self, verdict: &mut Verdict) -> Vec<Ride> {
        let mut rides: Vec<Ride> = Vec::new();
        for (number, operation) in self.iter() {
            let BoardingAction::Board { request, answer: Answer::Ok(fence) } = operation.action else {
                continue;
            };
            let told_ns = operation.span.returned_ns;
            let same = |ride: &&mut Ride| (ride.vehicle, ride.fence) == (operation.vehicle, fence);
            match rides.iter_mut().find(same) {
                Some(known) if known.told_ns > told_ns => {
                    *known = Ride { operation: number, request, told_ns, ..*known };
                }
                Some(_) => {}
                None => rides.push(Ride::new(number, operation, request, fence)),
            }
        }
        if let [first, others @ ..] = rides.as_slice() {
            for other in others {
                let operations = [first.operation, other.operation];
                verdict.blame(Rule::BoardedOnce, || self.subject(), &operations);
            }
        }
        self.alight(&mut rides, verdict);
        rides
    }

    /// Ends the rides that were asked to end. A passenger alights with the fence of its boarding, and with
    /// no other.
    fn alight(&self, rides: &mut [Ride], verdict: &mut Verdict) {
        for (number, operation) in self.iter() {
            let BoardingAction::Alight { fence, answer } = operation.action else { continue };
            if let Some(ride) = rides.iter_mut().find(|ride| ride.fence == fence) {
                if answer == Answer::Refused(()) && self.is_surely_on_board(ride, number) {
                    self.contradicts(verdict, [ride.operation, number]);
                }
                ride.until_ns = ride.until_ns.min(operation.span.invoked_ns);
                ride.alighted = match answer {
                    Answer::Ok(()) => Alighted::Yes,
                    Answer::Refused(()) | Answer::Unknown if ride.alighted == Alighted::No => Alighted::Maybe,
                    Answer::Refused(()) | Answer::Unknown => ride.alighted,
                };
            } else if let (Answer::Ok(()), Some(ride)) = (answer, rides.first()) {
                self.contradicts(verdict, [ride.operation, number]);
            }
        }
    }

    /// Whether this passenger is on board through all of the operation `number`, an alighting with the right
    /// fence: the boarding was told before it, and no other alighting began before its end.
    fn is_surely_on_board(&self, ride: &Ride, number: u32) -> bool {
        let span = self.operations[number as usize].span;
        let mut others = self.iter().filter(|(other, _)| *other != number);
        ride.told_ns < span.invoked_ns
            && !others.any(|(_, other)| {
                matches!(other.action, BoardingAction::Alight { fence, .. } if fence == ride.fence)
                    && other.span.invoked_ns <= span.returned_ns
            })
    }

    fn contradicts(&self, verdict: &mut Verdict, operations: [u32; 2]) {
        verdict.blame(Rule::AnswersAgree, || self.subject(), &operations);
    }

    /// Judges the refusals: none names another winner than the one that was confirmed, and what was
    /// confirmed to a request is not refused to its repetition while the passenger is on board.
    pub(crate) fn judge_refusals(&self, rides: &[Ride], verdict: &mut Verdict) {
        let [ride] = rides else { return };
        for (number, operation) in self.iter() {
            let BoardingAction::Board { request, answer: Answer::Refused(winner) } = operation.action else {
                continue;
            };
            let other_winner = winner.is_some_and(|winner| winner != ride.vehicle);
            let span = operation.span;
            let lost =
                request == ride.request && ride.told_ns < span.invoked_ns && span.returned_ns < ride.until_ns;
            if other_winner || lost {
                self.contradicts(verdict, [ride.operation, number]);
            }
        }
    }

    /// Counts the operations without an answer, and those of them that were repeated with one.
    pub(crate) fn count_unknown(&self, verdict: &mut Verdict) {
        let of = |unknown| self.iter().filter(move |(_, o)| o.action.is_unknown() == unknown);
        if of(true).next().is_none() {
            return;
        }
        let answered: HashSet<Question> = of(false).map(|(_, o)| o.action.question()).collect();
        for (_, operation) in of(true) {
            verdict.unknown += 1;
            verdict.resolved += u64::from(answered.contains(&operation.action.question()));
        }
    }

    pub(crate) fn subject(&self) -> String {
        format!("passenger {}", self.passenger())
    }
}

impl Ride {
    fn new(number: u32, operation: &BoardingOperation, request: u64, fence: u64) -> Self {
        Self {
            operation: number,
            passenger: operation.passenger,
            vehicle: operation.vehicle,
            fence,
            request,
            told_ns: operation.span.returned_ns,
            until_ns: u64::MAX,
            alighted: Alighted::No,
        }
    }
}
