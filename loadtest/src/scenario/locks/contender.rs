//! One contender: wants a lock, holds it, gives it back.

use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::line::{Claim, Line, Verb};
use super::record::Shared;
use super::words::{Reply, Wording};
use crate::asking::Asker;
use crate::dice::Dice;

/// What all contenders of a run have in common.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) wording: Wording,
    pub(super) resources: u32,
    pub(super) hold: Duration,
    pub(super) retry_ms_max: u64,
    /// Ends all waiting.
    pub(super) stop: CancellationToken,
}

/// One contender. It holds one lock at most.
#[derive(Debug)]
pub(super) struct Contender {
    number: u32,
    line: Line,
    dice: Dice,
    record: Shared,
    terms: Rc<Terms>,
    requests: u64,
}

impl Contender {
    pub(super) fn new(number: u32, asker: Asker, record: Shared, terms: Rc<Terms>) -> Self {
        let line = Line::new(number, asker, Rc::clone(&record), Rc::clone(&terms));
        Self { number, line, dice: Dice::new(number.into()), record, terms, requests: 0 }
    }

    /// Again and again until the run ends. Answers an error if it can't go on.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        let timeline = self.record.borrow().timeline;
        let mut result = Ok(());
        while result.is_ok() && timeline.began.elapsed() < timeline.end() {
            result = self.cycle(timeline.began.elapsed()).await;
        }
        self.line.close().await;
        result
    }

    /// Whenever it is due.
    pub(super) async fn run_when_due(
        mut self,
        mut due_times: mpsc::Receiver<Duration>,
    ) -> anyhow::Result<()> {
        let mut result = Ok(());
        while result.is_ok()
            && !self.terms.stop.is_cancelled()
            && let Some(due) = self.line.meanwhile(due_times.recv()).await
        {
            self.record.borrow_mut().began(due);
            result = self.cycle(due).await;
        }
        self.record.borrow_mut().never_begun += due_times.len() as u64;
        self.line.close().await;
        result
    }

    /// Acquires a lock, holds it, and gives it back.
    async fn cycle(&mut self, due: Duration) -> anyhow::Result<()> {
        let resource = self.dice.below(self.terms.resources.into()) as u32;
        let Some(mut claim) = self.acquire(resource).await? else { return Ok(()) };
        self.record.borrow_mut().granted(due);
        if self.hold(&mut claim).await? {
            self.line.ask(Verb::Release, &mut claim).await?;
        }
        Ok(())
    }

    /// Asks for a lock until it is granted, or the run is over.
    async fn acquire(&mut self, resource: u32) -> anyhow::Result<Option<Claim>> {
        let timeline = self.record.borrow().timeline;
        loop {
            self.requests += 1;
            let request = u64::from(self.number) << 32 | self.requests;
            let mut claim = Claim::new(resource, request);
            let asked_at = Instant::now();
            match self.line.ask(Verb::Acquire, &mut claim).await? {
                Some(Reply::Granted { .. }) => return Ok(Some(claim)),
                Some(Reply::Denied { retry_after_ms }) => self.pause(asked_at, retry_after_ms).await,
                Some(Reply::Released) | None => {}
            }
            if timeline.began.elapsed() >= timeline.end() {
                return Ok(None);
            }
        }
    }

    /// Waits as long as a denial says, and some of the time more, so that not all come back at once.
    /// Not after having stood in line in vain.
    async fn pause(&mut self, asked_at: Instant, retry_after_ms: u64) {
        let Terms { wording, retry_ms_max, .. } = &*self.terms;
        let wait = Duration::from_millis(wording.wait_ms);
        if !wait.is_zero() && asked_at.elapsed() >= wait {
            return;
        }
        let least = Duration::from_millis(retry_after_ms.min(*retry_ms_max));
        let jitter = self.dice.below(least.as_micros() as u64 / 2 + 1_000);
        self.line.rest(least + Duration::from_micros(jitter)).await;
    }

    /// Holds a lock, and renews it in time. Answers whether it is still to be given back.
    async fn hold(&mut self, claim: &mut Claim) -> anyhow::Result<bool> {
        let until = Instant::now() + self.terms.hold;
        let renew_after = Duration::from_millis(self.terms.wording.ttl_ms.into()) / 3;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(true);
            }
            self.line.rest(left.min(renew_after)).await;
            if self.terms.stop.is_cancelled() {
                return Ok(true);
            }
            if left > renew_after
                && !matches!(self.line.ask(Verb::Renew, claim).await?, Some(Reply::Granted { .. }))
            {
                return Ok(false);
            }
        }
    }
}
