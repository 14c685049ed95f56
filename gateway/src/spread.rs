//! Evenly spread moments for things that came at once.

/// 2^32 divided by the golden ratio: multiples of it, modulo 2^32, lie evenly however many there are.
const GOLDEN: u32 = 0x9E37_79B9;

/// Where in `0..over` the thing of that number lies. Those of numbers that follow each other lie evenly.
pub(crate) fn spread(number: u64, over: u64) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "all bits that count are the low ones")]
    let part = u64::from((number as u32).wrapping_mul(GOLDEN));
    (over * part) >> u32::BITS
}
