//! One acquisition, from the first try until it is granted, denied or given up.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout_at;

use super::lines::{Key, News};
use super::{Answer, Core, text};
use crate::Error;
use crate::lock::{Acquired, Ask, Grant, new_token, ttl_ms};
use crate::redis::call::Call;
use crate::redis::fault::of_question;
use crate::redis::script::LOCK_ACQUIRE;

/// An acquisition under way. Dropped before it is over, it leaves the line.
pub(super) struct Attempt<'a> {
    core: &'a Arc<Core>,
    ask: &'a Ask,
    key: Key,
    token: String,
    claim: String,
    /// Its number and what wakes it, if it may wait.
    waiter: Option<(u64, Arc<Notify>)>,
    /// Redis may know of it: a place in line, or a grant that nobody was told of.
    known: bool,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(core: &'a Arc<Core>, ask: &'a Ask) -> Self {
        let key = (ask.tenant.clone(), ask.resource.clone());
        let (token, claim) = (new_token(), text::claim(&ask.subject, ask.request_id.as_ref()));
        Self { core, ask, key, token, claim, waiter: None, known: false }
    }

    pub(super) async fn run(mut self) -> Result<Acquired, Error> {
        let until = self.ask.waits_until();
        self.waiter = until.map(|_| self.core.lines.enter(&self.key));
        loop {
            if let Some(over) = self.try_once().await? {
                return Ok(over);
            }
            let (Some(until), Some((_, wake))) = (until, &self.waiter) else {
                return Err(Error::Unreadable { what: "place in a line that was not asked for" });
            };
            if timeout_at(until, wake.notified()).await.is_err() {
                return self.give_up().await;
            }
        }
    }

    /// Asks for the lock; `None` when it stands in line.
    async fn try_once(&mut self) -> Result<Option<Acquired>, Error> {
        let was_known = std::mem::replace(&mut self.known, true);
        let answer = self.ask_redis().await.inspect_err(|error| {
            // Nothing was done, so nothing is left behind.
            self.known = was_known || !matches!(error, Error::Unavailable(_));
        })?;
        match answer.what.as_str() {
            "granted" => self.granted(&answer).map(Some),
            "again" => {
                self.over();
                answer.grant().map(Some)
            }
            "waiting" => {
                self.in_line(&answer);
                Ok(None)
            }
            _ => {
                self.over();
                Ok(Some(Acquired::Denied(answer.denial()?)))
            }
        }
    }

    async fn ask_redis(&self) -> Result<Answer, Error> {
        let (ttl, owner) = (ttl_ms(self.ask.ttl), &self.ask.owner);
        let waiter = self.waiter_name();
        let args = |call: Call| {
            let call = call.arg(&self.token).arg(ttl).arg(format!("{owner}|{}", self.claim));
            call.arg(&self.claim).arg(waiter)
        };
        self.core.ask(&LOCK_ACQUIRE, &self.key, args).await
    }

    fn granted(&mut self, answer: &Answer) -> Result<Acquired, Error> {
        let ttl = Duration::from_millis(ttl_ms(self.ask.ttl));
        let fence = answer.text.parse().map_err(|_| Error::Unreadable { what: "fence" })?;
        self.over();
        if self.ask.wait > Duration::ZERO {
            // Whoever else of this node stands in line need not look before this one's time is over.
            self.core.hear(&self.key, News::held(ttl));
        }
        self.core.tally.granted();
        Ok(Acquired::Granted(Grant { token: std::mem::take(&mut self.token), fence, ttl }))
    }

    fn in_line(&self, answer: &Answer) {
        let Some((number, _)) = &self.waiter else { return };
        if self.core.lines.lined_up(&self.key, *number) {
            self.core.tally.waits();
        }
        // Without a lock in the answer it is another waiter's turn.
        let news = if answer.text.is_empty() { News::turn(answer.time) } else { News::held(answer.time) };
        self.core.hear(&self.key, news);
    }

    /// Its time to wait is over.
    async fn give_up(mut self) -> Result<Acquired, Error> {
        let left = self.core.leave(&self.key, &self.waiter_name(), self.to_give_back()).await;
        // It has not been granted, whatever became of this.
        let denial = left.map_err(of_question)?;
        self.over();
        self.core.watch_turn(&self.key, &denial);
        Ok(Acquired::Denied(denial))
    }

    /// Nothing of it is left in Redis but what its caller was told.
    fn over(&mut self) {
        self.known = false;
        self.withdraw();
    }

    fn withdraw(&mut self) {
        if let Some((number, _)) = self.waiter.take() {
            self.core.lines.exit(&self.key, number);
        }
    }

    fn waiter_name(&self) -> String {
        self.waiter.as_ref().map(|(number, _)| self.core.waiter_name(*number)).unwrap_or_default()
    }

    /// The token, if nobody else could ever find it.
    fn to_give_back(&self) -> &str {
        if self.claim.is_empty() { &self.token } else { "" }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let (waiter, token) = (self.waiter_name(), self.to_give_back().to_owned());
        self.withdraw();
        if self.known && !(waiter.is_empty() && token.is_empty()) {
            self.core.leave_behind(self.key.clone(), waiter, token);
        }
    }
}
