//! Whether all contenders got their share.

use crate::report::Report;

/// Jain's index: 1 if all got the same, 1 / n if one of n got all.
/// R. Jain, D. Chiu, W. Hawe, "A quantitative measure of fairness", DEC-TR-301, 1984.
fn jain(shares: &[u64]) -> f64 {
    let sum: f64 = shares.iter().map(|share| *share as f64).sum();
    let squares: f64 = shares.iter().map(|share| (*share as f64).powi(2)).sum();
    if squares == 0.0 { 1.0 } else { sum * sum / (squares * shares.len() as f64) }
}

/// Notes how the grants were shared out.
pub(super) fn note(grants: &[u64], report: &mut Report) {
    report.result("grants", grants.iter().sum::<u64>());
    report.figure("fairness_jain", jain(grants));
    report.result("grants_of_the_unluckiest", grants.iter().copied().min().unwrap_or(0));
    report.result("grants_of_the_luckiest", grants.iter().copied().max().unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_shares_are_fair_and_one_winner_is_not() {
        for (shares, index) in
            [(&[5, 5, 5][..], 1.0), (&[9, 0, 0], 1.0 / 3.0), (&[1, 3], 0.8), (&[0, 0], 1.0), (&[], 1.0)]
        {
            assert!((jain(shares) - index).abs() < 1e-9, "{shares:?}");
        }
    }
}
