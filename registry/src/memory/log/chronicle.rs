//! The log of one topic. Whoever calls holds its lock.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use signalbox_protocol::Agent;
use signalbox_protocol::control::{Discontinuity, Position};
use tokio::time::Instant;

use crate::log::{IDS_MAX, Limits, Page, Read, Retention, judge};
use crate::recent::Recent;

/// A source and the id of one of its messages.
type Key = (Agent, String);

#[derive(Debug)]
struct Stored {
    at: Instant,
    body: Bytes,
}

impl Stored {
    fn is_expired(&self, age: Duration) -> bool {
        self.at.elapsed() > age
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Chronicle {
    epoch: String,
    /// The offset of the newest message.
    top: u64,
    entries: VecDeque<Stored>,
    bytes: u64,
    /// Why the newest of those went that are gone.
    lost: Discontinuity,
    ids: Recent<Key, u64>,
}

impl Chronicle {
    pub(super) fn new(epoch: String, age: Duration) -> Self {
        let (entries, ids) = (VecDeque::new(), Recent::new(age, 2 * IDS_MAX));
        Self { epoch, top: 0, entries, bytes: 0, lost: Discontinuity::Expired, ids }
    }

    pub(super) fn epoch(&self) -> &str {
        &self.epoch
    }

    fn at(&self, offset: u64) -> Position {
        Position { epoch: self.epoch.clone(), offset }
    }

    /// Where it ends.
    pub(super) fn head(&self) -> Position {
        self.at(self.top)
    }

    /// The place of a message that is there, or was lately.
    pub(super) fn known(&mut self, key: &Key) -> Option<Position> {
        self.ids.turn_if_due();
        self.ids.get(key).map(|offset| self.at(*offset))
    }

    pub(super) fn remember(&mut self, key: Key, offset: u64) {
        self.ids.put(key, offset);
    }

    /// Adds a message, and lets go of what is too much.
    pub(super) fn push(&mut self, body: &Bytes, retention: Retention) -> Position {
        let at = Instant::now();
        self.top += 1;
        self.bytes += body.len() as u64;
        self.entries.push_back(Stored { at, body: body.clone() });
        self.let_go(retention.age);
        while self.entries.len() > 1
            && (self.entries.len() as u64 > retention.messages_max || self.bytes > retention.bytes_max)
        {
            self.drop_oldest(Discontinuity::Trimmed);
        }
        self.at(self.top)
    }

    /// Lets go of what is too old.
    pub(super) fn let_go(&mut self, age: Duration) {
        self.ids.turn_if_due();
        while self.entries.front().is_some_and(|oldest| oldest.is_expired(age)) {
            self.drop_oldest(Discontinuity::Expired);
        }
    }

    fn drop_oldest(&mut self, why: Discontinuity) {
        if let Some(oldest) = self.entries.pop_front() {
            self.bytes -= oldest.body.len() as u64;
            self.lost = why;
        }
    }

    pub(super) fn read(&mut self, after: &Position, limits: Limits, age: Duration) -> Read {
        self.let_go(age);
        let head = self.head();
        if let Err(reason) = judge(after, &head) {
            return Read::Broken { reason, head };
        }
        let first = self.top + 1 - self.entries.len() as u64;
        let Some(skipped) = (after.offset + 1).checked_sub(first) else {
            return Read::Broken { reason: self.lost, head };
        };
        let (mut bodies, mut bytes) = (Vec::new(), 0);
        for Stored { body, .. } in self.entries.iter().skip(skipped as usize).take(limits.entries_max.max(1))
        {
            bytes += body.len();
            if bytes > limits.bytes_max && !bodies.is_empty() {
                break;
            }
            bodies.push(body.clone());
        }
        Read::Page(Page { first: after.offset + 1, bodies, head })
    }

    /// Whoever holds a position of before may have missed something.
    pub(super) fn begin_anew(&mut self, epoch: String) {
        self.epoch = epoch;
    }
}
