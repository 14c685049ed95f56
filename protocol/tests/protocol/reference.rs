//! `docs/protocol.md` says what the code does: its examples are the golden files, its tables the enums.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use signalbox_protocol::catalogue::{Class, Entry, Kind, Senders, TABLE, UNLISTED};
use signalbox_protocol::close::{Advice, CloseCode};
use signalbox_protocol::{ErrorCode, Vocabulary, limits};

use crate::golden;

fn reference() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md");
    fs::read_to_string(path).unwrap()
}

/// The rows of the table after `<!-- table: NAME -->`, each as its cells, without head and rule.
fn table(name: &str) -> Vec<Vec<String>> {
    let reference = reference();
    let marker = format!("<!-- table: {name} -->\n");
    let (_, after) = reference.split_once(&marker).unwrap_or_else(|| panic!("no table {name}"));
    let rows = after.lines().take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

/// Compares the first cells of each row with what the code says; a last cell in words has to be there.
fn assert_table(name: &str, expected: &[Vec<String>]) {
    let found = table(name);
    let columns = expected[0].len();
    for row in &found {
        assert!(row.iter().all(|cell| !cell.is_empty()), "{name}: an empty cell in {row:?}");
    }
    let told: Vec<_> = found.iter().map(|row| row[..columns].to_vec()).collect();
    let should: String = expected.iter().map(|row| format!("| {} |\n", row.join(" | "))).collect();
    assert_eq!(told, expected, "\nthe table {name} should say\n{should}");
}

#[test]
fn every_example_is_a_golden_file_and_every_golden_file_is_an_example() {
    let reference = reference();
    let golden = golden::files();
    let mut shown = BTreeSet::new();
    for (at, _) in reference.match_indices("```json\n") {
        let (before, block) = (&reference[..at], &reference[at + "```json\n".len()..]);
        let marker = before.trim_end().lines().last().unwrap_or_default();
        let name = marker.strip_prefix("<!-- golden: ").and_then(|rest| rest.strip_suffix(" -->"));
        let name = name.unwrap_or_else(|| panic!("an example without a golden file, after {marker:?}"));
        let (example, _) = block.split_once("\n```").unwrap();
        assert_eq!(example, golden[name], "{name}");
        shown.insert(name.to_owned());
    }
    assert_eq!(shown, golden.into_keys().collect());
}

#[test]
fn the_error_codes_are_those_of_the_code() {
    let row = |code: ErrorCode| {
        let retry = if code.retryable() { "yes" } else { "no" };
        vec![format!("`{code}`"), retry.to_owned(), code.http_status().to_string()]
    };
    assert_table("errors", &ErrorCode::ALL.map(row));
}

#[test]
fn the_close_codes_are_those_of_the_code() {
    let row = |code: CloseCode| {
        let advice = match code.advice() {
            Advice::Reconnect => "reconnect",
            Advice::Reauthenticate => "new token",
            Advice::GiveUp => "give up",
        };
        vec![code.as_u16().to_string(), code.reason().to_owned(), advice.to_owned()]
    };
    assert_table("close codes", &CloseCode::ALL.map(row));
}

#[test]
fn the_catalogue_is_that_of_the_code() {
    let kind = |entry: &Entry| match entry.kind {
        Kind::Event { class: Class::Durable, .. } => "durable event",
        Kind::Event { conflates: true, .. } => "event, newest wins",
        Kind::Event { .. } => "event",
        Kind::Command => "command",
        Kind::Reply => "reply",
    };
    let senders = |entry: &Entry| match entry.senders {
        Senders::Anyone => "anyone".to_owned(),
        Senders::Agents(agent_types) => agent_types.join(", "),
        Senders::GatewayOnly => "gateway only".to_owned(),
    };
    let namespaces = |entry: &Entry| match entry.namespaces {
        [] => "none".to_owned(),
        namespaces => namespaces.join(", "),
    };
    let row = |entry: &Entry| {
        vec![format!("`{}`", entry.name), kind(entry).to_owned(), senders(entry), namespaces(entry)]
    };
    let listed: Vec<_> = TABLE.iter().chain([&UNLISTED]).map(row).collect();
    assert_table("catalogue", &listed);
}

#[test]
fn the_limits_are_those_of_the_code() {
    let seconds = |duration: std::time::Duration| format!("{} s", duration.as_secs());
    let millis = |duration: std::time::Duration| duration.as_millis().to_string();
    let (shortest, longest) = limits::LOCK_TTL_BOUNDS;
    let expected = [
        ("bytes of a message", limits::MESSAGE_BYTES_MAX.to_string()),
        ("characters of a type", limits::MESSAGE_TYPE_CHARS_MAX.to_string()),
        ("characters of `id` and `correlationId`", limits::MESSAGE_ID_CHARS_MAX.to_string()),
        ("topics of a target", limits::TARGETS_MAX.to_string()),
        ("topics that a connection joins", limits::SUBSCRIPTIONS_MAX.to_string()),
        ("sockets of a session", limits::SESSION_CONNECTIONS_MAX.to_string()),
        ("a session stays its subject's", seconds(limits::SESSION_OWNER_KEPT)),
        ("silence before the node pings", seconds(limits::HEARTBEAT_INTERVAL)),
        ("silence before the node closes", seconds(limits::HEARTBEAT_TIMEOUT)),
        ("malformed messages", format!("{} in {}", limits::MALFORMED_MAX, seconds(limits::MALFORMED_WINDOW))),
        ("bytes that wait for a slow reader", limits::OUTBOX_BYTES_MAX.to_string()),
        ("messages that wait for a slow reader", limits::OUTBOX_MESSAGES_MAX.to_string()),
        ("requests that wait for long", limits::WAITS_MAX.to_string()),
        ("time to live of a lock, ms", format!("{} to {}", millis(shortest), millis(longest))),
        ("wait in a lock's line, ms", millis(limits::LOCK_WAIT_MAX)),
        ("kilometres around a query", limits::QUERY_RADIUS_KM_MAX.to_string()),
        ("passengers that a query answers", limits::QUERY_RESULTS_MAX.to_string()),
        ("passengers of a pushed list", limits::PUSH_PASSENGERS_MAX.to_string()),
        ("seats of a vehicle", limits::CAPACITY_MAX.to_string()),
    ];
    let expected = expected.map(|(limit, value)| vec![limit.to_owned(), value]);
    assert_table("limits", &expected);
}

#[test]
fn the_names_of_the_vocabulary_are_told() {
    let reference = reference();
    let vocabulary = Vocabulary::default();
    for name in vocabulary.agent_types().iter().chain(vocabulary.namespaces()) {
        assert!(reference.contains(&format!("`{name}`")), "{name} is not in the reference");
    }
}
