//! What one reader of a topic saw.

use std::ops::Range;
use std::time::Duration;

use super::{Fate, LAG_MIN, Said, Verdict};

/// One reader.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(super) topic: usize,
    /// How often each number was shown.
    shown: Vec<u8>,
    /// One more than the highest number that was shown.
    next: usize,
    duplicates: u64,
    out_of_order: u64,
    declarations: u64,
    /// Numbers that may be missing, as the reader was told.
    excused: Vec<Range<usize>>,
    /// The declaration behind which nothing has come yet.
    told: Option<Range<usize>>,
    behind: Duration,
}

impl Reader {
    pub(super) fn new(topic: usize) -> Self {
        Self {
            topic,
            shown: Vec::new(),
            next: 0,
            duplicates: 0,
            out_of_order: 0,
            declarations: 0,
            excused: Vec::new(),
            told: None,
            behind: LAG_MIN,
        }
    }

    /// The number behind the highest that was shown.
    pub(super) fn expects(&self) -> usize {
        self.next
    }

    /// Whether it is the first time.
    pub(super) fn sees(&mut self, number: usize) -> bool {
        if let Some(told) = self.told.take() {
            self.excused.push(told.start..told.end.min(number));
        }
        if self.shown.len() <= number {
            self.shown.resize(number + 1, 0);
        }
        self.shown[number] = self.shown[number].saturating_add(1);
        let first = self.shown[number] == 1;
        if !first {
            self.duplicates += 1;
        } else if number < self.next {
            self.out_of_order += 1;
        }
        self.next = self.next.max(number + 1);
        first
    }

    /// It got something so much later than possible.
    pub(super) fn is_behind(&mut self, lag: Duration) {
        self.behind = self.behind.max(lag);
    }

    /// Messages may be missing here, of those `sent` so far.
    pub(super) fn is_told(&mut self, sent: usize) {
        self.declarations += 1;
        self.told = Some(self.next..sent);
    }

    /// Acknowledged and not seen: how many without a word, how many with one.
    pub(super) fn missing(&self, said: &[Said]) -> (u64, u64) {
        let (mut lost, mut declared) = (0, 0);
        for (number, said) in said.iter().enumerate() {
            if said.fate != Fate::Acknowledged || self.shown.get(number).is_some_and(|shown| *shown > 0) {
                continue;
            }
            let excused = self.excused.iter().chain(&self.told).any(|range| range.contains(&number));
            if excused { declared += 1 } else { lost += 1 }
        }
        (lost, declared)
    }

    pub(super) fn judge(&self, said: &[Said], verdict: &mut Verdict) {
        let (lost, declared) = self.missing(said);
        verdict.lost += lost;
        verdict.declared_lost += declared;
        verdict.delivered += self.shown.iter().filter(|shown| **shown > 0).count() as u64;
        verdict.duplicates += self.duplicates;
        verdict.out_of_order += self.out_of_order;
        verdict.declarations += self.declarations;
        verdict.never_told += u64::from(self.declarations == 0);
        verdict.blackouts.record(self.behind);
    }
}
