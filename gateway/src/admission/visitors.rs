//! Connections that speak plain HTTP: bounded. When there are as many as there may be, the one that has asked for
//! nothing for longest makes room; one that is being answered never does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// The connections that have asked for something.
#[derive(Debug)]
pub struct Visitors {
    inside: Mutex<Inside>,
    max: usize,
}

#[derive(Debug, Default)]
struct Inside {
    count: usize,
    /// Those who ask for nothing now, in the order in which they began to.
    resting: BTreeMap<u64, CancellationToken>,
    next: u64,
}

impl Visitors {
    /// Nobody yet, and at most so many.
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { inside: Mutex::default(), max })
    }

    /// A place for one that asks for something now, and whether another was sent away for it; nothing if all are being
    /// answered. `sent_away` is cancelled when it has to go in its turn.
    pub fn enter(self: &Arc<Self>, sent_away: &CancellationToken) -> Option<(Visit, bool)> {
        let mut inside = self.lock();
        let is_full = inside.count >= self.max;
        if is_full {
            // Its place is the newcomer's, so the count stays.
            inside.resting.pop_first()?.1.cancel();
        } else {
            inside.count += 1;
        }
        drop(inside);
        let visit =
            Visit { visitors: Arc::clone(self), sent_away: sent_away.clone(), standing: Standing::Asking };
        Some((visit, is_full))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one connection; free again when dropped.
#[derive(Debug)]
pub struct Visit {
    visitors: Arc<Visitors>,
    sent_away: CancellationToken,
    standing: Standing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Asking,
    Resting(u64),
    /// Its place is another's.
    Gone,
}

impl Visit {
    /// It asks for something: until it rests it is not sent away.
    pub fn ask(&mut self) {
        if let Standing::Resting(number) = self.standing {
            let stayed = self.visitors.lock().resting.remove(&number).is_some();
            self.standing = if stayed { Standing::Asking } else { Standing::Gone };
        }
    }

    /// It has its answer.
    pub fn rest(&mut self) {
        if self.standing == Standing::Asking {
            let mut inside = self.visitors.lock();
            let number = inside.next;
            inside.next += 1;
            inside.resting.insert(number, self.sent_away.clone());
            self.standing = Standing::Resting(number);
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.ask();
        if self.standing == Standing::Asking {
            self.visitors.lock().count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn come(visitors: &Arc<Visitors>) -> Option<(Visit, CancellationToken)> {
        let sent_away = CancellationToken::new();
        visitors.enter(&sent_away).map(|(visit, _)| (visit, sent_away))
    }

    #[test]
    fn who_has_rested_longest_makes_room_and_who_asks_does_not() {
        let visitors = Visitors::new(2);
        let (mut first, first_away) = come(&visitors).unwrap();
        let (mut second, second_away) = come(&visitors).unwrap();
        assert!(come(&visitors).is_none(), "both are being answered");
        first.rest();
        second.rest();
        first.ask();
        first.rest();
        let (third, _) = come(&visitors).unwrap();
        assert_eq!((first_away.is_cancelled(), second_away.is_cancelled()), (false, true));
        second.ask();
        drop(second);
        assert_eq!(visitors.len(), 2, "its place is another's already");
        drop((first, third));
        assert!(visitors.is_empty());
        assert!(visitors.lock().resting.is_empty());
    }
}
