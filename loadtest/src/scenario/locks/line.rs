//! One contender's connection: asks, and asks again with the same request until it is answered.

use std::rc::Rc;
use std::time::Duration;

use anyhow::bail;
use tokio::time::sleep;

use super::contender::Terms;
use super::record::Shared;
use super::words::Reply;
use crate::asking::{Asker, Heard};
use crate::history::locks::{Granted, LockAction, LockOperation};
use crate::history::{Answer, Span};

/// A node has so long to answer, besides the time that it was asked to wait in line.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// A question without an answer is asked so often.
const ATTEMPTS: u32 = 4;

/// The pause after a node that could not do anything.
const UNAVAILABLE_PAUSE: Duration = Duration::from_millis(50);

/// One contender's connection, with one question under way at most.
#[derive(Debug)]
pub(super) struct Line {
    client: u32,
    asker: Asker,
    record: Shared,
    terms: Rc<Terms>,
    questions: u64,
}

/// A lock that is wanted, and, once it is granted, held.
#[derive(Debug, Default)]
pub(super) struct Claim {
    pub(super) resource: u32,
    pub(super) request: u64,
    fence: u64,
    token: String,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Acquire,
    Renew,
    Release,
}

impl Claim {
    pub(super) fn new(resource: u32, request: u64) -> Self {
        Self { resource, request, ..Self::default() }
    }
}

impl Line {
    pub(super) fn new(client: u32, asker: Asker, record: Shared, terms: Rc<Terms>) -> Self {
        Self { client, asker, record, terms, questions: 0 }
    }

    /// Waits for something else; meanwhile the node's pings are answered.
    pub(super) async fn meanwhile<T>(&mut self, other: impl Future<Output = T>) -> T {
        self.asker.meanwhile(other).await
    }

    /// Waits so long, or until the run is stopped.
    pub(super) async fn rest(&mut self, time: Duration) {
        let resting = self.terms.stop.run_until_cancelled(sleep(time));
        self.asker.meanwhile(resting).await;
    }

    /// Ends the connection.
    pub(super) async fn close(self) {
        self.record.borrow_mut().broken += self.asker.broken();
        self.asker.close().await;
    }

    /// Asks, and asks again if there is no answer; all attempts become history. `None` if there never is one.
    pub(super) async fn ask(&mut self, verb: Verb, claim: &mut Claim) -> anyhow::Result<Option<Reply>> {
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
            if reply.is_some() {
                return Ok(reply);
            }
            if self.terms.stop.is_cancelled() {
                self.record.borrow_mut().cut_off += 1;
                return Ok(None);
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
        record.add(LockOperation { client: self.client, resource, request, span, action });
        Ok(())
    }
}

fn released(claim: &Claim, answer: Answer<()>) -> LockAction {
    LockAction::Release { fence: claim.fence, answer }
}
