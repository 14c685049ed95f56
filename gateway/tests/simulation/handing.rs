//! Judges the answers to messages that were handed to one agent: delivered means delivered.

use std::time::Duration;

use crate::history::{Line, Record, Who};
use crate::oracle::Rules;

/// A message to an agent, and its answer.
struct Handed<'a> {
    who: Who,
    target: &'a str,
    id: &'a str,
    asked: Duration,
    answered: Duration,
    done: bool,
}

/// A connection of an agent, from its welcome to its end.
struct Stay<'a> {
    who: Who,
    node: &'a str,
    from: Duration,
    until: Duration,
}

/// The promises that were broken, in words. What was taken has arrived `within` a time.
pub(crate) fn judge(record: &Record, rules: &Rules, within: Duration) -> Vec<String> {
    let stays = stays(record);
    handed(record).iter().filter_map(|handed| judge_one(record, rules, (handed, &stays), within)).collect()
}

fn judge_one(
    record: &Record,
    rules: &Rules,
    (handed, stays): (&Handed<'_>, &[Stay<'_>]),
    within: Duration,
) -> Option<String> {
    let Handed { id, target, asked, .. } = *handed;
    let of_target = |stay: &&Stay<'_>| {
        let client = &record.clients[stay.who];
        client.tenant == record.clients[handed.who].tenant && client.agent == target
    };
    let there: Vec<_> = stays.iter().filter(of_target).collect();
    let steady = |until| there.iter().filter(move |stay| is_steady(record, stay, asked, until));
    if !handed.done {
        let found = steady(handed.answered).next().is_none();
        return (!found).then(|| format!("{id}: nobody was found as {target}, who was there"));
    }
    if there.is_empty() {
        return Some(format!("{id} was delivered to {target}, who was never there"));
    }
    // A node that can't look anybody up knows its own connections only, those among them that it has not let in.
    let sender = stays.iter().find(|stay| stay.who == handed.who && stay.until > asked && stay.from <= asked);
    let knows_all =
        !rules.half_known && sender.is_some_and(|at| is_steady(record, at, asked, handed.answered));
    if !knows_all || rules.lost.contains(id) {
        return None;
    }
    let arrived = steady(handed.answered + within).all(|stay| heard(record, stay.who, id));
    (!arrived).then(|| format!("{id} was delivered to {target}, who did not hear it"))
}

fn handed(record: &Record) -> Vec<Handed<'_>> {
    let asked = record.lines.iter().filter_map(|(asked, who, line)| match line {
        Line::Asks { target, id } => Some((*asked, *who, target, id)),
        _ => None,
    });
    let answers = asked.filter_map(|(asked, who, target, id)| {
        let (answered, done) = record.lines.iter().find_map(|(at, _, line)| match line {
            Line::Answered { id: of, done } if of == id => Some((*at, *done)),
            _ => None,
        })?;
        Some(Handed { who, target, id, asked, answered, done })
    });
    answers.collect()
}

fn stays(record: &Record) -> Vec<Stay<'_>> {
    let mut stays: Vec<Stay<'_>> = Vec::new();
    for (at, who, line) in &record.lines {
        match line {
            Line::Connected { node } => {
                stays.push(Stay { who: *who, node, from: *at, until: Duration::MAX });
            }
            Line::Gone => {
                let open = |stay: &&mut Stay<'_>| stay.who == *who && stay.until == Duration::MAX;
                stays.iter_mut().filter(open).for_each(|stay| stay.until = *at);
            }
            _ => {}
        }
    }
    stays
}

/// Whether somebody was connected all the time, to a node that could be relied upon.
fn is_steady(record: &Record, stay: &Stay<'_>, from: Duration, until: Duration) -> bool {
    let overlaps = |of: &&crate::history::Unsteady| of.from <= until && of.until >= from;
    let mut troubles = record.unsteady.iter().filter(|of| of.node == stay.node);
    stay.from <= from && stay.until > until && troubles.find(overlaps).is_none()
}

fn heard(record: &Record, who: Who, id: &str) -> bool {
    record
        .lines
        .iter()
        .any(|(_, of, line)| *of == who && matches!(line, Line::Heard { id: heard, .. } if heard == id))
}
