//! A follower that reads the log by itself, until it has what all others have.

use signalbox_protocol::control::Position;

use super::Followers;
use crate::hub::hold::{Caught, Hold, alike};

impl Followers {
    /// From now on the follower gets nothing of the log that it does not read by itself. Where it stands.
    pub fn hold(&mut self, number: u64, base: Option<&Position>) -> Option<Position> {
        let at = self.at().or(base).cloned();
        if !self.members.contains(number) {
            return at;
        }
        let holds = self.holds.get_or_insert_default();
        match holds.get(&number).cloned() {
            Some(Hold::From(read)) => {
                holds.insert(number, Hold::CatchingUp);
                Some(read)
            }
            Some(Hold::Joining | Hold::CatchingUp) => at,
            None => {
                holds.insert(number, Hold::CatchingUp);
                at
            }
        }
    }

    /// The follower was told that it is one: from now on it gets what is not stored.
    pub fn admit(&mut self, number: u64) {
        if self.is_joining(number) {
            self.holds.get_or_insert_default().insert(number, Hold::CatchingUp);
        }
    }

    /// The follower has everything up to `cursor`. `at_end`: that was the end of the log just now.
    pub fn catch_up(
        &mut self,
        number: u64,
        cursor: &Position,
        base: Option<&Position>,
        at_end: bool,
    ) -> Caught {
        if !self.members.contains(number) {
            return Caught::Up;
        }
        // A message came while nobody got any yet, and waits: from here on somebody does.
        if let Some(tail) = self.tail.as_mut().filter(|tail| tail.at().is_none()) {
            tail.go_on_from(cursor.clone());
            self.let_go(number);
            return if self.doubt(base) { Caught::UpWithDoubt } else { Caught::Up };
        }
        let Some(at) = self.at().or(base) else {
            self.hold_from(number, cursor);
            return Caught::Up;
        };
        if !alike(at, cursor) {
            if !at_end {
                return Caught::Behind;
            }
            self.hold_from(number, cursor);
            return if self.doubt(base) { Caught::UpWithDoubt } else { Caught::Up };
        }
        if cursor.offset < at.offset {
            return Caught::Behind;
        }
        if cursor.offset > at.offset {
            self.hold_from(number, cursor);
        } else {
            self.let_go(number);
        }
        Caught::Up
    }

    fn hold_from(&mut self, number: u64, cursor: &Position) {
        self.holds.get_or_insert_default().insert(number, Hold::From(cursor.clone()));
    }
}
