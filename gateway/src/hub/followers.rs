//! Who follows one topic on this node, who of them has to wait, and how far its log was delivered.
//!
//! Whoever calls holds the topic's place in the hub's table: that is the lock under which a log is delivered, and
//! under which a follower that had to catch up begins to get what all others get.

mod catching_up;

use std::collections::HashMap;
use std::sync::Arc;

use ahash::RandomState;
use bytes::Bytes;
use signalbox_protocol::control::{Discontinuity, Position};
use signalbox_registry::Logged;
use signalbox_registry::log::Read;

use super::hold::{Hold, has};
use super::members::Members;
use super::tail::{Question, Tail, Taken};
use super::{Connection, TopicKey};
use crate::metrics::Metrics;
use crate::ws::answer;
use crate::ws::frame::placed;
use crate::ws::outbox::Keep;

/// What followers wait for, by their numbers.
type Holds = HashMap<u64, Hold, RandomState>;

/// See the module. A topic of which nobody has heard a stored message has no tail: its followers stand where
/// nothing had been said when the node last looked.
#[derive(Debug, Default)]
pub struct Followers {
    pub(super) members: Members,
    /// Boxed: forty bytes less for every topic of an idle connection.
    holds: Option<Box<Holds>>,
    tail: Option<Box<Tail>>,
}

impl Followers {
    pub(super) fn add(&mut self, connection: Arc<Connection>, hold: Option<Hold>) {
        if let Some(hold) = hold {
            self.holds.get_or_insert_default().insert(connection.number(), hold);
        }
        self.members.add(connection);
    }

    pub(super) fn remove(&mut self, number: u64) {
        self.let_go(number);
        self.members.remove(number);
    }

    /// Whether a follower has not been told yet that it is one.
    pub(super) fn is_joining(&self, number: u64) -> bool {
        self.holds.as_ref().is_some_and(|holds| holds.get(&number) == Some(&Hold::Joining))
    }

    /// Whether somebody gets what comes.
    fn has_live(&self) -> bool {
        let waiting = |holds: &Holds| holds.values().filter(|hold| !matches!(hold, Hold::From(_))).count();
        self.members.len() > self.holds.as_deref().map_or(0, waiting)
    }

    /// Whether the node knows where the topic's log stands.
    pub fn is_known(&self) -> bool {
        match &self.tail {
            Some(tail) => tail.at().is_some(),
            None => self.has_live(),
        }
    }

    /// What was delivered last; none: nothing was ever said, as far as the node knows.
    pub fn at(&self) -> Option<&Position> {
        self.tail.as_ref()?.at()
    }

    /// Whether there is a log to look after.
    pub fn has_tail(&self) -> bool {
        self.tail.is_some()
    }

    /// The log was asked where it ends. True: it has to be read.
    pub fn establish(&mut self, head: &Position, base: Option<&Position>, metrics: &Metrics) -> bool {
        let has_live = self.has_live();
        match &mut self.tail {
            Some(tail) => match tail.at() {
                Some(at) => (at.epoch != head.epoch || at.offset < head.offset) && tail.doubt(),
                None => {
                    tail.go_on_from(head.clone());
                    self.deliver_held(metrics);
                    self.tail.as_mut().is_some_and(|tail| tail.held_len() > 0 && tail.begin_settling())
                }
            },
            None if head.offset == 0 => false,
            None if has_live => self.doubt(base),
            None => {
                self.tail = Some(Box::new(Tail::new(Some(head.clone()))));
                false
            }
        }
    }

    /// The log has to be read. True if nobody does: then the caller sees to it.
    pub fn doubt(&mut self, base: Option<&Position>) -> bool {
        self.tail.get_or_insert_with(|| Box::new(Tail::new(base.cloned()))).doubt()
    }

    /// Nothing has been said: the log goes by another name now.
    pub fn rename_epoch(&mut self, epoch: &str) {
        if let Some(tail) = &mut self.tail {
            tail.rename_epoch(epoch);
        }
    }

    /// A message came over the bus. True: the log has to be read.
    pub fn take(&mut self, logged: Logged, base: Option<&Position>, metrics: &Metrics) -> bool {
        let start = base.filter(|_| self.has_live());
        let tail = self.tail.get_or_insert_with(|| Box::new(Tail::new(start.cloned())));
        match tail.take(logged) {
            Taken::Next(logged) => {
                self.deliver(&logged, metrics);
                self.deliver_held(metrics);
                false
            }
            Taken::Repeated => {
                metrics.log.repeated.inc();
                false
            }
            Taken::Held => {
                metrics.log.held.inc();
                tail.begin_settling()
            }
            Taken::Full => {
                metrics.log.held_overflow.inc();
                tail.begin_settling()
            }
            Taken::Contradicts => tail.begin_settling(),
        }
    }

    /// What has to be asked of the log, and how many messages are held back meanwhile.
    pub fn question(&mut self) -> Option<(Question, usize)> {
        let tail = self.tail.as_mut()?;
        tail.forget_passed();
        let question = tail.question()?;
        Some((question, tail.held_len()))
    }

    /// The log answered. `held`: how many messages were held back when it was asked.
    pub fn settle(&mut self, key: &TopicKey, read: Read, held: usize, metrics: &Metrics) {
        match read {
            Read::Page(page) => {
                metrics.log.repairs.with_label_values(&["filled"]).inc();
                let (end, head) = (page.end(), page.head.clone());
                for (offset, body) in page.entries() {
                    let position = Position { epoch: head.epoch.clone(), offset };
                    let (tenant, topic) = (key.tenant.clone(), key.topic.clone());
                    let logged = Logged { tenant, topic, position, body: body.clone() };
                    if self.tail.as_mut().is_some_and(|tail| tail.take_read(&logged)) {
                        self.deliver(&logged, metrics);
                    }
                }
                if let Some(tail) = &mut self.tail {
                    tail.forget_foreign(held);
                    if end.offset < head.offset {
                        tail.doubt();
                    }
                }
            }
            Read::Broken { reason, head } => {
                metrics.log.repairs.with_label_values(&["broken"]).inc();
                self.break_off(key, reason, head, metrics);
            }
        }
        self.deliver_held(metrics);
    }

    /// The log could not be asked.
    pub fn not_settled(&mut self) {
        if let Some(tail) = &mut self.tail {
            tail.doubt();
        }
    }

    /// Messages may be missing: everybody who is not catching up by itself is told, and it goes on from `head`.
    pub fn break_off(&mut self, key: &TopicKey, reason: Discontinuity, head: Position, metrics: &Metrics) {
        metrics.log.count_break(reason);
        let frame = answer::broken(&key.topic, reason, &head);
        for member in self.members.iter() {
            match self.hold_of(member.number()) {
                Some(Hold::Joining | Hold::CatchingUp) => {}
                Some(Hold::From(at)) if at.epoch == head.epoch && at.offset >= head.offset => {}
                Some(Hold::From(_)) | None => push(member, &frame, metrics),
            }
        }
        if let Some(holds) = &mut self.holds {
            let stays = |hold: &Hold| match hold {
                Hold::Joining | Hold::CatchingUp => true,
                Hold::From(at) => at.epoch == head.epoch && at.offset > head.offset,
            };
            holds.retain(|_, hold| stays(hold));
        }
        if let Some(tail) = &mut self.tail {
            tail.go_on_from(head);
        }
    }

    fn hold_of(&self, number: u64) -> Option<&Hold> {
        self.holds.as_ref()?.get(&number)
    }

    fn let_go(&mut self, number: u64) {
        if let Some(holds) = &mut self.holds {
            holds.remove(&number);
            if holds.is_empty() {
                self.holds = None;
            }
        }
    }

    fn deliver_held(&mut self, metrics: &Metrics) {
        while let Some(logged) = self.tail.as_mut().and_then(|tail| tail.next_held()) {
            self.deliver(&logged, metrics);
        }
    }

    /// Queues the message for everybody whose turn it is; encoded once for all.
    fn deliver(&mut self, logged: &Logged, metrics: &Metrics) {
        let frame = placed(&logged.topic, logged.position.offset, &logged.body);
        let mut caught = Vec::new();
        for member in self.members.iter() {
            match self.hold_of(member.number()) {
                Some(Hold::Joining | Hold::CatchingUp) => continue,
                Some(Hold::From(read)) if has(read, &logged.position) => continue,
                Some(Hold::From(_)) => caught.push(member.number()),
                None => {}
            }
            push(member, &frame, metrics);
        }
        caught.into_iter().for_each(|number| self.let_go(number));
    }
}

/// Queues what may not be dropped. Who has no room for it is closed, and resumes.
fn push(member: &Arc<Connection>, frame: &Bytes, metrics: &Metrics) {
    metrics.count_push(member.deliver(frame.clone(), Keep::Stored));
}
