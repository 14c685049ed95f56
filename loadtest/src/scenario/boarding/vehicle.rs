//! One vehicle: tries for its passengers in their order, and lets some alight.

use std::rc::Rc;

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
    /// A second connection, to the next node, for requests that are sent twice.
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
        let mut result = Ok(());
        for passenger in (0..terms.passengers).filter(|passenger| terms.tries(number, *passenger)) {
            if result.is_err() || terms.stop.is_cancelled() {
                break;
            }
            result = self.visit(passenger).await;
        }
        self.line.close().await;
        self.second.close().await;
        result
    }

    async fn visit(&mut self, passenger: u32) -> anyhow::Result<()> {
        let is_full = self.aboard.len() >= self.terms.capacity as usize;
        let alights = self.dice.percent(self.terms.alight_percent);
        if !self.aboard.is_empty() && (alights || is_full && !self.dice.percent(WRONG_PERCENT)) {
            self.alight().await?;
        }
        self.board(passenger).await
    }

    async fn board(&mut self, passenger: u32) -> anyhow::Result<()> {
        self.requests += 1;
        let request = u64::from(self.number) << 32 | self.requests;
        let question = Question::Board { request };
        let replies = if self.dice.percent(self.terms.double_percent) {
            self.record.borrow_mut().doubled += 1;
            let both =
                tokio::try_join!(self.line.ask(passenger, question), self.second.ask(passenger, question));
            both.map(|(reply, second)| [reply, second])?
        } else {
            [self.line.ask(passenger, question).await?, None]
        };
        let fence = replies.into_iter().find_map(|reply| match reply {
            Some(Reply::Confirmed { fence, .. }) => Some(fence),
            Some(Reply::Denied { .. } | Reply::Alighted) | None => None,
        });
        if let Some(fence) = fence {
            self.record.borrow_mut().boardings += 1;
            self.aboard.push((passenger, fence));
        }
        Ok(())
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
