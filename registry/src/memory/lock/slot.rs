//! One resource: its lock, and who stands in line for it. Pure: the time comes in.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use signalbox_protocol::{Agent, RequestId};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::lock::{Ask, Denial, Grant, TURN, WAITERS_MAX, ttl_ms};

/// A lock that was granted; it may have ended.
#[derive(Debug)]
pub(super) struct Lock {
    pub(super) token: String,
    pub(super) fence: u64,
    pub(super) owner: Agent,
    /// Subject and request id, if it can be asked for again.
    claim: Option<(String, RequestId)>,
    ttl: Duration,
    pub(super) ends: Instant,
}

impl Lock {
    pub(super) fn grant(&self, now: Instant) -> Grant {
        Grant { token: self.token.clone(), fence: self.fence, ttl: self.ends - now }
    }

    /// Lets it last for its time to live from now, or for another.
    pub(super) fn renew(&mut self, ttl: Option<Duration>, now: Instant) {
        self.ttl = ttl.map_or(self.ttl, |ttl| Duration::from_millis(ttl_ms(ttl)));
        self.ends = now + self.ttl;
    }
}

/// Who stands in line.
#[derive(Debug, Clone)]
pub(super) struct Waiter {
    pub(super) number: u64,
    pub(super) wake: Arc<Notify>,
    pub(super) in_line: bool,
}

/// Why a lock can't be had now.
#[derive(Debug)]
pub(super) struct InTheWay {
    pub(super) holder: Option<Agent>,
    /// When the lock or the turn of somebody else ends.
    pub(super) until: Instant,
}

impl InTheWay {
    pub(super) fn denial(self, now: Instant) -> Denial {
        Denial { held_by: self.holder, retry_after: self.until.saturating_duration_since(now) }
    }
}

/// What became of the line while somebody looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passed {
    Nothing,
    /// A lock had expired, and the first in line got the turn.
    Expired,
    /// A turn had not been used, and the next got it.
    Missed,
}

#[derive(Debug, Default)]
pub(super) struct Slot {
    lock: Option<Lock>,
    line: VecDeque<Waiter>,
    /// Who may take the lock, and until when; only while it is free.
    turn: Option<(u64, Instant)>,
}

impl Slot {
    /// The lock, unless it has ended.
    pub(super) fn lock(&self, now: Instant) -> Option<&Lock> {
        self.lock.as_ref().filter(|lock| lock.ends > now)
    }

    /// The lock that this token holds.
    pub(super) fn lock_of(&mut self, token: &str, now: Instant) -> Option<&mut Lock> {
        self.lock.as_mut().filter(|lock| lock.ends > now && lock.token == token)
    }

    /// The lock that was granted for this ask before.
    pub(super) fn claimed(&self, ask: &Ask, now: Instant) -> Option<&Lock> {
        let claim = (&ask.subject, ask.request_id.as_ref()?);
        let is_his = |(subject, id): &(String, RequestId)| (subject, id) == claim;
        self.lock(now).filter(|lock| lock.claim.as_ref().is_some_and(is_his))
    }

    pub(super) fn waiters(&self) -> usize {
        self.line.len()
    }

    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.lock(now).is_none() && self.line.is_empty()
    }

    /// What keeps `me` from the lock. If that is free, gives the turn to whoever is next.
    pub(super) fn in_the_way(&mut self, me: Option<u64>, now: Instant) -> (Option<InTheWay>, Passed) {
        if let Some(lock) = self.lock(now) {
            return (Some(InTheWay { holder: Some(lock.owner.clone()), until: lock.ends }), Passed::Nothing);
        }
        let passed = self.pass_turn(me, now);
        let turn = self.turn.filter(|(number, _)| Some(*number) != me);
        (turn.map(|(_, until)| InTheWay { holder: None, until }), passed)
    }

    /// Lines up, unless the line is full; who stands in it already stays where he is.
    pub(super) fn line_up(&mut self, waiter: &mut Waiter) -> bool {
        if !waiter.in_line && self.line.len() < WAITERS_MAX {
            waiter.in_line = true;
            self.line.push_back(waiter.clone());
        }
        waiter.in_line
    }

    /// Holds the lock from now on.
    pub(super) fn take(&mut self, ask: &Ask, token: String, fence: u64, now: Instant) -> Grant {
        let ttl = Duration::from_millis(ttl_ms(ask.ttl));
        let claim = ask.request_id.clone().map(|id| (ask.subject.clone(), id));
        let lock = Lock { token, fence, owner: ask.owner.clone(), claim, ttl, ends: now + ttl };
        self.turn = None;
        self.lock.insert(lock).grant(now)
    }

    /// Ends the lock, and gives the turn to the first in line.
    pub(super) fn free(&mut self, now: Instant) {
        self.lock = None;
        self.pass_turn(None, now);
    }

    /// Leaves the line; a turn that the waiter had goes on.
    pub(super) fn leave(&mut self, number: u64, now: Instant) {
        self.line.retain(|waiter| waiter.number != number);
        if self.turn.is_some_and(|(whose, _)| whose == number) {
            self.turn = None;
            self.pass_turn(None, now);
        }
    }

    fn pass_turn(&mut self, me: Option<u64>, now: Instant) -> Passed {
        let mut passed = Passed::Expired;
        if let Some((number, ends)) = self.turn {
            if ends > now || Some(number) == me {
                return Passed::Nothing;
            }
            // It did not come: to the end of the line.
            let at = self.line.iter().position(|waiter| waiter.number == number);
            if let Some(late) = at.and_then(|at| self.line.remove(at)) {
                self.line.push_back(late);
            }
            passed = Passed::Missed;
        }
        self.turn = self.line.front().map(|first| (first.number, now + TURN));
        // The second is told as well, and looks again when the turn of the first ends.
        self.line.iter().take(2).for_each(|waiter| waiter.wake.notify_one());
        if self.turn.is_some() { passed } else { Passed::Nothing }
    }
}
