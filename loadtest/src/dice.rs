//! Random numbers that are the same in every run with the same seed.

/// SplitMix64: quick, and random enough to choose whom to ask.
#[derive(Debug, Clone)]
pub(crate) struct Dice {
    state: u64,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Any number.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 if that is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // The high half of a product is even enough, and costs no division.
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_even_repeatable_and_differ_by_seed() {
        let mut dice = Dice::new(7);
        let mut counts = [0_u32; 10];
        for _ in 0..10_000 {
            counts[dice.below(10) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (850..1_150).contains(count)), "{counts:?}");
        assert_eq!((dice.below(0), dice.below(1)), (0, 0));
        assert!(!dice.percent(0) && dice.percent(100));
        assert_eq!(Dice::new(7).next(), Dice::new(7).next());
        assert_ne!(Dice::new(7).next(), Dice::new(8).next());
    }
}
