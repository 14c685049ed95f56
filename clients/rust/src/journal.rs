//! How far a client has come in each durable topic. Pure.
//!
//! What must stay true: a position moves only when the message with the next number was handed to the
//! application, or when the node has said that something may be missing.

use std::collections::BTreeMap;

use signalbox_protocol::Topic;
use signalbox_protocol::control::{Position, Positions, TopicResumed};

use crate::event::LossReason;

/// The topics of a client and its place in each.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    topics: BTreeMap<Topic, Place>,
}

#[derive(Debug)]
struct Place {
    position: Position,
    /// The client belongs to it without having joined it.
    own: bool,
    /// Nobody can say what comes next: whatever does is taken.
    adrift: bool,
}

/// What a durable message is to its topic's position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The next one.
    Next,
    /// It was handed over before.
    Known,
    /// Something between is missing.
    Gap,
    /// Of a topic that this client did not ask for.
    Untracked,
}

impl Journal {
    /// A connection's own topics, as its welcome tells them. Topics that were own and are no longer, such as that
    /// of the connection before, are forgotten. A place that is known already stays: the resume goes on from there.
    pub(crate) fn welcome(&mut self, own: &Positions) {
        self.topics.retain(|topic, place| !place.own || own.contains_key(topic));
        for (topic, position) in own {
            self.enter(topic, position, true);
        }
    }

    /// Topics that were joined, as their acknowledgement tells them.
    pub(crate) fn joined(&mut self, joined: &Positions) {
        for (topic, position) in joined {
            self.enter(topic, position, false);
        }
    }

    fn enter(&mut self, topic: &Topic, position: &Position, own: bool) {
        let place = self.topics.entry(topic.clone());
        let place = place.or_insert_with(|| Place { position: position.clone(), own, adrift: false });
        place.own |= own;
        if std::mem::take(&mut place.adrift) {
            place.position = position.clone();
        }
    }

    /// Topics that were left.
    pub(crate) fn left<'a>(&mut self, topics: impl IntoIterator<Item = &'a Topic>) {
        for topic in topics {
            self.topics.remove(topic);
        }
    }

    pub(crate) fn judge(&self, topic: &Topic, offset: u64) -> Verdict {
        let Some(place) = self.topics.get(topic) else { return Verdict::Untracked };
        let expected = place.position.offset.saturating_add(1);
        match offset.cmp(&expected) {
            _ if place.adrift => Verdict::Next,
            std::cmp::Ordering::Less => Verdict::Known,
            std::cmp::Ordering::Equal => Verdict::Next,
            std::cmp::Ordering::Greater => Verdict::Gap,
        }
    }

    /// The message with this number was handed over.
    pub(crate) fn advance(&mut self, topic: &Topic, offset: u64) {
        if let Some(place) = self.topics.get_mut(topic) {
            place.position.offset = offset;
            place.adrift = false;
        }
    }

    /// Takes over what a node says of a topic; the reason, if something may be missing.
    pub(crate) fn resumed(&mut self, topic: &Topic, told: &TopicResumed) -> Option<LossReason> {
        let place = self.topics.get_mut(topic)?;
        place.adrift = false;
        if told.recovered {
            // Its number is ours; its epoch is the same, or that of a log that has only just begun.
            place.position.epoch.clone_from(&told.epoch);
            return None;
        }
        place.position = Position { epoch: told.epoch.clone(), offset: told.offset };
        Some(LossReason::of(told.reason))
    }

    /// Nobody can say what was missed: the next message counts, whatever its number.
    pub(crate) fn set_adrift(&mut self, topic: &Topic) {
        if let Some(place) = self.topics.get_mut(topic) {
            place.adrift = true;
        }
    }

    pub(crate) fn is_own(&self, topic: &Topic) -> bool {
        self.topics.get(topic).is_some_and(|place| place.own)
    }

    pub(crate) fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.keys()
    }

    /// The places of some topics, as far as they are known.
    pub(crate) fn positions<'a>(&self, topics: impl IntoIterator<Item = &'a Topic>) -> Positions {
        let known = |topic: &'a Topic| Some((topic.clone(), self.topics.get(topic)?.position.clone()));
        topics.into_iter().filter_map(known).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use signalbox_protocol::control::Discontinuity;

    fn topic(name: &str) -> Topic {
        Topic::try_new(name).expect("it is a topic")
    }

    fn at(name: &str, epoch: &str, offset: u64) -> Positions {
        Positions::from([(topic(name), Position { epoch: epoch.to_owned(), offset })])
    }

    fn told(recovered: bool, epoch: &str, offset: u64) -> TopicResumed {
        let reason = (!recovered).then_some(Discontinuity::Trimmed);
        TopicResumed { recovered, reason, epoch: epoch.to_owned(), offset, replayed: 0 }
    }

    fn place(journal: &Journal, name: &str) -> Option<(String, u64)> {
        let positions = journal.positions([&topic(name)]);
        positions.into_values().next().map(|position| (position.epoch, position.offset))
    }

    #[test]
    fn a_message_is_the_next_a_known_one_or_a_gap() {
        let mut journal = Journal::default();
        journal.joined(&at("route:1", "e", 7));
        let route = topic("route:1");
        for (offset, verdict) in
            [(0, Verdict::Known), (7, Verdict::Known), (8, Verdict::Next), (9, Verdict::Gap)]
        {
            assert_eq!(journal.judge(&route, offset), verdict, "{offset}");
        }
        assert_eq!(journal.judge(&topic("route:2"), 8), Verdict::Untracked);
        journal.advance(&route, 8);
        assert_eq!(journal.judge(&route, 8), Verdict::Known);
        assert_eq!(journal.judge(&route, 9), Verdict::Next);
    }

    #[test]
    fn a_welcome_keeps_places_and_forgets_the_connection_before() {
        let mut journal = Journal::default();
        journal.welcome(&[at("vehicle:V1", "e", 3), at("connection:a", "e", 0)].concat_all());
        journal.joined(&at("route:1", "e", 7));
        journal.advance(&topic("vehicle:V1"), 4);
        journal.welcome(&[at("vehicle:V1", "e", 9), at("connection:b", "e", 0)].concat_all());
        assert_eq!(place(&journal, "vehicle:V1"), Some(("e".to_owned(), 4)), "it resumes from its own place");
        assert_eq!(place(&journal, "connection:a"), None);
        assert!(place(&journal, "connection:b").is_some());
        assert!(place(&journal, "route:1").is_some(), "a joined topic is not told in a welcome");
        assert!(journal.is_own(&topic("vehicle:V1")) && !journal.is_own(&topic("route:1")));
    }

    /// Several maps as one.
    trait ConcatAll {
        fn concat_all(self) -> Positions;
    }

    impl<const N: usize> ConcatAll for [Positions; N] {
        fn concat_all(self) -> Positions {
            self.into_iter().flatten().collect()
        }
    }

    #[test]
    fn joining_again_changes_nothing() {
        let mut journal = Journal::default();
        journal.joined(&at("route:1", "e", 7));
        journal.joined(&at("route:1", "e", 9));
        assert_eq!(journal.judge(&topic("route:1"), 8), Verdict::Next, "8 and 9 are still on their way");
        journal.left([&topic("route:1")]);
        assert_eq!(journal.judge(&topic("route:1"), 8), Verdict::Untracked);
    }

    #[test]
    fn a_recovered_topic_goes_on_where_it_was() {
        let mut journal = Journal::default();
        journal.joined(&at("route:1", "0", 0));
        assert_eq!(journal.resumed(&topic("route:1"), &told(true, "e", 0)), None);
        assert_eq!(place(&journal, "route:1"), Some(("e".to_owned(), 0)));
        journal.advance(&topic("route:1"), 1);
        // Whatever number a node tells of a topic that is whole: nothing may be skipped.
        assert_eq!(journal.resumed(&topic("route:1"), &told(true, "e", 5)), None);
        assert_eq!(journal.judge(&topic("route:1"), 2), Verdict::Next);
    }

    #[test]
    fn a_topic_that_is_not_recovered_goes_on_where_the_node_says() {
        let mut journal = Journal::default();
        journal.joined(&at("route:1", "e", 70));
        let lost = journal.resumed(&topic("route:1"), &told(false, "f", 4));
        assert_eq!(lost, Some(LossReason::Trimmed));
        assert_eq!(place(&journal, "route:1"), Some(("f".to_owned(), 4)));
        assert_eq!(journal.judge(&topic("route:1"), 5), Verdict::Next);
        assert_eq!(journal.resumed(&topic("route:2"), &told(false, "f", 4)), None, "it was left meanwhile");
    }

    #[test]
    fn a_topic_adrift_takes_whatever_comes_next() {
        let mut journal = Journal::default();
        journal.joined(&at("route:1", "e", 70));
        journal.set_adrift(&topic("route:1"));
        assert_eq!(journal.judge(&topic("route:1"), 3), Verdict::Next);
        journal.advance(&topic("route:1"), 3);
        assert_eq!(journal.judge(&topic("route:1"), 5), Verdict::Gap);
        journal.set_adrift(&topic("route:1"));
        journal.joined(&at("route:1", "g", 20));
        assert_eq!(journal.judge(&topic("route:1"), 20), Verdict::Known);
    }

    proptest! {
        /// Whatever a network does to the numbers: what is handed over is 1, 2, 3, .. without a hole or repeat.
        #[test]
        fn what_is_handed_over_is_gapless(offsets in prop::collection::vec(1_u64..30, 0..200)) {
            let mut journal = Journal::default();
            journal.joined(&at("route:1", "e", 0));
            let mut handed = Vec::new();
            for offset in offsets {
                if journal.judge(&topic("route:1"), offset) == Verdict::Next {
                    journal.advance(&topic("route:1"), offset);
                    handed.push(offset);
                }
            }
            prop_assert_eq!(&handed, &(1..=handed.len() as u64).collect::<Vec<_>>());
        }
    }
}
