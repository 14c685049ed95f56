//! At most one holder at a time, and none after its time.

use super::grants::Grant;
use super::{Rule, Verdict};

/// Judges the grants of one resource, in the order in which they were told.
///
/// Two grants overlap if the later was told while the earlier was certainly held, and lasted.
pub(crate) fn judge_overlaps(grants: &[Grant], verdict: &mut Verdict) {
    let mut holder: Option<&Grant> = None;
    for grant in grants.iter().filter(|grant| grant.ends_ns > grant.returned_ns) {
        if let Some(holder) = holder.filter(|holder| grant.returned_ns < holder.ends_ns) {
            let operations = [holder.operation, grant.operation];
            verdict.blame(Rule::OneHolder, || format!("resource {}", grant.resource), &operations);
        }
        if holder.is_none_or(|holder| holder.ends_ns < grant.ends_ns) {
            holder = Some(grant);
        }
    }
}

/// Judges what was confirmed to the holders of one resource, in the order in which grants were told.
///
/// A grant that began after another was told was given later, so the other was over by then: once the
/// later one was told, nothing of the earlier one can be confirmed any more.
pub(crate) fn judge_confirmations(grants: &[Grant], verdict: &mut Verdict) {
    // Among the first n + 1 that were told, the one that began last.
    let mut latest: Vec<&Grant> = Vec::with_capacity(grants.len());
    for grant in grants {
        let before = latest.last().filter(|before| before.invoked_ns >= grant.invoked_ns);
        latest.push(before.copied().unwrap_or(grant));
    }
    for grant in grants {
        let Some((operation, at_ns)) = grant.confirmed else { continue };
        let told_before = grants.partition_point(|other| other.returned_ns < at_ns);
        let Some(later) = told_before.checked_sub(1).map(|last| latest[last]) else { continue };
        if later.invoked_ns > grant.returned_ns {
            let operations = [grant.operation, later.operation, operation];
            verdict.blame(Rule::OverIsOver, || format!("resource {}", grant.resource), &operations);
        }
    }
}
