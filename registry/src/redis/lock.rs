//! Locks in Redis: each step is one script in the resource's slot, so that nothing can come between.
//!
//! Who comes and finds the lock held may line up. Whoever frees the lock, or finds it free, gives the turn to
//! the first in line: the script says so on the channel of that waiter's node, whose [`Core::wake`] lets the
//! waiter try again. Nobody polls: per line and node one task (`tend`) keeps the waiters' places once a
//! second, and looks again when the lock expires or a turn ends. It runs only while somebody waits.
//!
//! Every script carries a deadline by Redis' clock: a command that was held up somewhere must not take a lock
//! for somebody who has given up.

mod attempt;
mod lines;
mod listing;
mod tend;
mod text;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use signalbox_protocol::{Agent, NodeId, Resource, Tenant};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::call::{Call, read};
use super::script::{LOCK_INSPECT, LOCK_LEAVE, LOCK_RELEASE, LOCK_RENEW, Script};
use super::store::Store;
use super::subscriber::Subscriber;
use crate::bus::wake::{self, Wake};
use crate::keys::Scope;
use crate::lock::{
    Acquired, Ask, Denial, Grant, Held, HeldPage, LockCounters, Released, TOKEN_CHARS, tally::LockTally,
    ttl_ms,
};
use crate::{Error, Locks};
use attempt::Attempt;
use lines::{Key, Lines, News};
use text::Stored;
pub(super) use text::claim;

/// What all parts of a node's locks work with.
#[derive(Debug)]
pub(super) struct Core {
    store: Arc<Store>,
    node: NodeId,
    /// Tells whether wakes arrive.
    subscriber: Arc<Subscriber>,
    lines: Lines,
    tally: LockTally,
    tracker: TaskTracker,
    runtime: Handle,
    stop: CancellationToken,
}

/// What a script of a lock answers.
struct Answer {
    what: String,
    text: String,
    time: Duration,
}

impl Answer {
    /// Takes a lock and the time it has left as who is in the way; without a lock it is nobody.
    fn denial(&self) -> Result<Denial, Error> {
        Ok(Denial { held_by: self.owner()?, retry_after: self.time })
    }

    fn owner(&self) -> Result<Option<Agent>, Error> {
        let held = (!self.text.is_empty()).then(|| Stored::parse(&self.text)).transpose()?;
        Ok(held.map(|held| held.owner))
    }

    fn grant(&self) -> Result<Acquired, Error> {
        let Stored { token, fence, .. } = Stored::parse(&self.text)?;
        Ok(Acquired::Granted(Grant { token, fence, ttl: self.time }))
    }
}

impl Core {
    pub(super) fn new(
        node: NodeId,
        store: Arc<Store>,
        subscriber: Arc<Subscriber>,
        tracker: TaskTracker,
        stop: CancellationToken,
    ) -> Arc<Self> {
        let (lines, tally, runtime) = (Lines::default(), LockTally::default(), Handle::current());
        Arc::new(Self { store, node, subscriber, lines, tally, tracker, runtime, stop })
    }

    /// It is a waiter's turn. Called from the task that reads the bus.
    pub(super) fn wake(self: &Arc<Self>, wake: Wake) {
        let Wake { tenant, resource, waiter } = wake;
        let key = (tenant, resource);
        if self.lines.wake(&key, waiter) {
            self.tally.woken();
        } else {
            // It left, and Redis does not know yet: the turn goes on at once.
            self.leave_behind(key, self.waiter_name(waiter), String::new());
        }
    }

    /// Runs a script of a lock.
    async fn run(
        &self,
        script: &'static Script,
        key: &Key,
        args: impl FnOnce(Call) -> Call,
    ) -> Result<redis::Value, Error> {
        let (tenant, resource) = key;
        let call = args(Call::script(script, &self.store.keys.of(Scope::Lock(tenant, resource))));
        let call = call.arg(self.store.keys.node_channel_prefix()).arg(wake::head(tenant, resource));
        self.store.links.of(key).write_one(call).await
    }

    /// Runs a script of a lock that is given a deadline.
    async fn ask(
        &self,
        script: &'static Script,
        key: &Key,
        args: impl FnOnce(Call) -> Call,
    ) -> Result<Answer, Error> {
        let deadline_ms = self.store.deadline_ms().await?;
        let answer = self.run(script, key, |call| args(call.arg(deadline_ms))).await?;
        let answer = read_answer(answer)?;
        if answer.what == "late" { Err(Error::Unavailable(None)) } else { Ok(answer) }
    }

    /// Takes a waiter out of the line, and gives `token` back if it holds the lock by now.
    async fn leave(&self, key: &Key, waiter: &str, token: &str) -> Result<Denial, Error> {
        let answer = self.run(&LOCK_LEAVE, key, |call| call.arg(waiter).arg(token)).await?;
        read_answer(answer)?.denial()
    }

    /// Does the same in the background. If it fails the line gets over it: the turn of somebody who does not
    /// come is passed on.
    fn leave_behind(self: &Arc<Self>, key: Key, waiter: String, token: String) {
        let core = Arc::clone(self);
        let leave = async move {
            if let Ok(denial) = core.leave(&key, &waiter, &token).await {
                core.watch_turn(&key, &denial);
            }
        };
        self.tracker.spawn_on(leave, &self.runtime);
    }

    /// After the lock was freed: sees to it that the turn that was given is used or passed on.
    fn watch_turn(self: &Arc<Self>, key: &Key, freed: &Denial) {
        if freed.held_by.is_none() && !freed.retry_after.is_zero() {
            self.hear(key, News::turn(freed.retry_after));
        }
    }

    /// How a waiter of this node is called in Redis.
    fn waiter_name(&self, waiter: u64) -> String {
        format!("{}|{waiter}", self.node)
    }
}

/// The locks of one node.
#[derive(Debug)]
pub(super) struct RedisLocks {
    pub(super) core: Arc<Core>,
}

#[async_trait]
impl Locks for RedisLocks {
    async fn acquire(&self, ask: &Ask) -> Result<Acquired, Error> {
        let acquired = Attempt::new(&self.core, ask).run().await;
        if let Ok(Acquired::Denied(_)) = &acquired {
            self.core.tally.denied();
        }
        acquired
    }

    async fn renew(
        &self,
        tenant: &Tenant,
        resource: &Resource,
        token: &str,
        ttl: Option<Duration>,
    ) -> Result<Acquired, Error> {
        let key = (tenant.clone(), resource.clone());
        let ttl = ttl.map(|ttl| ttl_ms(ttl).to_string()).unwrap_or_default();
        let args = |call: Call| call.arg(possible(token)).arg(ttl);
        let renewed =
            self.core.ask(&LOCK_RENEW, &key, args).await.and_then(|answer| match answer.what.as_str() {
                "granted" => answer.grant(),
                _ => Ok(Acquired::Denied(answer.denial()?)),
            });
        self.core.tally.renewed(&renewed);
        renewed
    }

    async fn release(&self, tenant: &Tenant, resource: &Resource, token: &str) -> Result<Released, Error> {
        let key = (tenant.clone(), resource.clone());
        let answer = self.core.ask(&LOCK_RELEASE, &key, |call| call.arg(possible(token))).await;
        let released = answer.and_then(|answer| {
            let denial = answer.denial()?;
            if answer.what != "released" {
                return Ok(Released::Denied(denial));
            }
            self.core.watch_turn(&key, &denial);
            Ok(Released::Released)
        });
        self.core.tally.released(&released);
        released
    }

    async fn inspect(&self, tenant: &Tenant, resource: &Resource) -> Result<Option<Held>, Error> {
        let call = Call::script(&LOCK_INSPECT, &self.core.store.keys.of(Scope::Lock(tenant, resource)));
        let link = self.core.store.links.of((tenant, resource));
        let answer = link.read(&[call]).await?.into_iter().next().unwrap_or_default();
        read_held(resource, answer)
    }

    async fn list(&self, tenant: &Tenant, cursor: Option<&str>, limit: usize) -> Result<HeldPage, Error> {
        listing::list(&self.core.store, tenant, cursor, limit).await
    }

    fn counters(&self) -> LockCounters {
        self.core.tally.read(self.core.lines.waiting())
    }
}

/// A token as it goes to Redis: what can't be one is the token of no lock.
fn possible(token: &str) -> &str {
    if token.len() == TOKEN_CHARS { token } else { "" }
}

fn read_answer(answer: redis::Value) -> Result<Answer, Error> {
    let (what, text, ms): (String, String, i64) = read(answer, "answer of a lock")?;
    Ok(Answer { what, text, time: Duration::from_millis(ms.try_into().unwrap_or_default()) })
}

fn read_held(resource: &Resource, answer: redis::Value) -> Result<Option<Held>, Error> {
    let held: Option<(String, i64, u64)> = read(answer, "lock")?;
    let Some((lock, left_ms, waiters)) = held else { return Ok(None) };
    let Stored { fence, owner, .. } = Stored::parse(&lock)?;
    let remaining = Duration::from_millis(left_ms.try_into().unwrap_or_default());
    Ok(Some(Held { resource: resource.clone(), owner, fence, remaining, waiters }))
}
