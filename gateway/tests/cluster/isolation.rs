//! With one tenant's token and another's names nothing comes back but what names of nothing bring. Every operation of
//! the API's description and every message of the catalogue is tried.

use serde_json::Value;

use crate::api::Api;
use crate::fixture::TestCluster;
use crate::tokens::{believing, client, service};
use crate::verbs::{Names, messages, operations};
use crate::world::{World, made_up, without};

/// Other ones each time, whoever asks.
const EACH_TIME: [&str; 15] = [
    "id",
    "timestamp",
    "fence",
    "token",
    "epoch",
    "correlationId",
    "ttl_ms",
    "retry_after_ms",
    "spawned_at",
    "boarded_at",
    "alighted_at",
    "expires_at",
    "revoked_at",
    "kept_until",
    "connected_at",
];

/// What was told, with all names as if they were those of nothing.
fn told(text: &str, names: &Names, nothing: &Names) -> Value {
    let both = names.iter().flat_map(|(kind, names)| names.iter().zip(&nothing[kind]));
    let mut both: Vec<(&String, &String)> = both.collect();
    both.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    let text = both.into_iter().fold(text.to_owned(), |text, (name, nothing)| text.replace(name, nothing));
    let mut told = serde_json::from_str(&text).unwrap_or(Value::String(text));
    without(&mut told, &EACH_TIME);
    told
}

/// What names a thing of the world: every name that nothing has not, too. The node is everybody's.
fn telling(names: &Names, nothing: &Names) -> Vec<String> {
    let own = names.iter().filter(|(kind, _)| **kind != "NodeId");
    let own = own.flat_map(|(kind, names)| names.iter().filter(|name| !nothing[kind].contains(name)));
    own.cloned().chain(["their-".to_owned()]).collect()
}

/// Two tenants that have nothing: one asks for another's things, the other for things that nobody has.
const CURIOUS: &str = "curious";
const HARMLESS: &str = "harmless";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http_another_tenants_things_are_as_things_that_are_not() {
    let cluster = TestCluster::start_with(2, believing()).await;
    let mut world = World::of("theirs", cluster.nodes[0].address).await;
    let (before, nothing) = (world.seen().await, made_up(world.vehicle.text("node_id")));
    let (mut compared, mut listed, mut api) = (0, 0, Api::of(cluster.nodes[1].address));
    let telling = telling(&world.names, &nothing);
    let tells = |text: &str| telling.iter().any(|name| text.contains(name.as_str()));
    let owner = format!("Bearer {}", service("theirs", None));
    let [curious, harmless] = [CURIOUS, HARMLESS].map(|tenant| format!("Bearer {}", service(tenant, None)));
    for (name, operation) in operations().into_iter().filter(|(_, operation)| operation.takes_token()) {
        let requests = operation.requests(&world.names);
        assert!(!requests.is_empty(), "{name} is asked for");
        for (theirs, nobodys) in requests.into_iter().zip(operation.requests(&nothing)) {
            // It names nothing: what is there is listed, and that is one's own.
            if theirs == nobodys {
                let asked = theirs.send(&mut api, &curious).await;
                assert!(!tells(&asked.text), "{name} {theirs:?}: {}", asked.text);
                let is_told = theirs.method == "GET" && tells(&theirs.send(&mut api, &owner).await.text);
                listed += usize::from(is_told);
                continue;
            }
            let asked = theirs.send(&mut api, &curious).await;
            let unknown = nobodys.send(&mut api, &harmless).await;
            let got = told(&asked.text, &world.names, &nothing);
            let expected = told(&unknown.text, &world.names, &nothing);
            assert_eq!((asked.status, got), (unknown.status, expected), "{name} {theirs:?}");
            compared += 1;
        }
    }
    assert!(compared > 60, "{compared} requests compared");
    assert!(listed > 3, "{listed} lists tell their owner something");
    world.is_as(&before).await;
    world.vehicle.expect_nothing().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_websocket_another_tenants_things_are_as_things_that_are_not() {
    let cluster = TestCluster::start_with(2, believing()).await;
    let mut world = World::of("theirs", cluster.nodes[0].address).await;
    let (before, nothing) = (world.seen().await, made_up(world.vehicle.text("node_id")));
    let mut compared = 0;
    for round in 0..nothing["Topic"].len() {
        let address = cluster.nodes[round % 2].address;
        let theirs = messages(&world.names, round);
        for ((name, theirs), nobodys) in theirs.into_iter().zip(messages(&nothing, round).into_values()) {
            if theirs == nobodys {
                continue;
            }
            let mut answers = Vec::new();
            for (tenant, message) in [(CURIOUS, theirs), (HARMLESS, nobodys)] {
                let mut asker = client(address, "/ws", &service(tenant, None)).await;
                let answer = asker.request(message).await.to_string();
                answers.push(told(&answer, &world.names, &nothing));
                asker.close().await;
            }
            assert_eq!(answers[0], answers[1], "{name} in round {round}");
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared} messages compared");
    world.is_as(&before).await;
    world.vehicle.expect_nothing().await;
}
