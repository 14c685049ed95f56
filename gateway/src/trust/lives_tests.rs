//! Tokens that end while their connection is open, on a paused clock.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use signalbox_identity::{Capabilities, Expected, Verifier};
use signalbox_protocol::close::CloseCode;
use signalbox_registry::memory::MemoryCluster;
use tokio::time::sleep;

use super::keep_lives;
use crate::node::{Node, Settings};
use crate::rights::Grant;
use crate::testing::{Client, Issuer, default_settings, join, node_in, queued};

/// How long before the end clients are told, and how long after it they are closed.
const NOTICE: u64 = 60;
const LEEWAY: u64 = 5;

/// A node that looks after tokens, by the paused clock.
async fn node() -> Arc<Node> {
    let expected = Expected { leeway: LEEWAY, ..Expected::default() };
    let verifier = Verifier { expected, ..Issuer::default().verifier() };
    let expiry_notice = Duration::from_secs(NOTICE);
    let settings = Settings { verifier, expiry_notice, ..default_settings() };
    let node = node_in(&MemoryCluster::new(), "n1", settings).await;
    node.trust.follow_paused_clock();
    node.tasks.spawn(keep_lives(Arc::clone(&node)));
    node
}

/// The claims of `vehicle:V1` with some of them replaced, for so many seconds from now.
fn claims(node: &Node, seconds: u64, others: &Value) -> Value {
    let now = node.trust.now();
    let mut claims = json!({ "tenant": "acme", "agent_type": "vehicle", "agent_id": "V1", "iat": now, "exp": now + seconds });
    for (name, value) in others.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn token(node: &Node, seconds: u64) -> String {
    Issuer::default().mint(&claims(node, seconds, &json!({})))
}

async fn connect(node: &Arc<Node>, seconds: u64) -> Client {
    Client::with_token(node, &token(node, seconds), "").await.unwrap()
}

/// The next message, which is of this type; its data.
async fn next(client: &mut Client, message_type: &str) -> Value {
    let message = client.next().await;
    assert_eq!(message["type"], message_type, "{message}");
    message["data"].clone()
}

async fn refresh(client: &mut Client, token: &str) {
    client.send(json!({ "type": "system:refresh", "id": "r", "data": { "token": token } })).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_is_told_before_its_token_ends_and_closed_when_it_does() {
    let node = node().await;
    let begun = node.trust.now();
    let mut client = connect(&node, 110).await;
    let told = next(&mut client, "system:token_expiring").await;
    let left = told["expires_in_seconds"].as_u64().unwrap();
    assert!((NOTICE..=NOTICE + NOTICE / 4).contains(&left), "{left}");
    assert_eq!(node.trust.now() - begun, 110 - left);
    assert_eq!(client.close_code().await, 4401, "and it is told once");
    let lived = node.trust.now() - begun;
    assert!((110 + LEEWAY..=110 + LEEWAY + 1).contains(&lived), "{lived}");
    assert_eq!(node.metrics.trust.expired.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_ends_once_however_long_the_farewell_takes() {
    let node = node().await;
    let connection = join(&node, "agent_type=vehicle&agent_id=V1").await;
    let expires_at = node.trust.now() + 10;
    connection.set_grant(Grant {
        capabilities: Capabilities::all(),
        namespaces: None,
        expires_at,
        issued_at: None,
    });
    sleep(Duration::from_secs(10 + LEEWAY + 5)).await;
    assert_eq!(connection.outbox().closing(), Some(CloseCode::Unauthenticated));
    assert_eq!(node.metrics.trust.expired.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_comes_with_a_token_that_ends_soon_is_told_at_once() {
    let node = node().await;
    let mut client = connect(&node, 10).await;
    assert_eq!(next(&mut client, "system:token_expiring").await["expires_in_seconds"], 10);
    assert_eq!(client.close_code().await, 4401);
}

#[tokio::test(start_paused = true)]
async fn another_token_keeps_the_connection_open() {
    let node = node().await;
    let mut client = connect(&node, 100).await;
    next(&mut client, "system:token_expiring").await;
    refresh(&mut client, &token(&node, 1_000)).await;
    let told = next(&mut client, "system:refreshed").await;
    assert_eq!(told, json!({ "expires_in_seconds": 1_000, "left": [] }));
    sleep(Duration::from_secs(500)).await;
    client.send(json!({ "type": "system:health_check" })).await;
    next(&mut client, "system:health_check").await;
    assert_eq!(node.metrics.trust.expired.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_another_token_does_not_allow_is_left_and_no_longer_allowed() {
    let node = node().await;
    let mut client = connect(&node, 1_000).await;
    let topics = json!({ "topics": ["order:1", "route:12", "route:13"] });
    client.send(json!({ "type": "system:subscribe", "data": topics })).await;
    next(&mut client, "system:ack").await;
    let narrower =
        claims(&node, 1_000, &json!({ "capabilities": ["subscribe:route:12", "publish:order:*"] }));
    refresh(&mut client, &Issuer::default().mint(&narrower)).await;
    assert_eq!(next(&mut client, "system:refreshed").await["left"], json!(["order:1", "route:13"]));
    client.send(json!({ "type": "system:subscribe", "data": { "topics": ["route:13"] } })).await;
    assert_eq!(next(&mut client, "system:error").await["code"], "forbidden");
    let topics: Vec<String> = client.connection.topics().iter().map(ToString::to_string).collect();
    assert!(
        topics.contains(&"route:12".to_owned()) && !topics.contains(&"route:13".to_owned()),
        "{topics:?}"
    );
    // Back to all: what was left can be joined again.
    refresh(&mut client, &token(&node, 1_000)).await;
    assert_eq!(next(&mut client, "system:refreshed").await["left"], json!([]));
    client.send(json!({ "type": "system:subscribe", "data": { "topics": ["route:13"] } })).await;
    next(&mut client, "system:ack").await;
}

#[tokio::test(start_paused = true)]
async fn a_token_for_somebody_else_is_refused_and_the_old_one_stays() {
    let node = node().await;
    let mut client = connect(&node, 150).await;
    let before = client.connection.grant();
    let issuer = Issuer::default();
    let others = [
        json!({ "tenant": "other" }),
        json!({ "agent_id": "V2" }),
        json!({ "agent_type": "driver" }),
        json!({ "sub": "somebody" }),
        json!({ "pillar": "north" }),
        json!({ "exp": 1 }),
        json!({ "capabilities": ["fly:*"] }),
    ];
    let mut tokens: Vec<String> =
        others.iter().map(|other| issuer.mint(&claims(&node, 1_000, other))).collect();
    tokens.push("rubbish".to_owned());
    for token in &tokens {
        refresh(&mut client, token).await;
        let told = next(&mut client, "system:error").await;
        assert_eq!(told["code"], "forbidden", "{told}");
        assert!(!told.to_string().contains(token.as_str()), "{told}");
        assert_eq!(client.connection.grant(), before);
    }
    next(&mut client, "system:token_expiring").await;
    assert_eq!(client.close_code().await, 4401, "the old one ends as it would have");
    let told = String::from_utf8(node.metrics.render(&node.readings())).unwrap();
    assert!(told.contains("signalbox_token_refreshes_total{result=\"refused\"} 8"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn who_came_without_a_token_has_none_to_renew() {
    let node = node().await;
    let mut client = Client::connect(&node, "tenant=acme&agent_type=vehicle&agent_id=V1").await;
    refresh(&mut client, &token(&node, 1_000)).await;
    assert_eq!(next(&mut client, "system:error").await["code"], "forbidden");
    assert!(client.connection.grant().is_none());
    sleep(Duration::from_secs(10_000)).await;
    client.send(json!({ "type": "system:health_check" })).await;
    next(&mut client, "system:health_check").await;
}

#[tokio::test(start_paused = true)]
async fn tokens_of_one_moment_are_renewed_one_after_the_other_and_end_together() {
    let node = node().await;
    let expires_at = node.trust.now() + 200;
    let mut connections = Vec::new();
    for number in 0..1_000 {
        let connection = join(&node, &format!("agent_type=vehicle&agent_id=V{number}")).await;
        let grant =
            Grant { capabilities: Capabilities::all(), namespaces: None, expires_at, issued_at: None };
        connection.set_grant(grant);
        connections.push(connection);
    }
    sleep(Duration::from_secs(200 - NOTICE + 1)).await;
    let told = |connection| queued(connection)[0]["data"]["expires_in_seconds"].as_u64().unwrap();
    let moments: BTreeSet<u64> = connections.iter().map(|connection| told(connection)).collect();
    assert_eq!(moments.len(), 16, "{moments:?}");
    assert!(connections.iter().all(|connection| connection.outbox().closing().is_none()));
    sleep(Duration::from_secs(NOTICE + LEEWAY + 1)).await;
    let closing = connections.iter().map(|connection| connection.outbox().closing());
    assert!(closing.into_iter().all(|code| code == Some(CloseCode::Unauthenticated)));
}
