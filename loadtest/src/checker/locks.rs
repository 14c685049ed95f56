//! Judges the history of locks.

use super::grants::Grants;
use super::{Verdict, fences, holders};
use crate::history::locks::LockOperation;

/// Judges it by every rule for locks.
pub(crate) fn judge(operations: &[LockOperation]) -> Verdict {
    let grants = Grants::of(operations);
    let mut verdict = Verdict {
        operations: operations.len() as u64,
        unknown: grants.unknown,
        resolved: grants.resolved,
        ..Verdict::default()
    };
    for grants in grants.all.chunk_by(|left, right| left.resource == right.resource) {
        holders::judge_overlaps(grants, &mut verdict);
        holders::judge_confirmations(grants, &mut verdict);
        fences::judge_order(grants, &mut verdict);
        fences::judge_repetition(grants, &mut verdict);
    }
    verdict
}

#[cfg(test)]
mod tests;
