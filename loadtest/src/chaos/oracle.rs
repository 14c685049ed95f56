//! Judges a run: what was acknowledged has to be seen, once and in order, or declared missing in its place.
//!
//! Each topic has one publisher, who counts its messages from 0. The oracle is told what happens when it happens, and
//! answers at the end.

use std::time::Duration;

use tokio::time::Instant;

use crate::latency::Latencies;

mod reader;

use reader::Reader;

/// What became of a message, as far as its publisher knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// No answer yet.
    Open,
    /// A node has stored it: every reader has to get it.
    Acknowledged,
    /// It may be stored.
    Unknown,
    /// It is certainly not stored.
    Refused,
}

/// Everything that was sent, seen and declared.
#[derive(Debug)]
pub(crate) struct Oracle {
    topics: Vec<Vec<Said>>,
    readers: Vec<Reader>,
    /// First deliveries, by topic.
    delivered: Vec<u64>,
    latencies: Latencies,
}

/// One message, by its place in its topic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Said {
    fate: Fate,
    sent: Instant,
    /// Since when it could be seen: it was acknowledged, or a first reader had it.
    there_since: Option<Instant>,
}

/// The result, summed over all messages and readers.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) sent: u64,
    pub(crate) acknowledged: u64,
    pub(crate) unknown: u64,
    pub(crate) refused: u64,
    pub(crate) delivered: u64,
    /// Deliveries of a number that the reader had already.
    pub(crate) duplicates: u64,
    /// First deliveries of a number after a higher one.
    pub(crate) out_of_order: u64,
    /// Acknowledged, not delivered, not declared: the broken promise.
    pub(crate) lost: u64,
    /// Acknowledged, not delivered, and the reader was told at that place that messages may be missing.
    pub(crate) declared_lost: u64,
    /// Times that a reader was told so.
    pub(crate) declarations: u64,
    /// Readers that were never told so.
    pub(crate) never_told: u64,
    /// Of each reader: how long, at worst, something was there that it did not get, until it got that or what
    /// came behind it.
    pub(crate) blackouts: Latencies,
    /// From sending to each delivery, of those that were not taken before.
    pub(crate) latencies: Latencies,
}

impl Oracle {
    /// So many topics, each with one publisher, and `readers` of them in turn.
    pub(crate) fn new(topics: usize, readers: usize) -> Self {
        let readers = (0..readers).map(|reader| Reader::new(reader % topics)).collect();
        let delivered = vec![0; topics];
        Self { topics: vec![Vec::new(); topics], readers, delivered, latencies: Latencies::default() }
    }

    /// The publisher of `topic` sends its next message now; answers its number.
    pub(crate) fn sends(&mut self, topic: usize) -> usize {
        self.topics[topic].push(Said { fate: Fate::Open, sent: Instant::now(), there_since: None });
        self.topics[topic].len() - 1
    }

    /// The publisher has learnt what became of a message.
    pub(crate) fn answered(&mut self, topic: usize, number: usize, fate: Fate) {
        let said = &mut self.topics[topic][number];
        said.fate = fate;
        if fate == Fate::Acknowledged {
            said.there_since.get_or_insert_with(Instant::now);
        }
    }

    /// A message was shown to the application. Answers whether it is one that was sent.
    pub(crate) fn seen(&mut self, reader: usize, number: usize) -> bool {
        let (now, reader) = (Instant::now(), &mut self.readers[reader]);
        let topic = &mut self.topics[reader.topic];
        let Some(said) = topic.get_mut(number) else { return false };
        said.there_since.get_or_insert(now);
        let sent = said.sent;
        let due =
            topic[reader.expects().min(number)..=number].iter().filter_map(|said| said.there_since).min();
        if reader.sees(number) {
            reader.is_behind(due.map_or(Duration::ZERO, |since| now - since));
            self.delivered[reader.topic] += 1;
            self.latencies.record(now - sent);
        }
        true
    }

    /// The reader is told that messages may be missing here.
    pub(crate) fn declared(&mut self, reader: usize) {
        let reader = &mut self.readers[reader];
        let sent = self.topics[reader.topic].len();
        reader.is_told(sent);
    }

    /// How many first deliveries there were so far, by topic.
    pub(crate) fn delivered(&self) -> &[u64] {
        &self.delivered
    }

    /// From sending to each delivery since this was asked last.
    pub(crate) fn take_latencies(&mut self) -> Latencies {
        std::mem::take(&mut self.latencies)
    }

    /// Whether nothing is to be waited for any more.
    pub(crate) fn is_settled(&self) -> bool {
        let answered = self.topics.iter().flatten().all(|said| said.fate != Fate::Open);
        answered && self.readers.iter().all(|reader| reader.missing(&self.topics[reader.topic]).0 == 0)
    }

    /// The judgement. What was never answered counts as unknown.
    pub(crate) fn verdict(self) -> Verdict {
        let mut verdict = Verdict { latencies: self.latencies, ..Verdict::default() };
        for said in self.topics.iter().flatten() {
            verdict.sent += 1;
            match said.fate {
                Fate::Acknowledged => verdict.acknowledged += 1,
                Fate::Open | Fate::Unknown => verdict.unknown += 1,
                Fate::Refused => verdict.refused += 1,
            }
        }
        for reader in &self.readers {
            reader.judge(&self.topics[reader.topic], &mut verdict);
        }
        verdict
    }
}

impl Verdict {
    /// The broken promises, in words.
    pub(crate) fn failures(&self) -> Vec<String> {
        let counts = [
            (self.lost, "messages were acknowledged and neither delivered nor declared missing"),
            (self.out_of_order, "messages came out of order"),
            (self.duplicates, "messages were shown twice"),
        ];
        counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect()
    }
}

/// Nobody is behind by less than that.
const LAG_MIN: Duration = Duration::from_nanos(1);

#[cfg(test)]
mod tests;
