//! What was lost, doubled or overtaken on the way from one sender to one receiver.

use std::collections::BTreeSet;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// The numbers that one receiver got from one sender, which counts from 0.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stream {
    /// The highest number so far, plus one.
    next: u64,
    /// Lower numbers that have not come.
    missing: BTreeSet<u64>,
    duplicated: u64,
    reordered: u64,
}

/// Findings of one stream, or of several together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Findings {
    /// Sent and not received.
    pub(crate) lost: u64,
    /// Received again.
    pub(crate) duplicated: u64,
    /// Received after a later one.
    pub(crate) reordered: u64,
}

impl Stream {
    /// Takes note of a received number.
    pub(crate) fn note(&mut self, number: u64) {
        if number >= self.next {
            self.missing.extend(self.next..number);
            self.next = number + 1;
        } else if self.missing.remove(&number) {
            self.reordered += 1;
        } else {
            self.duplicated += 1;
        }
    }

    /// How many came, again or not.
    pub(crate) fn received(&self) -> u64 {
        self.next - self.missing.len() as u64 + self.duplicated
    }

    /// What is wrong, if the sender sent so many.
    pub(crate) fn findings(&self, sent: u64) -> Findings {
        let tail = sent.saturating_sub(self.next);
        Findings {
            lost: self.missing.len() as u64 + tail,
            duplicated: self.duplicated,
            reordered: self.reordered,
        }
    }
}

impl Findings {
    /// Whether nothing is wrong.
    pub(crate) fn is_clean(&self) -> bool {
        *self == Self::default()
    }
}

impl AddAssign for Findings {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(received: &[u64], sent: u64) -> (u64, u64, u64) {
        let mut stream = Stream::default();
        received.iter().for_each(|number| stream.note(*number));
        let Findings { lost, duplicated, reordered } = stream.findings(sent);
        (lost, duplicated, reordered)
    }

    #[test]
    fn planted_faults_are_found() {
        for (received, sent, expected) in [
            (&[0, 1, 2, 3][..], 4, (0, 0, 0)),
            (&[], 0, (0, 0, 0)),
            (&[], 3, (3, 0, 0)),
            (&[1, 2, 3], 4, (1, 0, 0)),
            (&[0, 1, 3], 4, (1, 0, 0)),
            (&[0, 1, 2], 4, (1, 0, 0)),
            (&[0, 1, 1, 2, 3], 4, (0, 1, 0)),
            (&[0, 0, 0, 1, 2, 3, 0], 4, (0, 3, 0)),
            (&[0, 2, 1, 3], 4, (0, 0, 1)),
            (&[3, 0, 1, 2], 4, (0, 0, 3)),
            (&[0, 2, 1, 1, 2, 5], 7, (3, 2, 1)),
        ] {
            assert_eq!(findings(received, sent), expected, "{received:?}");
        }
    }

    #[test]
    fn findings_add_up() {
        let mut sum = Findings::default();
        assert!(sum.is_clean());
        sum += Findings { lost: 1, duplicated: 2, reordered: 3 };
        sum += Findings { lost: 10, duplicated: 20, reordered: 30 };
        assert_eq!(sum, Findings { lost: 11, duplicated: 22, reordered: 33 });
        assert!(!sum.is_clean());
    }
}
