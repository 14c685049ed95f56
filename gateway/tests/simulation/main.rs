//! Whole clusters in one process: real nodes from the session down to the registry's traits, the registry in memory,
//! and between them a road on which messages and answers get lost, late and repeated; all told by a seed, by a paused
//! clock. Only HTTP is left out: a client's pipe begins where an upgraded socket would.
//!
//! `SIGNALBOX_SEED=17 cargo test -p signalbox-gateway --test simulation storm` runs one seed, `SIGNALBOX_SEEDS=1000` the
//! first thousand of each climate.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod bus;
mod climate;
mod follower;
mod handing;
mod history;
mod link;
mod nemesis;
mod oracle;
mod publisher;
mod run;
mod shared;
mod weather;
mod wire;
mod world;

use std::collections::BTreeMap;
use std::ops::Range;

use climate::{BAD_BUS, Climate, FORGETFUL, LOST_ANSWERS, MOVING, PARTITIONS, STORM};
use history::{Line, Record};

/// What went wrong on purpose, and how often.
type Tally = BTreeMap<&'static str, u64>;

/// What every climate runs, unless the environment says something else.
const SEEDS: u64 = 35;

fn seeds() -> Range<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    match (number("SIGNALBOX_SEED"), number("SIGNALBOX_SEEDS")) {
        (Some(one), _) => one..one + 1,
        (None, count) => 0..count.unwrap_or(SEEDS),
    }
}

/// Runs the seeds in a climate, in which these things happen.
fn run_all(name: &str, climate: Climate, happens: &[&str]) {
    let mut tally = Tally::new();
    for seed in seeds() {
        let story = run::run(climate, seed);
        let broken = story.broken();
        let alone = "cargo test -p signalbox-gateway --test simulation";
        assert!(broken.is_empty(), "seed {seed}: {broken:#?}\nalone: SIGNALBOX_SEED={seed} {alone} {name}");
        for (what, often) in story.tally {
            *tally.entry(what).or_default() += often;
        }
    }
    eprintln!("{name}: {tally:?}");
    let seldom = |what: &&&str| tally.get(**what).copied().unwrap_or_default() < seeds().count() as u64 / 2;
    let seldom: Vec<_> = happens.iter().filter(seldom).collect();
    assert!(seldom.is_empty(), "{name} is no trouble without {seldom:?}");
}

#[test]
fn bad_bus() {
    let happens =
        ["late on the bus", "messages heard twice", "messages not heard", "parcels not heard", "deafness"];
    run_all("bad_bus", BAD_BUS, &happens);
}

#[test]
fn lost_answers() {
    run_all("lost_answers", LOST_ANSWERS, &["commands lost", "stored late"]);
}

#[test]
fn partitions() {
    run_all("partitions", PARTITIONS, &["partitions", "lost leases"]);
}

#[test]
fn moving() {
    run_all("moving", MOVING, &["restarts", "deaths"]);
}

#[test]
fn forgetful() {
    run_all("forgetful", FORGETFUL, &["losses of all logs", "declared missing"]);
}

#[test]
fn storm() {
    run_all("storm", STORM, &["commands lost", "messages not heard", "deaths"]);
}

#[test]
fn a_seed_tells_the_same_story_each_time() {
    for seed in 0..6 {
        let [one, other] = [0, 1].map(|_| deeds(&run::run(STORM, seed).record));
        assert_eq!(one, other, "seed {seed}");
    }
}

/// What each client did, and what came of it; without the random names of logs, and without the places of messages:
/// which of two that came in one millisecond is stored first is the runtime's to choose.
fn deeds(record: &Record) -> Vec<Vec<String>> {
    let deed = |line: &Line| match line {
        Line::Acknowledged { topic, id, .. } => Some(format!("{id} {topic}")),
        Line::Got { .. } | Line::Heard { .. } | Line::Starts { .. } | Line::Resumed { .. } => None,
        line => Some(format!("{line:?}")),
    };
    let of = |who| record.lines.iter().filter(move |(_, of, _)| *of == who);
    (0..record.clients.len()).map(|who| of(who).filter_map(|(_, _, line)| deed(line)).collect()).collect()
}
