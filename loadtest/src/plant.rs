//! Flaws that are planted between the receivers and an oracle, once in a run: an oracle that can't fail proves nothing.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What is wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum Flaw {
    /// One message, or connection, is swallowed.
    Lost,
    /// One message comes twice.
    Repeated,
    /// One message comes after the next.
    Overtaken,
}

/// Plants a flaw, or nothing.
#[derive(Debug, Default)]
pub(crate) struct Plant {
    /// Until it is planted.
    flaw: Option<Flaw>,
    /// Where: the stream that something came in first.
    stream: Option<usize>,
    /// What is to be overtaken.
    held: Option<u64>,
}

impl Plant {
    pub(crate) fn new(flaw: Option<Flaw>) -> Self {
        Self { flaw, ..Self::default() }
    }

    /// The numbers that the oracle is shown when `number` comes in this stream. The flaw is the second one's of the
    /// first stream: there is one before it, and others may come after it.
    pub(crate) fn pass(&mut self, stream: usize, number: u64) -> [Option<u64>; 2] {
        let Some(flaw) = self.flaw else { return [Some(number), None] };
        let Some(first) = self.stream else {
            self.stream = Some(stream);
            return [Some(number), None];
        };
        if first != stream {
            return [Some(number), None];
        }
        match (flaw, self.held.take()) {
            (Flaw::Overtaken, None) => {
                self.held = Some(number);
                [None, None]
            }
            (Flaw::Overtaken, held) => self.planted([Some(number), held]),
            (Flaw::Lost, _) => self.planted([None, None]),
            (Flaw::Repeated, _) => self.planted([Some(number), Some(number)]),
        }
    }

    /// The same where several come in one answer: the first list of at least two is spoiled.
    pub(crate) fn spoil<T: Clone>(&mut self, list: &mut Vec<T>) {
        if let [first, .., last] = list.as_mut_slice()
            && let Some(flaw) = self.flaw.take()
        {
            match flaw {
                Flaw::Lost => drop(list.pop()),
                Flaw::Repeated => *last = first.clone(),
                Flaw::Overtaken => std::mem::swap(first, last),
            }
        }
    }

    fn planted(&mut self, shown: [Option<u64>; 2]) -> [Option<u64>; 2] {
        self.flaw = None;
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_flaw_is_planted_and_everything_else_passes() {
        for (flaw, expected) in [
            (None, &[0, 1, 2, 3][..]),
            (Some(Flaw::Lost), &[0, 2, 3]),
            (Some(Flaw::Repeated), &[0, 1, 1, 2, 3]),
            (Some(Flaw::Overtaken), &[0, 2, 1, 3]),
        ] {
            let mut plant = Plant::new(flaw);
            let mut shown = Vec::new();
            for number in 0..4 {
                shown.extend(plant.pass(7, number).into_iter().flatten());
                assert_eq!(plant.pass(8, number), [Some(number), None], "another stream");
            }
            assert_eq!(shown, expected, "{flaw:?}");
        }
    }

    #[test]
    fn one_list_is_spoiled() {
        for (flaw, expected) in
            [(Flaw::Lost, &[1, 2][..]), (Flaw::Repeated, &[1, 2, 1]), (Flaw::Overtaken, &[3, 2, 1])]
        {
            let mut plant = Plant::new(Some(flaw));
            let (mut short, mut list, mut next) = (vec![1], vec![1, 2, 3], vec![1, 2, 3]);
            [&mut short, &mut list, &mut next].into_iter().for_each(|list| plant.spoil(list));
            assert_eq!(
                (short.as_slice(), list.as_slice(), next.as_slice()),
                (&[1][..], expected, &[1, 2, 3][..])
            );
        }
    }
}
