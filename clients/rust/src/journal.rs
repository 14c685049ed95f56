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
mod tests;
