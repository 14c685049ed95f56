//! The judge on made-up records: silent where all is well, and never where a promise was broken.

use super::*;
use crate::history::{Client, Unsteady};

const SECOND: Duration = Duration::from_secs(1);
const READER: Who = 0;
const SENDER: Who = 1;

fn at(offset: u64) -> At {
    At { life: "a".into(), offset }
}

fn got(number: u64) -> Line {
    Line::Got { topic: "order:1".into(), offset: number, id: format!("m1-{number}") }
}

fn resumed(recovered: bool, offset: u64) -> Line {
    Line::Resumed { topic: "order:1".into(), recovered, at: at(offset) }
}

fn heard(topic: &str, tenant: &str, number: u64) -> Line {
    let (topic, tenant, sender) = (topic.to_owned(), tenant.to_owned(), "1-1".to_owned());
    Line::Heard { topic, tenant, sender, number, id: format!("m1-{number}") }
}

fn asks(target: &str) -> Line {
    Line::Asks { target: target.to_owned(), id: "m1-9".to_owned() }
}

fn answered(done: bool) -> Line {
    Line::Answered { id: "m1-9".to_owned(), done }
}

/// A reader that follows a topic from its beginning, and a sender that has stored three messages there.
fn record(told: &[Line]) -> Record {
    let client = |agent: &str| Client { tenant: "acme".into(), agent: agent.into() };
    let connected = || Line::Connected { node: "n1".into() };
    let mut lines = vec![(READER, connected()), (SENDER, connected())];
    lines.push((READER, Line::Starts { topic: "order:1".into(), at: at(0) }));
    for number in 1..=3 {
        let id = format!("m1-{number}");
        lines.push((SENDER, Line::Acknowledged { topic: "order:1".into(), at: at(number), id }));
    }
    let of = |line: &Line| matches!(line, Line::Asks { .. } | Line::Answered { .. });
    lines.extend(told.iter().map(|line| (if of(line) { SENDER } else { READER }, line.clone())));
    let stored = (1..=3).map(|number| (at(number), (format!("m1-{number}"), SECOND))).collect();
    Record {
        clients: vec![client("driver:D"), client("user:U")],
        lines: (1..).zip(lines).map(|(number, (who, line))| (number * SECOND, who, line)).collect(),
        lives: vec!["a".into()],
        stored: BTreeMap::from([(("acme".into(), "order:1".into()), stored)]),
        ..Record::default()
    }
}

#[track_caller]
fn is_fine(record: &Record, rules: &Rules) {
    assert_eq!(judge(record, rules), Vec::<String>::new());
}

#[track_caller]
fn is_blamed(record: &Record, why: &str) {
    let broken = judge(record, &Rules::default());
    assert!(broken.len() == 1 && broken[0].contains(why), "{broken:?}");
}

#[test]
fn a_run_without_a_fault_is_fine() {
    is_fine(&record(&[got(1), got(2), got(3)]), &Rules::default());
    is_fine(&record(&[got(1), resumed(true, 1), got(2), got(3)]), &Rules::default());
    is_fine(&record(&[got(1), Line::Gone]), &Rules::default());
    is_fine(&record(&[got(1), Line::Leaves { topic: "order:1".into() }]), &Rules::default());
}

#[test]
fn a_missing_a_repeated_and_a_swapped_message_are_blamed() {
    is_blamed(&record(&[got(1), got(3)]), "got m1-3, 3 of order:1, behind 1");
    is_blamed(&record(&[got(1), got(2)]), "of which 3 is acknowledged");
    let twice = judge(&record(&[got(1), got(2), got(2), got(3)]), &Rules::default());
    assert_eq!(twice.len(), 1, "{twice:?}");
    assert!(!judge(&record(&[got(2), got(1), got(3)]), &Rules::default()).is_empty());
}

#[test]
fn a_loss_is_forgiven_if_it_was_told_and_there_was_one() {
    let told = record(&[got(1), resumed(false, 3)]);
    is_fine(&told, &Rules { forgets: true, ..Rules::default() });
    is_blamed(&told, "nothing was lost");
    is_blamed(&record(&[got(1), resumed(true, 3)]), "goes on at");
}

#[test]
fn who_is_not_told_that_everything_was_lost_is_found() {
    let mut lost = record(&[got(1), got(2), got(3)]);
    lost.lives.push("b".into());
    is_blamed(&lost, "was not told that order:1 was lost");
}

#[test]
fn a_message_under_the_wrong_number_and_one_of_a_topic_that_was_left_are_blamed() {
    let wrong = Line::Got { topic: "order:1".into(), offset: 1, id: "m1-2".into() };
    is_blamed(&record(&[wrong, got(2), got(3)]), "which it is not");
    let left = Line::Leaves { topic: "order:1".into() };
    is_blamed(&record(&[left, got(1)]), "which it does not follow");
}

#[test]
fn a_message_that_is_stored_twice_or_in_the_wrong_order_is_blamed() {
    let with = |id: &str| {
        let mut record = record(&[got(1), got(2), got(3)]);
        let place = ("acme".to_owned(), "order:1".to_owned());
        record.stored.get_mut(&place).unwrap().insert(at(4), (id.to_owned(), 2 * SECOND));
        record
    };
    is_fine(&with("m1-4"), &Rules::default());
    assert!(judge(&with("m1-3"), &Rules::default())[0].contains("stored twice"));
    assert!(judge(&with("m1-0"), &Rules::default())[0].contains("behind what was said later"));
}

#[test]
fn passing_messages_keep_their_order_their_tenant_and_their_followers() {
    let all = |line: Line| [got(1), got(2), got(3), heard("order:1", "acme", 5), line];
    is_fine(&record(&all(heard("order:1", "acme", 6))), &Rules::default());
    is_fine(&record(&all(heard("driver:D", "acme", 1))), &Rules::default());
    is_blamed(&record(&all(heard("order:1", "acme", 5))), "twice, or behind");
    is_blamed(&record(&all(heard("order:1", "globex", 6))), "which is of globex");
    is_blamed(&record(&all(heard("order:2", "acme", 6))), "which it does not follow");
}

#[test]
fn delivered_means_delivered_and_nobody_means_nobody() {
    let all = |rest: &[Line]| record(&[&[got(1), got(2), got(3)], rest].concat());
    is_fine(&all(&[asks("driver:D"), heard("driver:D", "acme", 9), answered(true)]), &Rules::default());
    is_fine(&all(&[asks("driver:nobody"), answered(false)]), &Rules::default());
    is_blamed(&all(&[asks("driver:D"), answered(true)]), "who did not hear it");
    is_blamed(&all(&[asks("driver:D"), answered(false)]), "who was there");
    is_blamed(&all(&[asks("driver:nobody"), answered(true)]), "who was never there");
    let lost = Rules { lost: BTreeSet::from(["m1-9".to_owned()]), ..Rules::default() };
    is_fine(&all(&[asks("driver:D"), answered(true)]), &lost);
    let mut unsteady = all(&[asks("driver:D"), answered(false)]);
    unsteady.unsteady.push(Unsteady { node: "n1".into(), from: SECOND, until: 100 * SECOND });
    is_fine(&unsteady, &Rules::default());
}
