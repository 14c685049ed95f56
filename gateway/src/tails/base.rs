//! Where topics stand in which nothing was ever said, as far as a node knows: for each part of what is stored. Pure.

use std::sync::Arc;

use signalbox_protocol::control::{Discontinuity, Position};
use signalbox_registry::log::{Parts, judge};

/// What a node has learned; empty as long as it has not looked.
#[derive(Debug, Default)]
pub(super) struct Base(Vec<(Parts, Arc<Position>)>);

/// Parts of which something may have been lost, and where nothing stands in them now.
pub(super) type Broken = Vec<(Parts, Arc<Position>)>;

impl Base {
    /// What is not divided stands here.
    pub(super) fn of_one(nothing: Position) -> Self {
        Self(vec![(0..=0, Arc::new(nothing))])
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where nothing stands in a part.
    pub(super) fn of(&self, part: u16) -> Option<&Arc<Position>> {
        let place = self.0.partition_point(|(parts, _)| *parts.end() < part);
        self.0.get(place).filter(|(parts, _)| parts.contains(&part)).map(|(_, nothing)| nothing)
    }

    /// What is known after another look at all parts.
    pub(super) fn after(&self, look: Vec<(Parts, Position)>) -> (Self, Broken) {
        let (mut known, mut broken) = (Self::default(), Broken::new());
        for (parts, nothing) in look {
            let nothing = Arc::new(nothing);
            for (some, before) in self.pieces(&parts) {
                let lost = before.and_then(|before| lost(before, &nothing));
                match (before, lost) {
                    // What was told first holds on.
                    (Some(before), None) => known.push(some, before),
                    (_, Some(Discontinuity::Expired)) | (None, _) => known.push(some, &nothing),
                    (Some(_), Some(_)) => {
                        broken.push((some.clone(), Arc::clone(&nothing)));
                        known.push(some, &nothing);
                    }
                }
            }
        }
        (known, broken)
    }

    /// Some parts, divided by what is known of them.
    fn pieces(&self, parts: &Parts) -> Vec<(Parts, Option<&Arc<Position>>)> {
        let (mut pieces, mut next) = (Vec::new(), *parts.start());
        for (of, nothing) in &self.0 {
            let (first, last) = (*of.start().max(parts.start()), *of.end().min(parts.end()));
            if first > last {
                continue;
            }
            if next < first {
                pieces.push((next..=first - 1, None));
            }
            pieces.push((first..=last, Some(nothing)));
            next = last + 1;
        }
        if next <= *parts.end() {
            pieces.push((next..=*parts.end(), None));
        }
        pieces
    }

    fn push(&mut self, parts: Parts, nothing: &Arc<Position>) {
        match self.0.last_mut() {
            Some((before, same)) if same == nothing && *before.end() + 1 == *parts.start() => {
                *before = *before.start()..=*parts.end();
            }
            _ => self.0.push((parts, Arc::clone(nothing))),
        }
    }
}

/// Why what stood before is not continued, if it is not.
pub(super) fn lost(before: &Position, now: &Position) -> Option<Discontinuity> {
    judge(before, now).err().filter(|_| judge(now, before).is_err())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(epoch: &str) -> Position {
        Position { epoch: epoch.to_owned(), offset: 0 }
    }

    fn told(base: &Base) -> Vec<(Parts, &str)> {
        base.0.iter().map(|(parts, nothing)| (parts.clone(), nothing.epoch.as_str())).collect()
    }

    #[test]
    fn only_parts_that_are_elsewhere_or_began_anew_are_broken() {
        let (base, broken) = Base::default().after(vec![(0..=9, at("a.1")), (10..=19, at("b.1"))]);
        assert_eq!(told(&base), [(0..=9, "a.1"), (10..=19, "b.1")]);
        assert_eq!(broken, []);
        assert_eq!((base.of(9).unwrap().epoch.as_str(), base.of(10).unwrap().epoch.as_str()), ("a.1", "b.1"));
        assert_eq!(base.of(20), None);

        let (same, broken) = base.after(vec![(0..=9, at("a.2")), (10..=19, at("b.2"))]);
        assert_eq!((told(&same), broken), (told(&base), vec![]), "it goes on");

        let look = vec![(0..=3, at("a.2")), (4..=4, at("b.2")), (5..=9, at("a.2")), (10..=19, at("c.2"))];
        let (moved, broken) = base.after(look);
        assert_eq!(told(&moved), [(0..=3, "a.1"), (4..=4, "b.2"), (5..=9, "a.1"), (10..=19, "c.2")]);
        assert_eq!(broken, [(4..=4, Arc::new(at("b.2"))), (10..=19, Arc::new(at("c.2")))]);
        let (back, broken) = moved.after(vec![(0..=9, at("a.3")), (10..=19, at("c.3"))]);
        assert_eq!(told(&back), [(0..=3, "a.1"), (4..=4, "a.3"), (5..=9, "a.1"), (10..=19, "c.2")]);
        assert_eq!(broken, [(4..=4, Arc::new(at("a.3")))]);
    }

    #[test]
    fn what_is_too_long_ago_is_renewed_without_a_word() {
        let (base, _) = Base::default().after(vec![(0..=0, at("a.1"))]);
        let (renewed, broken) = base.after(vec![(0..=0, at("a.5265c01"))]);
        assert_eq!((told(&renewed), broken), (vec![(0..=0, "a.5265c01")], vec![]));
    }
}
