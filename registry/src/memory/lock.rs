//! Locks of one process, and their lines. Whoever calls does the work: a waiter looks again when it is told
//! to, when the lock before it expires, and when a turn ends.

mod slot;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use signalbox_protocol::{Agent, Resource, Tenant};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::lock::{
    Acquired, Ask, Denial, Held, HeldPage, LockCounters, Released, new_token, tally::LockTally,
};
use crate::mutex::lock;
use crate::{Error, Locks};
use slot::{InTheWay, Passed, Slot, Waiter};

type Key = (Tenant, Resource);

/// Locks that nobody holds or waits for any more are thrown away when there are this many, or twice as many
/// as were in use the last time.
const SWEEP_AT: usize = 1_024;

/// The locks of all nodes of a process.
#[derive(Debug)]
pub(super) struct LockTable {
    slots: Mutex<Slots>,
    waiters: AtomicU64,
    /// The time of day when `born` was, in microseconds since 1970: fences count in them.
    born_us: u64,
    born: Instant,
}

#[derive(Debug, Default)]
struct Slots {
    slots: BTreeMap<Key, Slot>,
    /// The greatest so far, of all resources.
    fence: u64,
    sweep_at: usize,
}

impl LockTable {
    pub(super) fn new() -> Arc<Self> {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Arc::new(Self {
            slots: Mutex::default(),
            waiters: AtomicU64::new(0),
            born_us: since_1970.as_micros() as u64,
            born: Instant::now(),
        })
    }

    /// Does something with a resource's slot; `default` is what there is to say of a resource without one.
    fn with<T>(&self, key: &Key, default: T, work: impl FnOnce(&mut Slot, Instant) -> T) -> T {
        let mut slots = lock(&self.slots);
        slots.slots.get_mut(key).map_or(default, |slot| work(slot, Instant::now()))
    }

    /// Takes the lock, or tells what is in the way; a waiter lines up.
    fn try_take(&self, key: &Key, ask: &Ask, me: Option<&mut Waiter>, tally: &LockTally) -> Tried {
        let now = Instant::now();
        let mut slots = lock(&self.slots);
        slots.sweep_if_due(now);
        let Slots { slots, fence, .. } = &mut *slots;
        let slot = slots.entry(key.clone()).or_default();
        if let Some(claimed) = slot.claimed(ask, now) {
            return Tried::Over(Acquired::Granted(claimed.grant(now)));
        }
        let (in_the_way, passed) = slot.in_the_way(me.as_ref().map(|me| me.number), now);
        match passed {
            Passed::Expired => tally.met_expiry(),
            Passed::Missed => tally.turn_missed(),
            Passed::Nothing => {}
        }
        if let Some(in_the_way) = in_the_way {
            return match me.is_some_and(|me| slot.line_up(me)) {
                true => Tried::InLine(in_the_way),
                false => Tried::Over(Acquired::Denied(in_the_way.denial(now))),
            };
        }
        *fence = (*fence + 1).max(self.now_us());
        tally.granted();
        let grant = slot.take(ask, new_token(), *fence, now);
        if let Some(me) = me {
            slot.leave(me.number, now);
        }
        Tried::Over(Acquired::Granted(grant))
    }

    /// A fence for `by` to do something that the lock would keep others from; or who keeps `by` from it.
    pub(super) fn mint(&self, key: &Key, by: &Agent) -> Result<u64, Agent> {
        let mut slots = lock(&self.slots);
        let held = slots.slots.get(key).and_then(|slot| slot.lock(Instant::now()));
        if let Some(other) = held.map(|held| &held.owner).filter(|owner| *owner != by) {
            return Err(other.clone());
        }
        slots.fence = (slots.fence + 1).max(self.now_us());
        Ok(slots.fence)
    }

    /// Microseconds since 1970, as far as the paused clock of a test goes.
    fn now_us(&self) -> u64 {
        self.born_us + self.born.elapsed().as_micros() as u64
    }

    fn leave(&self, key: &Key, number: u64) -> Denial {
        let free = Denial { held_by: None, retry_after: Duration::ZERO };
        self.with(key, free.clone(), |slot, now| {
            slot.leave(number, now);
            slot.in_the_way(None, now).0.map_or(free, |in_the_way| in_the_way.denial(now))
        })
    }
}

impl Slots {
    fn sweep_if_due(&mut self, now: Instant) {
        if self.slots.len() >= self.sweep_at.max(SWEEP_AT) {
            self.slots.retain(|_, slot| !slot.is_idle(now));
            self.sweep_at = 2 * self.slots.len();
        }
    }
}

enum Tried {
    Over(Acquired),
    InLine(InTheWay),
}

/// The locks as one node asks for them.
#[derive(Debug)]
pub(super) struct MemoryLocks {
    table: Arc<LockTable>,
    tally: LockTally,
    waiting: AtomicU64,
}

impl MemoryLocks {
    pub(super) fn new(table: &Arc<LockTable>) -> Arc<Self> {
        Arc::new(Self { table: Arc::clone(table), tally: LockTally::default(), waiting: AtomicU64::new(0) })
    }

    async fn wait(&self, key: &Key, ask: &Ask, until: Instant) -> Acquired {
        let number = self.table.waiters.fetch_add(1, Ordering::Relaxed);
        let mut me = Waiter { number, wake: Arc::new(Notify::new()), in_line: false };
        let mut place: Option<Place<'_>> = None;
        loop {
            let in_the_way = match self.table.try_take(key, ask, Some(&mut me), &self.tally) {
                Tried::Over(acquired) => return acquired,
                Tried::InLine(in_the_way) => in_the_way,
            };
            place.get_or_insert_with(|| Place::new(self, key, number));
            // Either may come first; the next try tells what it means.
            let looks_again = until.min(in_the_way.until + Duration::from_millis(1));
            let woken = timeout_at(looks_again, me.wake.notified()).await;
            match woken {
                Ok(()) => self.tally.woken(),
                Err(_) if Instant::now() >= until => return Acquired::Denied(self.table.leave(key, number)),
                Err(_) => {}
            }
        }
    }
}

/// A place in line; whoever drops it leaves.
struct Place<'a> {
    locks: &'a MemoryLocks,
    key: &'a Key,
    number: u64,
}

impl<'a> Place<'a> {
    fn new(locks: &'a MemoryLocks, key: &'a Key, number: u64) -> Self {
        locks.tally.waits();
        locks.waiting.fetch_add(1, Ordering::Relaxed);
        Self { locks, key, number }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.locks.waiting.fetch_sub(1, Ordering::Relaxed);
        self.locks.table.leave(self.key, self.number);
    }
}

#[async_trait]
impl Locks for MemoryLocks {
    async fn acquire(&self, ask: &Ask) -> Result<Acquired, Error> {
        let key = (ask.tenant.clone(), ask.resource.clone());
        let acquired = match ask.waits_until() {
            Some(until) => self.wait(&key, ask, until).await,
            None => match self.table.try_take(&key, ask, None, &self.tally) {
                Tried::Over(acquired) => acquired,
                Tried::InLine(in_the_way) => Acquired::Denied(in_the_way.denial(Instant::now())),
            },
        };
        if matches!(acquired, Acquired::Denied(_)) {
            self.tally.denied();
        }
        Ok(acquired)
    }

    async fn renew(
        &self,
        tenant: &Tenant,
        resource: &Resource,
        token: &str,
        ttl: Option<Duration>,
    ) -> Result<Acquired, Error> {
        let key = (tenant.clone(), resource.clone());
        let renewed = Ok(self.table.with(&key, Acquired::Denied(nobody()), |slot, now| {
            match slot.lock_of(token, now) {
                Some(lock) => {
                    lock.renew(ttl, now);
                    Acquired::Granted(lock.grant(now))
                }
                None => Acquired::Denied(holder(slot, now)),
            }
        }));
        self.tally.renewed(&renewed);
        renewed
    }

    async fn release(&self, tenant: &Tenant, resource: &Resource, token: &str) -> Result<Released, Error> {
        let key = (tenant.clone(), resource.clone());
        let released = Ok(self.table.with(&key, Released::Denied(nobody()), |slot, now| {
            if slot.lock_of(token, now).is_none() {
                return Released::Denied(holder(slot, now));
            }
            slot.free(now);
            Released::Released
        }));
        self.tally.released(&released);
        released
    }

    async fn inspect(&self, tenant: &Tenant, resource: &Resource) -> Result<Option<Held>, Error> {
        let key = (tenant.clone(), resource.clone());
        Ok(self.table.with(&key, None, |slot, now| held(resource, slot, now)))
    }

    async fn list(&self, tenant: &Tenant, cursor: Option<&str>, limit: usize) -> Result<HeldPage, Error> {
        let after = cursor.map(Resource::try_new).transpose();
        let after = after.map_err(|_| Error::Unreadable { what: "cursor" })?;
        let (slots, now) = (lock(&self.table.slots), Instant::now());
        let all = slots.slots.iter().filter(|((of, _), _)| of == tenant);
        let behind =
            all.skip_while(|((_, resource), _)| after.as_ref().is_some_and(|after| resource <= after));
        let mut items = behind.filter_map(|((_, resource), slot)| held(resource, slot, now));
        let page: Vec<_> = items.by_ref().take(limit.max(1)).collect();
        let cursor = items.next().and_then(|_| page.last()).map(|last| last.resource.to_string());
        Ok(HeldPage { items: page, cursor })
    }

    fn counters(&self) -> LockCounters {
        self.tally.read(self.waiting.load(Ordering::Relaxed))
    }
}

fn nobody() -> Denial {
    Denial { held_by: None, retry_after: Duration::ZERO }
}

/// Who holds it, for somebody who does not.
fn holder(slot: &Slot, now: Instant) -> Denial {
    let lock = slot.lock(now);
    lock.map_or_else(nobody, |lock| Denial {
        held_by: Some(lock.owner.clone()),
        retry_after: lock.ends - now,
    })
}

fn held(resource: &Resource, slot: &Slot, now: Instant) -> Option<Held> {
    let lock = slot.lock(now)?;
    Some(Held {
        resource: resource.clone(),
        owner: lock.owner.clone(),
        fence: lock.fence,
        remaining: lock.ends - now,
        waiters: slot.waiters() as u64,
    })
}
