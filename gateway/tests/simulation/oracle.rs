//! Judges a run by its record: what was promised, and was not kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::history::{At, Line, Record, Who};

/// A message that a node took for an agent has arrived after this long, if it arrives.
const ARRIVES_WITHIN: Duration = Duration::from_secs(2);

/// What may happen in a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    /// Stored messages may be lost, if that is told.
    pub(crate) forgets: bool,
    /// Nodes may not know where else an agent is.
    pub(crate) half_known: bool,
    /// Passing messages that were lost on the way.
    pub(crate) lost: BTreeSet<String>,
}

/// The promises that were broken, in words.
pub(crate) fn judge(record: &Record, rules: &Rules) -> Vec<String> {
    let mut broken = record.blamed.clone();
    broken.extend(record.contradictions.iter().cloned());
    broken.extend(stored_twice(record));
    for who in 0..record.clients.len() {
        let mut reader = Reader::new(record, rules, who);
        record.lines.iter().filter(|(_, of, _)| *of == who).for_each(|(_, _, line)| reader.reads(line));
        reader.ends();
        broken.extend(reader.broken);
    }
    broken.extend(crate::handing::judge(record, rules, ARRIVES_WITHIN));
    broken
}

/// The same id is stored once in each topic, as long as nothing is lost; and what one client says comes in its order.
fn stored_twice(record: &Record) -> Vec<String> {
    let mut broken = Vec::new();
    for ((tenant, topic), messages) in &record.stored {
        let (mut ids, mut newest) = (BTreeSet::new(), BTreeMap::new());
        for (at, (id, _)) in messages {
            if !ids.insert((&at.life, id)) {
                broken.push(format!("{id} is stored twice in {topic} of {tenant}"));
            }
            let (sender, number) = id.split_once('-').unwrap_or((id, "0"));
            let number: u64 = number.parse().unwrap_or_default();
            if newest.insert((&at.life, sender), number).is_some_and(|before| before > number) {
                broken.push(format!("{id} is stored in {topic} of {tenant} behind what was said later"));
            }
        }
    }
    broken
}

/// Follows what one client was told.
struct Reader<'a> {
    record: &'a Record,
    rules: &'a Rules,
    who: Who,
    /// What it has of each topic that it follows.
    places: BTreeMap<String, At>,
    connected: bool,
    /// The newest number that it heard of each sender, by topic, on this connection.
    heard: BTreeMap<(String, String), u64>,
    broken: Vec<String>,
}

impl<'a> Reader<'a> {
    fn new(record: &'a Record, rules: &'a Rules, who: Who) -> Self {
        let (places, heard) = (BTreeMap::new(), BTreeMap::new());
        Self { record, rules, who, places, connected: false, heard, broken: Vec::new() }
    }

    fn tenant(&self) -> &'a str {
        &self.record.clients[self.who].tenant
    }

    fn blame(&mut self, what: &str) {
        self.broken.push(format!("client {}: {what}", self.who));
    }

    /// The id of the message there.
    fn stored(&self, topic: &str, at: &At) -> Option<&'a str> {
        let of_topic = self.record.stored.get(&(self.tenant().to_owned(), topic.to_owned()))?;
        of_topic.get(at).map(|(id, _)| id.as_str())
    }

    fn reads(&mut self, line: &Line) {
        match line {
            Line::Connected { .. } => self.connected = true,
            Line::Gone => {
                self.connected = false;
                self.heard.clear();
            }
            Line::Forgets => self.places.clear(),
            Line::Starts { topic, at } => drop(self.places.insert(topic.clone(), at.clone())),
            Line::Leaves { topic } => drop(self.places.remove(topic)),
            Line::Resumed { topic, recovered, at } => self.resumed(topic, *recovered, at),
            Line::Got { topic, offset, id } => self.got(topic, *offset, id),
            Line::Heard { topic, tenant, sender, number, id } => {
                if tenant != self.tenant() {
                    self.blame(&format!("heard {id}, which is of {tenant}"));
                }
                self.heard(topic, sender, *number, id);
            }
            Line::Acknowledged { topic, at, id } => {
                if self.stored(topic, at) != Some(id) {
                    self.blame(&format!("was told that {id} is {at:?} of {topic}, which it is not"));
                }
            }
            Line::Asks { .. } | Line::Answered { .. } => {}
        }
    }

    fn resumed(&mut self, topic: &str, recovered: bool, at: &At) {
        let before = self.places.insert(topic.to_owned(), at.clone());
        match before {
            None => self.blame(&format!("was told how {topic} goes on, which it does not follow")),
            Some(before) if recovered && before != *at => {
                self.blame(&format!("was told that {topic} goes on at {at:?}, and was at {before:?}"));
            }
            Some(before) if !recovered && !self.rules.forgets => {
                self.blame(&format!(
                    "was told that {topic} is broken behind {before:?}, and nothing was lost"
                ));
            }
            Some(_) => {}
        }
    }

    fn got(&mut self, topic: &str, offset: u64, id: &str) {
        let Some(place) = self.places.get_mut(topic) else {
            return self.blame(&format!("got {id} of {topic}, which it does not follow"));
        };
        let before = place.offset;
        place.offset = offset;
        let place = place.clone();
        if offset != before + 1 {
            self.blame(&format!("got {id}, {offset} of {topic}, behind {before}"));
        }
        if self.stored(topic, &place) != Some(id) {
            self.blame(&format!("got {id} as {place:?} of {topic}, which it is not"));
        }
    }

    fn heard(&mut self, topic: &str, sender: &str, number: u64, id: &str) {
        let agent = &self.record.clients[self.who].agent;
        if topic != agent && !self.places.contains_key(topic) {
            self.blame(&format!("heard {id} of {topic}, which it does not follow"));
        }
        let before = self.heard.insert((topic.to_owned(), sender.to_owned()), number);
        if before.is_some_and(|before| before >= number) {
            self.blame(&format!("heard {id} of {topic} twice, or behind what was said later"));
        }
    }

    /// Whoever is still connected has everything of its topics that was acknowledged, or was told.
    fn ends(&mut self) {
        let Some(life) = self.record.lives.last().filter(|_| self.connected) else { return };
        for (topic, place) in self.places.clone() {
            let newest = self.newest_acknowledged(&topic, life);
            if place.life != *life {
                self.blame(&format!("was not told that {topic} was lost: it is at {place:?}"));
            } else if newest > place.offset {
                self.blame(&format!("is at {place:?} of {topic}, of which {newest} is acknowledged"));
            }
        }
    }

    fn newest_acknowledged(&self, topic: &str, life: &str) -> u64 {
        let tenant = |who: Who| &self.record.clients[who].tenant;
        let acknowledged = self.record.lines.iter().filter_map(|(_, who, line)| match line {
            Line::Acknowledged { topic: of, at, .. }
                if of == topic && at.life == life && tenant(*who) == self.tenant() =>
            {
                Some(at.offset)
            }
            _ => None,
        });
        acknowledged.max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
