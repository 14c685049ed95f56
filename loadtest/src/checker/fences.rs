//! Fences grow in real time and are never given twice.

use super::grants::Grant;
use super::{Rule, Verdict};

/// Judges the grants of one resource, in the order in which they were told: one that began after another
/// was told has a greater fence.
pub(crate) fn judge_order(grants: &[Grant], verdict: &mut Verdict) {
    // Among the first n + 1 that were told, the one with the greatest fence.
    let mut greatest: Vec<&Grant> = Vec::with_capacity(grants.len());
    for grant in grants {
        let before = greatest.last().filter(|before| before.fence >= grant.fence);
        greatest.push(before.copied().unwrap_or(grant));
    }
    for grant in grants {
        let told_before = grants.partition_point(|other| other.returned_ns < grant.invoked_ns);
        let Some(earlier) = told_before.checked_sub(1).map(|last| greatest[last]) else { continue };
        if grant.fence < earlier.fence {
            let operations = [earlier.operation, grant.operation];
            verdict.blame(Rule::FencesGrow, || subject(grant), &operations);
        }
    }
}

/// Judges the grants of one resource: no fence twice, whenever they were.
pub(crate) fn judge_repetition(grants: &[Grant], verdict: &mut Verdict) {
    let mut by_fence: Vec<&Grant> = grants.iter().collect();
    by_fence.sort_by_key(|grant| grant.fence);
    for pair in by_fence.windows(2) {
        if pair[0].fence == pair[1].fence {
            let operations = [pair[0].operation, pair[1].operation];
            verdict.blame(Rule::FencesDiffer, || subject(pair[0]), &operations);
        }
    }
}

fn subject(grant: &Grant) -> String {
    format!("resource {}", grant.resource)
}
