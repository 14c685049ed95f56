//! What is said of made-up Redises.

use super::*;
use crate::cli::doctor::finding::Verdict::{self, Ok, Warning, Wrong};

const WELL: [(&str, &str); 8] = [
    ("redis_version", "7.0.15"),
    ("used_memory", "10000000"),
    ("maxmemory", "100000000"),
    ("maxmemory_policy", "noeviction"),
    ("aof_enabled", "1"),
    ("role", "master"),
    ("maxclients", "10000"),
    ("connected_clients", "9"),
];

/// A Redis that is well but for these fields.
fn with(fields: &[(&str, &str)]) -> Examination {
    let fields = WELL.iter().chain(fields).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Examination {
        info: fields.collect(),
        round_trips: vec![Duration::from_micros(200)],
        ..Default::default()
    }
}

fn verdicts(config: &Config, seen: &Examination) -> Vec<(&'static str, Verdict)> {
    let unwell = judged(config, seen).into_iter().filter(|finding| finding.verdict != Ok);
    unwell
        .map(|finding| {
            assert!(finding.advice.is_some(), "{finding:?}");
            (finding.subject, finding.verdict)
        })
        .collect()
}

#[test]
fn a_redis_that_is_well_is_found_well() {
    assert_eq!(verdicts(&Config::default(), &with(&[])), []);
}

#[test]
fn each_thing_that_is_wrong_is_found_alone() {
    for (fields, expected) in [
        (&[("redis_version", "6.2.1")][..], ("redis", Wrong)),
        (&[("redis_version", "10.0")], ("", Ok)),
        (&[("used_memory", "85000000")], ("redis.memory", Warning)),
        (&[("used_memory", "99000000")], ("redis.memory", Wrong)),
        (&[("maxmemory", "0")], ("redis.memory", Warning)),
        (&[("maxmemory_policy", "allkeys-lru")], ("redis.eviction", Wrong)),
        (&[("aof_enabled", "0")], ("redis.persistence", Warning)),
        (&[("aof_last_write_status", "err")], ("redis.persistence", Wrong)),
        (&[("rdb_last_bgsave_status", "err")], ("redis.persistence", Wrong)),
        (&[("connected_clients", "9950")], ("redis.connections", Warning)),
        (&[("role", "slave")], ("redis.replication", Wrong)),
    ] {
        let expected: Vec<_> = Some(expected).filter(|(_, verdict)| *verdict != Ok).into_iter().collect();
        assert_eq!(verdicts(&Config::default(), &with(fields)), expected, "{fields:?}");
    }
}

#[test]
fn replicas_that_are_promised_have_to_be_there() {
    let mut config = Config::default();
    config.durable.replicas = 1;
    assert_eq!(verdicts(&config, &with(&[])), [("redis.replication", Wrong)]);
    assert_eq!(verdicts(&config, &with(&[("connected_slaves", "1")])), []);
}

#[test]
fn the_way_there_the_clock_and_the_rights_are_judged_without_info() {
    let seen = Examination {
        round_trips: vec![Duration::from_millis(1), Duration::from_millis(6), Duration::from_millis(9)],
        clock_ahead_ms: Some(-1_001),
        denied: vec!["CLIENT|KILL", "INFO"],
        ..Examination::default()
    };
    let found = judged(&Config::default(), &seen);
    assert_eq!(
        verdicts(&Config::default(), &seen),
        [
            ("redis", Wrong),
            ("redis.latency", Warning),
            ("redis.permissions", Wrong),
            ("redis.clock", Warning)
        ]
    );
    assert_eq!(found[2].found, "this user may not: client|kill, info");
}
