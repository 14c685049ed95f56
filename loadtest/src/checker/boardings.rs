//! Judges the history of boardings.

use std::collections::HashSet;

use super::outcome::Outcome;
use super::rides::Story;
use super::{Verdict, seats};
use crate::history::boardings::BoardingHistory;

/// Judges it by every rule for boardings; `outcome` is what was found afterwards.
pub(crate) fn judge(history: &BoardingHistory, outcome: Option<&Outcome>) -> Verdict {
    let operations = &history.operations;
    let mut verdict = Verdict { operations: operations.len() as u64, ..Verdict::default() };
    let mut order: Vec<u32> = (0..operations.len() as u32).collect();
    let passenger = |number: &u32| operations[*number as usize].passenger;
    order.sort_unstable_by_key(|number| (passenger(number), operations[*number as usize].span.invoked_ns));
    let mut all_rides = Vec::new();
    let mut asked_about = HashSet::new();
    for order in order.chunk_by(|left, right| passenger(left) == passenger(right)) {
        let story = Story { operations, order };
        let rides = story.rides(&mut verdict);
        story.judge_refusals(&rides, &mut verdict);
        story.count_unknown(&mut verdict);
        if let Some(outcome) = outcome {
            outcome.judge_passenger(story, &rides, &mut verdict);
            asked_about.insert(story.passenger());
        }
        all_rides.extend(rides);
    }
    seats::judge(&all_rides, &history.capacities, &mut verdict);
    if let Some(outcome) = outcome {
        outcome.judge_others(&asked_about, &mut verdict);
        outcome.judge_manifests(history, &mut verdict);
        // Whatever was not answered can be seen now.
        verdict.resolved = verdict.unknown;
    }
    verdict
}

#[cfg(test)]
mod tests;
