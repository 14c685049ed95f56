//! One vehicle: tries for its passengers in their order, and lets some alight.

use std::rc::Rc;

use tokio::sync::mpsc;

use super::line::{Line, Question};
use super::record::Shared;
use super::terms::Terms;
use super::words::Reply;
use crate::dice::Dice;

/// In so many of a hundred cases a vehicle tries to board although it knows that it is full, and to let
/// somebody alight with a fence that is not the boarding's.
const WRONG_PERCENT: u64 = 5;

/// One vehicle.
#[derive(Debug)]
pub(super) struct Vehicle {
    number: u32,
    line: Line,
    /// A second connection, to the next node, for what is asked at the same time.
    second: Line,
    dice: Dice,
    record: Shared,
    terms: Rc<Terms>,
    /// Who is on board, and by which fence.
    aboard: Vec<(u32, u64)>,
    requests: u64,
}

impl Vehicle {
    pub(super) fn new(number: u32, [line, second]: [Line; 2], record: Shared, terms: Rc<Terms>) -> Self {
        let dice = Dice::new(number.into());
        Self { number, line, second, dice, record, terms, aboard: Vec::new(), requests: 0 }
    }

    /// Tries for all its passengers. Answers an error if it can't go on.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        let (terms, number) = (Rc::clone(&self.terms), self.number);
        let mut passengers = (0..terms.passengers).filter(|passenger| terms.tries(number, *passenger));
        let mut result = Ok(());
        while result.is_ok()
            && !terms.stop.is_cancelled()
            && let Some(passenger) = passengers.next()
        {
            let at_once = if self.dice.percent(terms.double_percent) { self.dice.below(2) } else { 2 };
            result = match at_once {
                0 => self.visit(passenger, Some(passenger)).await,
                1 => self.visit(passenger, passengers.next()).await,
                _ => self.visit(passenger, None).await,
            };
        }
        self.line.close().await;
        self.second.close().await;
        result
    }

    /// Tries for each passenger that it is told of, until it will be told of no more.
    pub(super) async fn run_when_told(mut self, mut told: mpsc::Receiver<u32>) -> anyhow::Result<()> {
        let mut result = Ok(());
        while result.is_ok()
            && !self.terms.stop.is_cancelled()
            && let Some(passenger) = self.line.meanwhile(self.second.meanwhile(told.recv())).await
        {
            let twice = self.dice.percent(self.terms.double_percent).then_some(passenger);
            result = self.visit(passenger, twice).await;
        }
        self.line.close().await;
        self.second.close().await;
        result
    }

    /// Makes room, and tries for a passenger; and at once, through the other connection, for `second`, which
    /// may be the same one.
    async fn visit(&mut self, passenger: u32, second: Option<u32>) -> anyhow::Result<()> {
        let is_full = self.aboard.len() >= self.terms.capacity as usize;
        let alights = self.dice.percent(self.terms.alight_percent);
        if !self.aboard.is_empty() && (alights || is_full && !self.dice.percent(WRONG_PERCENT)) {
            self.alight().await?;
        }
        let request = self.next_request();
        let Some(second) = second else {
            let reply = self.line.ask(passenger, request).await?;
            self.boarded(passenger, reply);
            return Ok(());
        };
        self.record.borrow_mut().doubled += 1;
        let second_request = if second == passenger { request } else { self.next_request() };
        let (line, other) = (&mut self.line, &mut self.second);
        let asking = tokio::try_join!(line.ask(passenger, request), other.ask(second, second_request));
        let (reply, second_reply) = asking?;
        self.boarded(passenger, reply);
        self.boarded(second, second_reply);
        Ok(())
    }

    fn next_request(&mut self) -> Question {
        self.requests += 1;
        Question::Board { request: u64::from(self.number) << 32 | self.requests }
    }

    /// Takes note of who is on board now.
    fn boarded(&mut self, passenger: u32, reply: Option<Reply>) {
        let Some(Reply::Confirmed { fence, .. }) = reply else { return };
        if !self.aboard.contains(&(passenger, fence)) {
            self.aboard.push((passenger, fence));
            self.record.borrow_mut().boardings += 1;
        }
    }

    async fn alight(&mut self) -> anyhow::Result<()> {
        let place = self.dice.below(self.aboard.len() as u64) as usize;
        let (passenger, fence) = self.aboard.swap_remove(place);
        if self.dice.percent(WRONG_PERCENT) {
            self.line.ask(passenger, Question::Alight { fence: fence.saturating_sub(1) }).await?;
        }
        self.line.ask(passenger, Question::Alight { fence }).await?;
        Ok(())
    }
}
