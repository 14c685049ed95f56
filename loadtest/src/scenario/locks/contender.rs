//! One contender: wants a lock, holds it, gives it back.

use std::rc::Rc;
use std::time::Duration;

use anyhow::bail;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::record::Shared;
use super::words::{Reply, Wording};
use crate::asking::{Asker, Heard};
use crate::dice::Dice;
use crate::history::locks::{Granted, LockAction, LockOperation};
use crate::history::{Answer, Span};

/// A node has so long to answer, besides the time that it was asked to wait in line.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A question without an answer is asked so often.
const ATTEMPTS: u32 = 4;

/// The pause after a node that could not do anything.
const UNAVAILABLE_PAUSE: Duration = Duration::from_millis(50);

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

/// One contender. It has one question under way at most, and holds one lock at most.
#[derive(Debug)]
pub(super) struct Contender {
    number: u32,
    asker: Asker,
    dice: Dice,
    record: Shared,
    terms: Rc<Terms>,
    questions: u64,
    requests: u64,
}

/// A lock that is wanted, and, once it is granted, held.
#[derive(Debug, Default)]
struct Claim {
    resource: u32,
    request: u64,
    fence: u64,
    token: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Acquire,
    Renew,
    Release,
}

impl Contender {
    pub(super) fn new(number: u32, asker: Asker, record: Shared, terms: Rc<Terms>) -> Self {
        let dice = Dice::new(number.into());
        Self { number, asker, dice, record, terms, questions: 0, requests: 0 }
    }

    /// Again and again until the run ends. Answers an error if it can't go on.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        let timeline = self.record.borrow().timeline;
        let mut result = Ok(());
        while result.is_ok() && timeline.began.elapsed() < timeline.end() {
            result = self.cycle(timeline.began.elapsed()).await;
        }
        self.end().await;
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
            && let Some(due) = self.asker.meanwhile(due_times.recv()).await
        {
            self.record.borrow_mut().began(due);
            result = self.cycle(due).await;
        }
        self.record.borrow_mut().never_begun += due_times.len() as u64;
        self.end().await;
        result
    }

    async fn end(self) {
        self.record.borrow_mut().broken += self.asker.broken();
        self.asker.close().await;
    }

    /// Acquires a lock, holds it, and gives it back.
    async fn cycle(&mut self, due: Duration) -> anyhow::Result<()> {
        let resource = self.dice.below(self.terms.resources.into()) as u32;
        let Some(mut claim) = self.acquire(resource).await? else { return Ok(()) };
        self.record.borrow_mut().granted(due);
        if self.hold(&mut claim).await? {
            self.ask(Verb::Release, &mut claim).await?;
        }
        Ok(())
    }

    /// Asks for a lock until it is granted, or the run is over.
    async fn acquire(&mut self, resource: u32) -> anyhow::Result<Option<Claim>> {
        let timeline = self.record.borrow().timeline;
        loop {
            self.requests += 1;
            let request = u64::from(self.number) << 32 | self.requests;
            let mut claim = Claim { resource, request, ..Claim::default() };
            let asked_at = Instant::now();
            match self.ask(Verb::Acquire, &mut claim).await? {
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
        self.rest(least + Duration::from_micros(jitter)).await;
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
            self.rest(left.min(renew_after)).await;
            if self.terms.stop.is_cancelled() {
                return Ok(true);
            }
            if left > renew_after
                && !matches!(self.ask(Verb::Renew, claim).await?, Some(Reply::Granted { .. }))
            {
                return Ok(false);
            }
        }
    }

    async fn rest(&mut self, time: Duration) {
        let resting = self.terms.stop.run_until_cancelled(sleep(time));
        self.asker.meanwhile(resting).await;
    }

    /// Asks, and asks again if there is no answer; all attempts become history. `None` if there never is one.
    async fn ask(&mut self, verb: Verb, claim: &mut Claim) -> anyhow::Result<Option<Reply>> {
        for _ in 0..ATTEMPTS {
            self.asker.ready().await?;
            let invoked_ns = self.record.borrow().now_ns();
            let reply = match self.hear(verb, claim).await? {
                Heard::Answer(reply) => Some(reply),
                Heard::Nothing => None,
                Heard::NotNow => {
                    // Nothing was done: no matter for the history.
                    self.record.borrow_mut().unavailable();
                    self.rest(UNAVAILABLE_PAUSE).await;
                    continue;
                }
            };
            self.note(verb, claim, invoked_ns, reply.as_ref())?;
            if reply.is_some() || self.terms.stop.is_cancelled() {
                return Ok(reply);
            }
        }
        Ok(None)
    }

    /// Asks once.
    async fn hear(&mut self, verb: Verb, claim: &Claim) -> anyhow::Result<Heard<Reply>> {
        self.questions += 1;
        let id = self.questions.to_string();
        let Terms { wording, stop, .. } = &*self.terms;
        let (question, within) = match verb {
            Verb::Acquire => (
                wording.acquire(&id, claim.resource, claim.request),
                ANSWER_WITHIN + Duration::from_millis(wording.wait_ms),
            ),
            Verb::Renew => (wording.renew(&id, claim.resource, &claim.token), ANSWER_WITHIN),
            Verb::Release => (wording.release(&id, claim.resource, &claim.token), ANSWER_WITHIN),
        };
        let asking = self.asker.ask(question, within, |text| Reply::read(text, &id));
        stop.run_until_cancelled(asking).await.unwrap_or(Ok(Heard::Nothing))
    }

    /// Adds to the history what an attempt came to.
    fn note(
        &self,
        verb: Verb,
        claim: &mut Claim,
        invoked_ns: u64,
        reply: Option<&Reply>,
    ) -> anyhow::Result<()> {
        let action = match (verb, reply) {
            (Verb::Acquire, Some(Reply::Granted { token, fence, ttl_ms })) => {
                (claim.fence, claim.token) = (*fence, token.clone());
                LockAction::Acquire(Answer::Ok(Granted { fence: *fence, ttl_ms: *ttl_ms }))
            }
            (Verb::Acquire, Some(Reply::Denied { .. })) => LockAction::Acquire(Answer::Refused(())),
            (Verb::Acquire, None) => LockAction::Acquire(Answer::Unknown),
            (Verb::Renew, reply) => {
                let answer = match reply {
                    Some(Reply::Granted { ttl_ms, .. }) => Answer::Ok(*ttl_ms),
                    Some(Reply::Denied { .. }) => Answer::Refused(()),
                    None => Answer::Unknown,
                    Some(other) => bail!("a node answers {other:?} to {verb:?}"),
                };
                LockAction::Renew { fence: claim.fence, answer }
            }
            (Verb::Release, Some(Reply::Released)) => released(claim, Answer::Ok(())),
            (Verb::Release, Some(Reply::Denied { .. })) => released(claim, Answer::Refused(())),
            (Verb::Release, None) => released(claim, Answer::Unknown),
            (Verb::Acquire | Verb::Release, Some(other)) => bail!("a node answers {other:?} to {verb:?}"),
        };
        let mut record = self.record.borrow_mut();
        let span = Span { invoked_ns, returned_ns: record.now_ns() };
        let (resource, request) = (claim.resource, claim.request);
        record.add(LockOperation { client: self.number, resource, request, span, action });
        Ok(())
    }
}

fn released(claim: &Claim, answer: Answer<()>) -> LockAction {
    LockAction::Release { fence: claim.fence, answer }
}
