//! The outboxes of a process that stands alone. They end with the process, as its claims do.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use signalbox_protocol::fleet::Passenger;
use signalbox_protocol::timestamp::Timestamp;
use signalbox_protocol::{PassengerId, Tenant};
use tokio::time::Instant;

use super::{Begun, Line, Pushed, Work};

/// All of them; the one value that nodes of a process share.
#[derive(Debug, Default)]
pub(crate) struct Outboxes(Mutex<HashMap<Tenant, Lines>>);

impl Outboxes {
    /// A passenger has changed. Called under the lock of the claims, before the change is announced.
    pub(crate) fn changed(&self, tenant: &Tenant, id: &PassengerId) {
        self.of(tenant, |lines| lines.put(id));
    }

    /// Whether a change of the passenger waits.
    pub(crate) fn names(&self, tenant: &Tenant, id: &PassengerId) -> bool {
        self.of(tenant, |lines| lines.numbers.contains_key(id))
    }

    pub(super) fn of<T>(&self, tenant: &Tenant, work: impl FnOnce(&mut Lines) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        work(all.entry(tenant.clone()).or_default())
    }
}

/// One tenant's outbox.
#[derive(Debug, Default)]
pub(super) struct Lines {
    by_number: BTreeMap<u64, PassengerId>,
    numbers: HashMap<PassengerId, u64>,
    last: u64,
    /// By when they will have ended, and what tells their records.
    pushes: HashMap<PassengerId, (Instant, Timestamp)>,
    worker: Option<(String, Instant)>,
}

impl Lines {
    fn put(&mut self, id: &PassengerId) {
        self.last += 1;
        if let Some(before) = self.numbers.insert(id.clone(), self.last) {
            self.by_number.remove(&before);
        }
        self.by_number.insert(self.last, id.clone());
    }

    pub(super) fn note_missing(&mut self, ids: &[PassengerId]) {
        for id in ids {
            if !self.numbers.contains_key(id) {
                self.put(id);
            }
        }
    }

    pub(super) fn waiting(&self) -> u64 {
        (self.numbers.len() + self.pushes.len()) as u64
    }

    pub(super) fn begin(&mut self, passengers: &[Passenger], within: Duration, most: u64) -> Begun {
        let waiting = self.waiting();
        // A list that is longer than all that may wait is let through when nothing else waits.
        if waiting > 0 && waiting + passengers.len() as u64 > most {
            return Begun::Full(waiting);
        }
        if let Some(busy) = passengers.iter().find(|new| self.pushes.contains_key(&new.passenger_id)) {
            return Begun::Busy(busy.passenger_id.clone());
        }
        let over = Instant::now() + within;
        self.pushes.extend(passengers.iter().map(|new| (new.passenger_id.clone(), (over, new.spawned_at))));
        Begun::Yes
    }

    pub(super) fn end(&mut self, ids: &[PassengerId]) {
        for id in ids {
            self.pushes.remove(id);
        }
    }

    pub(super) fn over_in(&mut self, ids: &[PassengerId], within: Duration) {
        for id in ids {
            if let Some((over, _)) = self.pushes.get_mut(id) {
                *over = Instant::now() + within;
            }
        }
    }

    pub(super) fn pushing(&self, ids: &[PassengerId]) -> HashSet<PassengerId> {
        ids.iter().filter(|id| self.pushes.contains_key(id)).cloned().collect()
    }

    pub(super) fn named(&self) -> Vec<PassengerId> {
        self.numbers.keys().chain(self.pushes.keys()).cloned().collect()
    }

    pub(super) fn work(
        &mut self,
        token: &str,
        lease: Duration,
        (after, count): (u64, usize),
    ) -> Option<Work> {
        let now = Instant::now();
        if self.worker.as_ref().is_some_and(|(holder, ends)| holder != token && *ends > now) {
            return None;
        }
        self.worker = Some((token.to_owned(), now + lease));
        let over = self.pushes.iter().filter(|(_, (over, _))| *over <= now);
        let pushed = |(id, (_, spawned_at)): (&PassengerId, &(Instant, Timestamp))| Pushed {
            passenger_id: id.clone(),
            spawned_at: *spawned_at,
        };
        let line = |(number, id): (&u64, &PassengerId)| Line { passenger_id: id.clone(), number: *number };
        Some(Work {
            pushes: over.take(count).map(pushed).collect(),
            lines: self.by_number.range(after + 1..).take(count).map(line).collect(),
        })
    }

    pub(super) fn strike(&mut self, line: &Line) -> bool {
        let latest = self.numbers.get(&line.passenger_id) == Some(&line.number);
        if latest {
            self.numbers.remove(&line.passenger_id);
            self.by_number.remove(&line.number);
        }
        latest
    }
}
