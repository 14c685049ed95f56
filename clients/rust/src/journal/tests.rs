//! What a message is to its topic, and what moves a position.

use super::*;
use proptest::prelude::*;
use signalbox_protocol::control::Discontinuity;

fn topic(name: &str) -> Topic {
    Topic::try_new(name).expect("it is a topic")
}

fn at(name: &str, epoch: &str, offset: u64) -> Positions {
    Positions::from([(topic(name), Position { epoch: epoch.to_owned(), offset })])
}

fn told(recovered: bool, epoch: &str, offset: u64) -> TopicResumed {
    let reason = (!recovered).then_some(Discontinuity::Trimmed);
    TopicResumed { recovered, reason, epoch: epoch.to_owned(), offset, replayed: 0 }
}

fn place(journal: &Journal, name: &str) -> Option<(String, u64)> {
    let positions = journal.positions([&topic(name)]);
    positions.into_values().next().map(|position| (position.epoch, position.offset))
}

#[test]
fn a_message_is_the_next_a_known_one_or_a_gap() {
    let mut journal = Journal::default();
    journal.joined(&at("route:1", "e", 7));
    let route = topic("route:1");
    for (offset, verdict) in [(0, Verdict::Known), (7, Verdict::Known), (8, Verdict::Next), (9, Verdict::Gap)]
    {
        assert_eq!(journal.judge(&route, offset), verdict, "{offset}");
    }
    assert_eq!(journal.judge(&topic("route:2"), 8), Verdict::Untracked);
    journal.advance(&route, 8);
    assert_eq!(journal.judge(&route, 8), Verdict::Known);
    assert_eq!(journal.judge(&route, 9), Verdict::Next);
}

#[test]
fn a_welcome_keeps_places_and_forgets_the_connection_before() {
    let mut journal = Journal::default();
    journal.welcome(&[at("vehicle:V1", "e", 3), at("connection:a", "e", 0)].concat_all());
    journal.joined(&at("route:1", "e", 7));
    journal.advance(&topic("vehicle:V1"), 4);
    journal.welcome(&[at("vehicle:V1", "e", 9), at("connection:b", "e", 0)].concat_all());
    assert_eq!(place(&journal, "vehicle:V1"), Some(("e".to_owned(), 4)), "it resumes from its own place");
    assert_eq!(place(&journal, "connection:a"), None);
    assert!(place(&journal, "connection:b").is_some());
    assert!(place(&journal, "route:1").is_some(), "a joined topic is not told in a welcome");
    assert!(journal.is_own(&topic("vehicle:V1")) && !journal.is_own(&topic("route:1")));
}

/// Several maps as one.
trait ConcatAll {
    fn concat_all(self) -> Positions;
}

impl<const N: usize> ConcatAll for [Positions; N] {
    fn concat_all(self) -> Positions {
        self.into_iter().flatten().collect()
    }
}

#[test]
fn joining_again_changes_nothing() {
    let mut journal = Journal::default();
    journal.joined(&at("route:1", "e", 7));
    journal.joined(&at("route:1", "e", 9));
    assert_eq!(journal.judge(&topic("route:1"), 8), Verdict::Next, "8 and 9 are still on their way");
    journal.left([&topic("route:1")]);
    assert_eq!(journal.judge(&topic("route:1"), 8), Verdict::Untracked);
}

#[test]
fn a_recovered_topic_goes_on_where_it_was() {
    let mut journal = Journal::default();
    journal.joined(&at("route:1", "0", 0));
    assert_eq!(journal.resumed(&topic("route:1"), &told(true, "e", 0)), None);
    assert_eq!(place(&journal, "route:1"), Some(("e".to_owned(), 0)));
    journal.advance(&topic("route:1"), 1);
    // Whatever number a node tells of a topic that is whole: nothing may be skipped.
    assert_eq!(journal.resumed(&topic("route:1"), &told(true, "e", 5)), None);
    assert_eq!(journal.judge(&topic("route:1"), 2), Verdict::Next);
}

#[test]
fn a_topic_that_is_not_recovered_goes_on_where_the_node_says() {
    let mut journal = Journal::default();
    journal.joined(&at("route:1", "e", 70));
    let lost = journal.resumed(&topic("route:1"), &told(false, "f", 4));
    assert_eq!(lost, Some(LossReason::Trimmed));
    assert_eq!(place(&journal, "route:1"), Some(("f".to_owned(), 4)));
    assert_eq!(journal.judge(&topic("route:1"), 5), Verdict::Next);
    assert_eq!(journal.resumed(&topic("route:2"), &told(false, "f", 4)), None, "it was left meanwhile");
}

#[test]
fn a_topic_adrift_takes_whatever_comes_next() {
    let mut journal = Journal::default();
    journal.joined(&at("route:1", "e", 70));
    journal.set_adrift(&topic("route:1"));
    assert_eq!(journal.judge(&topic("route:1"), 3), Verdict::Next);
    journal.advance(&topic("route:1"), 3);
    assert_eq!(journal.judge(&topic("route:1"), 5), Verdict::Gap);
    journal.set_adrift(&topic("route:1"));
    journal.joined(&at("route:1", "g", 20));
    assert_eq!(journal.judge(&topic("route:1"), 20), Verdict::Known);
}

proptest! {
    /// Whatever a network does to the numbers: what is handed over is 1, 2, 3, .. without a hole or repeat.
    #[test]
    fn what_is_handed_over_is_gapless(offsets in prop::collection::vec(1_u64..30, 0..200)) {
        let mut journal = Journal::default();
        journal.joined(&at("route:1", "e", 0));
        let mut handed = Vec::new();
        for offset in offsets {
            if journal.judge(&topic("route:1"), offset) == Verdict::Next {
                journal.advance(&topic("route:1"), offset);
                handed.push(offset);
            }
        }
        prop_assert_eq!(&handed, &(1..=handed.len() as u64).collect::<Vec<_>>());
    }
}
