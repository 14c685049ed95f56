//! `docs/asyncapi.json`: current, valid, and its examples are the golden messages that the protocol's tests round-trip.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use signalbox_protocol::asyncapi::{Examples, describe, missing};
use signalbox_protocol::envelope::{Incoming, Received};

const DOCUMENT: &str = "docs/asyncapi.json";
/// Set, the document is written in place of being compared.
const WRITE: &str = "SIGNALBOX_WRITE_ASYNCAPI";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What a client should not send; golden all the same, for its answer.
const MALFORMED: &str = "malformed.json";

/// The golden messages, by the name of their file.
fn golden() -> Examples {
    let folder = root().join("protocol/tests/golden");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
        })
        .filter(|(name, _)| name != MALFORMED)
        .collect()
}

/// All examples of a document: the name of the file, and the message.
fn examples(document: &Value) -> Examples {
    let messages = document["components"]["messages"].as_object().unwrap().values();
    let examples = messages.filter_map(|message| message["examples"].as_array()).flatten();
    examples.map(|one| (format!("{}.json", one["name"].as_str().unwrap()), one["payload"].clone())).collect()
}

#[test]
fn every_command_and_every_reply_of_the_catalogue_is_described() {
    assert_eq!(missing(), Vec::<&str>::new(), "add them to protocol/src/asyncapi/payloads.rs");
}

#[test]
fn the_document_is_what_the_code_says() {
    let described = describe(&golden());
    let path = root().join(DOCUMENT);
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, format!("{described:#}\n")).unwrap();
    }
    let committed: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert!(
        committed == described,
        "{DOCUMENT} is not current: run this test with {WRITE}=1, and commit what changed"
    );
}

#[test]
fn every_golden_message_of_the_catalogue_is_an_example_that_is_read_as_it_stands() {
    let shown = examples(&describe(&golden()));
    for (file, message) in &shown {
        let text = message.to_string();
        match message.get("source") {
            Some(_) => drop(
                serde_json::from_str::<Received>(&text).unwrap_or_else(|error| panic!("{file}: {error}")),
            ),
            None => drop(Incoming::parse(&text).unwrap_or_else(|error| panic!("{file}: {error:?}"))),
        }
    }
    let in_catalogue = |message: &Value| {
        let entry = signalbox_protocol::catalogue::lookup(message["type"].as_str().unwrap_or_default());
        entry.is_some()
    };
    let expected: BTreeSet<String> =
        golden().into_iter().filter(|(_, message)| in_catalogue(message)).map(|(file, _)| file).collect();
    assert_eq!(shown.into_keys().collect::<BTreeSet<_>>(), expected);
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_document_is_valid_asyncapi_3() {
    let script = root().join("gateway/tests/asyncapi.mjs");
    let judged = Command::new("node").arg(script).arg(root().join(DOCUMENT)).output();
    let judged = judged.expect("tools/needs installs node for the tests");
    assert!(judged.status.success(), "{}", said(&judged));
}

#[test]
fn every_example_is_of_the_shape_that_is_described() {
    let python = root().join("target/venv/bin/python");
    let script = root().join("gateway/tests/asyncapi.py");
    let judged = Command::new(python).arg(script).arg(root().join(DOCUMENT)).output();
    let judged = judged.expect("tools/needs installs Python for the tests");
    assert!(judged.status.success(), "{}", said(&judged));
}
