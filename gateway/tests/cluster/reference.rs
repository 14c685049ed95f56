//! The HTTP examples of `docs/protocol.md`, run one after the other against a node.

use std::fs;

use serde_json::Value;

use crate::api::Api;
use crate::fixture::{TestNode, config};

const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol.md");

/// Fields whose values are other ones each time. Where the reference shows one of them again, the node gets the
/// one that it gave.
const EACH_TIME: [&str; 8] =
    ["fence", "token", "spawned_at", "boarded_at", "alighted_at", "expires_at", "ttl_ms", "retry_after_ms"];

/// What the reference shows: a request, and its answer.
struct Example {
    request: String,
    answer: String,
}

fn examples() -> Vec<Example> {
    let reference = fs::read_to_string(REFERENCE).unwrap();
    let blocks = reference.split("```http\n").skip(1).map(|rest| rest.split_once("\n```").unwrap().0);
    let example = |block: &str| {
        let (request, answer) = block.split_once("\n\n").expect("an empty line before the answer");
        Example { request: request.to_owned(), answer: answer.to_owned() }
    };
    blocks.map(example).collect()
}

async fn send(api: &mut Api, request: &str) -> crate::api::Answer {
    let (first, rest) = request.split_once('\n').unwrap_or((request, ""));
    let (method, path) = first.split_once(' ').unwrap();
    let is_header = rest.starts_with(|c: char| c.is_ascii_uppercase());
    let (header, body) = if is_header { rest.split_once('\n').unwrap_or((rest, "")) } else { ("", rest) };
    let headers: Vec<_> = header.split_once(": ").into_iter().collect();
    api.call(method, path, &headers, body).await
}

/// Compares, and notes what stands for what: shown in the reference, given by the node.
fn compare(shown: &Value, given: &Value, notes: &mut Vec<(String, String)>) {
    match (shown, given) {
        (Value::Object(shown), Value::Object(given)) => {
            let keys = |object: &serde_json::Map<String, Value>| object.keys().cloned().collect::<Vec<_>>();
            let (mut left, mut right) = (keys(shown), keys(given));
            left.sort();
            right.sort();
            assert_eq!(left, right);
            for (key, shown) in shown {
                let given = &given[key];
                if EACH_TIME.contains(&key.as_str()) && !shown.is_null() {
                    assert_eq!(shown.is_string(), given.is_string(), "{key}");
                    assert!(!given.is_null(), "{key}");
                    notes.push((plain(shown), plain(given)));
                } else {
                    compare(shown, given, notes);
                }
            }
        }
        (Value::Array(shown), Value::Array(given)) if shown.len() == given.len() => {
            shown.iter().zip(given).for_each(|(shown, given)| compare(shown, given, notes));
        }
        _ => assert_eq!(shown, given),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_http_examples_of_the_reference_are_what_a_node_answers() {
    let node = TestNode::start(&config(None)).await;
    let mut api = Api::of(node.address);
    let examples = examples();
    assert!(examples.len() >= 12, "{} examples", examples.len());
    let mut notes: Vec<(String, String)> = Vec::new();
    for Example { request, answer } in examples {
        // Only secrets and fences are told back; a time to live stays as it is shown.
        let long = notes.iter().filter(|(shown, _)| shown.len() > 12);
        let told = long.fold(request.clone(), |text, (shown, given)| text.replace(shown, given));
        let given = send(&mut api, &told).await;
        let (status, body) = answer.split_once('\n').unwrap_or((&answer, ""));
        assert_eq!(given.status.to_string(), status, "{request}\n{}", given.text);
        let shown: Value = if body.is_empty() { Value::Null } else { serde_json::from_str(body).unwrap() };
        println!("{request}");
        compare(&shown, &given.body, &mut notes);
    }
    api.conforms().await;
}
