//! How far this node has delivered the log of one topic, and what came too early. Pure: messages in, verdicts out.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

use signalbox_protocol::control::Position;
use signalbox_registry::Logged;
use signalbox_registry::log::judge;

/// Messages of one topic that are held back while those before them are missing. What is more is in the log.
const HELD_MESSAGES_MAX: usize = 256;
/// The same in bytes; one message always has room.
const HELD_BYTES_MAX: usize = 1 << 20;
/// So many of the newest ids are remembered, to see a log that tells two messages under one number.
const RECENT_MAX: usize = 32;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// What was delivered last; none while the log has not been asked where it ends.
    at: Option<Position>,
    /// The ids of the newest messages, hashed; the last is that of `at`.
    recent: VecDeque<u64>,
    held: Vec<Logged>,
    /// Somebody reads the log to settle this.
    settling: bool,
    /// The log has to be read though no message was seen to be missing.
    doubtful: bool,
    /// The log told two messages under one number.
    contradicted: bool,
}

/// What a message is to the tail.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is the next one, and counts as delivered.
    Next(Logged),
    /// It was delivered before, or others were declared missing behind it.
    Repeated,
    /// It came too early, or nobody knows: it waits until the log was read.
    Held,
    /// The same, but too many wait already: it will be read from the log.
    Full,
    /// Another message had its number.
    Contradicts,
}

/// What has to be asked of the log.
#[derive(Debug, PartialEq, Eq)]
pub struct Question {
    /// What follows this?
    pub after: Position,
    /// The log has told of a message of this number.
    pub expected: u64,
    /// It can't go on like this: another epoch has to begin.
    pub contradicted: bool,
}

impl Tail {
    /// A tail at a place, if it is known.
    pub(super) fn new(at: Option<Position>) -> Self {
        Self { at, ..Self::default() }
    }

    /// What was delivered last.
    pub(super) fn at(&self) -> Option<&Position> {
        self.at.as_ref()
    }

    /// Takes a message that the bus brought.
    pub(super) fn take(&mut self, logged: Logged) -> Taken {
        let Some(at) = &mut self.at else { return self.hold(logged) };
        if at.epoch != logged.position.epoch {
            if judge(at, &logged.position).is_err() {
                return self.hold(logged);
            }
            at.epoch.clone_from(&logged.position.epoch);
        }
        let (at, offset) = (at.offset, logged.position.offset);
        if offset > at + 1 {
            return self.hold(logged);
        }
        if offset == at + 1 {
            self.advance(&logged);
            return Taken::Next(logged);
        }
        let known = usize::try_from(at - offset).ok().and_then(|back| self.recent.iter().rev().nth(back));
        match known {
            Some(known) if *known != fingerprint(&logged.body) => {
                self.contradicted = true;
                Taken::Contradicts
            }
            _ => Taken::Repeated,
        }
    }

    /// Takes a message that the log gave, which has been asked for what follows this tail. True: it is the next one.
    pub(super) fn take_read(&mut self, logged: &Logged) -> bool {
        let Some(at) = &mut self.at else { return false };
        at.epoch.clone_from(&logged.position.epoch);
        let next = logged.position.offset == at.offset + 1;
        if next {
            self.advance(logged);
        }
        next
    }

    /// The next message of those that were held back, if it is there.
    pub(super) fn next_held(&mut self) -> Option<Logged> {
        let at = self.at.as_ref()?;
        let is_next = |held: &Logged| held.position.offset == at.offset + 1 && continues(at, &held.position);
        let place = self.held.iter().position(is_next)?;
        let next = self.held.swap_remove(place);
        self.advance(&next);
        Some(next)
    }

    /// Goes on from another place. What is behind it is no longer held back.
    pub(super) fn go_on_from(&mut self, head: Position) {
        self.recent.clear();
        self.held.retain(|held| held.position.offset > head.offset && continues(&head, &held.position));
        self.at = Some(head);
    }

    /// Takes over the name that the log has now: nothing has been said under either.
    pub(super) fn rename_epoch(&mut self, epoch: &str) {
        if let Some(at) = self.at.as_mut().filter(|at| at.offset == 0) {
            epoch.clone_into(&mut at.epoch);
        }
    }

    /// The log has to be read. True if nobody does yet: then the caller sees to it.
    pub(super) fn doubt(&mut self) -> bool {
        self.doubtful = true;
        self.begin_settling()
    }

    /// True if somebody has to begin to settle what is held back.
    pub(super) fn begin_settling(&mut self) -> bool {
        self.at.is_some() && !std::mem::replace(&mut self.settling, true)
    }

    /// What has to be asked now; nothing: all is settled.
    pub(super) fn question(&mut self) -> Option<Question> {
        let open = self.doubtful || self.contradicted || !self.held.is_empty();
        let Some(after) = self.at.clone().filter(|_| open) else {
            self.settling = false;
            return None;
        };
        self.doubtful = false;
        let of_epoch = self.held.iter().filter(|held| held.position.epoch == after.epoch);
        let expected = of_epoch.map(|held| held.position.offset).max().unwrap_or_default();
        Some(Question { after, expected, contradicted: std::mem::take(&mut self.contradicted) })
    }

    /// The log was read up to its end at that time: what is held back and lies behind this is of no use.
    pub(super) fn forget_passed(&mut self) {
        let Some(at) = &self.at else { return };
        self.held.retain(|held| held.position.epoch != at.epoch || held.position.offset > at.offset);
    }

    /// What is held back of other epochs than that of the log, as it was read, is of no use.
    pub(super) fn forget_foreign(&mut self, asked: usize) {
        let Some(at) = &self.at else { return };
        let mut place = 0;
        self.held.retain(|held| {
            place += 1;
            place > asked || held.position.epoch == at.epoch
        });
    }

    /// How many are held back.
    pub(super) fn held_len(&self) -> usize {
        self.held.len()
    }

    fn hold(&mut self, logged: Logged) -> Taken {
        let bytes: usize = self.held.iter().map(|held| held.body.len()).sum();
        let full = bytes + logged.body.len() > HELD_BYTES_MAX || self.held.len() >= HELD_MESSAGES_MAX;
        if full && !self.held.is_empty() {
            self.doubtful = true;
            return Taken::Full;
        }
        let same = |held: &Logged| held.position == logged.position;
        if !self.held.iter().any(same) {
            self.held.push(logged);
        }
        Taken::Held
    }

    fn advance(&mut self, logged: &Logged) {
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(fingerprint(&logged.body));
        self.at = Some(logged.position.clone());
    }
}

/// Whether a message is of the same life as what was delivered, by whatever name.
fn continues(at: &Position, message: &Position) -> bool {
    at.epoch == message.epoch || judge(at, message).is_ok()
}

/// The id of a stored message, hashed. Every message that a node stores begins with its id.
fn fingerprint(body: &[u8]) -> u64 {
    let mut escaped = false;
    let id = body.strip_prefix(br#"{"id":""#).unwrap_or(body);
    let end = id.iter().position(|byte| match (*byte, escaped) {
        (b'"', false) => true,
        (byte, _) => {
            escaped = byte == b'\\' && !escaped;
            false
        }
    });
    let mut hasher = DefaultHasher::new();
    id[..end.unwrap_or(id.len())].hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::testing::{tenant, topic};

    fn at(epoch: &str, offset: u64) -> Position {
        Position { epoch: epoch.to_owned(), offset }
    }

    fn message(epoch: &str, offset: u64, id: &str) -> Logged {
        Logged {
            tenant: tenant("t"),
            topic: topic("order:1"),
            position: at(epoch, offset),
            body: Bytes::from(format!(r#"{{"id":"{id}","type":"order:new"}}"#)),
        }
    }

    fn taken(tail: &mut Tail, offset: u64) -> Taken {
        tail.take(message("s.1", offset, &offset.to_string()))
    }

    #[test]
    fn messages_are_delivered_in_the_order_of_their_numbers_and_once() {
        let mut tail = Tail::new(Some(at("s.1", 3)));
        assert!(matches!(taken(&mut tail, 4), Taken::Next(_)));
        assert_eq!(taken(&mut tail, 4), Taken::Repeated);
        assert_eq!(taken(&mut tail, 3), Taken::Repeated);
        assert_eq!(taken(&mut tail, 7), Taken::Held);
        assert_eq!(taken(&mut tail, 6), Taken::Held);
        assert!(tail.next_held().is_none());
        assert!(matches!(taken(&mut tail, 5), Taken::Next(_)));
        assert_eq!(tail.next_held().unwrap().position.offset, 6);
        assert_eq!(tail.next_held().unwrap().position.offset, 7);
        assert!(tail.next_held().is_none());
        assert_eq!(tail.question(), None);
    }

    #[test]
    fn a_gap_is_a_question_until_it_is_filled() {
        let mut tail = Tail::new(Some(at("s.1", 3)));
        assert_eq!(taken(&mut tail, 6), Taken::Held);
        assert!(tail.begin_settling());
        assert!(!tail.begin_settling(), "somebody does");
        let question = tail.question().unwrap();
        assert_eq!((question.after.offset, question.expected), (3, 6));
        for offset in 4..=5 {
            assert!(tail.take_read(&message("s.1", offset, &offset.to_string())));
        }
        assert_eq!(tail.next_held().unwrap().position.offset, 6);
        assert_eq!(tail.question(), None);
        assert!(tail.doubt(), "the next doubt has to be settled anew");
    }

    #[test]
    fn another_message_under_a_number_contradicts() {
        let mut tail = Tail::new(Some(at("s.1", 0)));
        taken(&mut tail, 1);
        taken(&mut tail, 2);
        assert_eq!(tail.take(message("s.1", 1, "other")), Taken::Contradicts);
        assert!(tail.question().unwrap().contradicted);
    }

    #[test]
    fn the_first_message_names_the_epoch_and_another_life_is_doubtful() {
        let mut tail = Tail::new(Some(at("s.1", 0)));
        assert!(matches!(tail.take(message("s.5", 1, "a")), Taken::Next(_)));
        assert_eq!(tail.at(), Some(&at("s.5", 1)));
        assert_eq!(tail.take(message("r.1", 2, "b")), Taken::Held);
        tail.go_on_from(at("r.1", 1));
        assert_eq!(tail.next_held().unwrap().position, at("r.1", 2));
    }

    #[test]
    fn what_is_held_back_is_bounded() {
        let mut tail = Tail::new(Some(at("s.1", 0)));
        for offset in 0..HELD_MESSAGES_MAX as u64 {
            assert_eq!(taken(&mut tail, offset + 2), Taken::Held);
        }
        assert_eq!(taken(&mut tail, 1_000), Taken::Full);
    }
}
