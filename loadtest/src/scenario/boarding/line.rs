//! One connection of a vehicle: asks, and asks again with the same request until it is answered.

use std::rc::Rc;
use std::time::Duration;

use anyhow::bail;
use tokio::time::sleep;

use super::record::Shared;
use super::terms::Terms;
use super::words::{self, Reply};
use crate::asking::{Asker, Heard};
use crate::history::boardings::{BoardingAction, BoardingOperation};
use crate::history::{Answer, Span};

/// A node has so long to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The pause before a question is asked again.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// One connection of a vehicle, with one question under way at most.
#[derive(Debug)]
pub(super) struct Line {
    vehicle: u32,
    asker: Asker,
    record: Shared,
    terms: Rc<Terms>,
    questions: u64,
}

/// What is asked about a passenger.
#[derive(Debug, Clone, Copy)]
pub(super) enum Question {
    Board { request: u64 },
    Alight { fence: u64 },
}

impl Line {
    pub(super) fn new(vehicle: u32, asker: Asker, record: Shared, terms: Rc<Terms>) -> Self {
        Self { vehicle, asker, record, terms, questions: 0 }
    }

    /// Asks until there is an answer; all attempts become history. `None` if the run was stopped before.
    pub(super) async fn ask(&mut self, passenger: u32, question: Question) -> anyhow::Result<Option<Reply>> {
        while !self.terms.stop.is_cancelled() {
            self.asker.ready().await?;
            let invoked_ns = self.record.borrow().now_ns();
            let reply = match self.hear(passenger, question).await? {
                Heard::Answer(reply) => Some(reply),
                Heard::Nothing => None,
                Heard::NotNow => {
                    // Nothing was done: no matter for the history.
                    self.record.borrow_mut().unavailable += 1;
                    self.rest().await;
                    continue;
                }
            };
            self.note(passenger, question, invoked_ns, reply)?;
            if reply.is_some() {
                return Ok(reply);
            }
            self.rest().await;
        }
        Ok(None)
    }

    /// Waits for something else; meanwhile the node's pings are answered.
    pub(super) async fn meanwhile<T>(&mut self, other: impl Future<Output = T>) -> T {
        self.asker.meanwhile(other).await
    }

    /// Ends the connection.
    pub(super) async fn close(self) {
        self.record.borrow_mut().broken += self.asker.broken();
        self.asker.close().await;
    }

    async fn rest(&mut self) {
        let resting = self.terms.stop.run_until_cancelled(sleep(AGAIN_AFTER));
        self.asker.meanwhile(resting).await;
    }

    /// Asks once.
    async fn hear(&mut self, passenger: u32, question: Question) -> anyhow::Result<Heard<Reply>> {
        self.questions += 1;
        let id = self.questions.to_string();
        let Terms { names, stop, .. } = &*self.terms;
        let passenger_id = names.passenger(passenger);
        let words = match question {
            Question::Board { request } => words::board(&id, &passenger_id, request),
            Question::Alight { fence } => words::alight(&id, &passenger_id, fence),
        };
        let asking = self.asker.ask(words, ANSWER_WITHIN, |text| Reply::read(text, &id, names));
        stop.run_until_cancelled(asking).await.unwrap_or(Ok(Heard::Nothing))
    }

    /// Adds to the history what an attempt came to.
    fn note(
        &self,
        passenger: u32,
        question: Question,
        invoked_ns: u64,
        reply: Option<Reply>,
    ) -> anyhow::Result<()> {
        let action = match (question, reply) {
            (Question::Board { request }, reply) => {
                let answer = match reply {
                    Some(Reply::Confirmed { vehicle, fence }) if vehicle == self.vehicle => Answer::Ok(fence),
                    Some(Reply::Denied { boarded_by, .. }) => Answer::Refused(boarded_by),
                    None => Answer::Unknown,
                    Some(other) => bail!("vehicle {} hears {other:?} to a request", self.vehicle),
                };
                BoardingAction::Board { request, answer }
            }
            (Question::Alight { fence }, reply) => {
                let answer = match reply {
                    Some(Reply::Alighted) => Answer::Ok(()),
                    Some(Reply::Denied { .. }) => Answer::Refused(()),
                    None => Answer::Unknown,
                    Some(other @ Reply::Confirmed { .. }) => {
                        bail!("vehicle {} hears {other:?} when it alights", self.vehicle)
                    }
                };
                BoardingAction::Alight { fence, answer }
            }
        };
        let mut record = self.record.borrow_mut();
        let span = Span { invoked_ns, returned_ns: record.now_ns() };
        let operation = BoardingOperation { passenger, vehicle: self.vehicle, span, action };
        record.add(operation, reply.as_ref());
        Ok(())
    }
}
