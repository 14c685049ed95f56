//! Revocations among nodes in memory, on a paused clock.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use signalbox_identity::{Expected, Verifier};
use signalbox_protocol::close::CloseCode;
use signalbox_registry::memory::MemoryCluster;
use tokio::time::{sleep, timeout};

use super::pace::AT_ONCE;
use super::{RevocationSettings, TooMany, keep_revocations, revoke};
use crate::keeper::card;
use crate::node::{Node, Settings};
use crate::testing::{Client, Issuer, default_settings, join, node_in, tenant};

/// How often nodes look by themselves.
const REREAD: Duration = Duration::from_secs(30);

/// Two nodes; the first tells the second.
async fn nodes() -> [Arc<Node>; 2] {
    let cluster = MemoryCluster::new();
    let revocations = RevocationSettings { kept: Duration::from_secs(3_600), most: 3, reread: REREAD };
    let expected = Expected { leeway: 30, ..Expected::default() };
    let verifier = Verifier { expected, ..Issuer::default().verifier() };
    let settings = Settings { verifier, revocations, ..default_settings() };
    let nodes = [node_in(&cluster, "n1", settings.clone()).await, node_in(&cluster, "n2", settings).await];
    for node in &nodes {
        node.trust.follow_paused_clock();
        node.tasks.spawn(keep_revocations(Arc::clone(node)));
    }
    // They have looked once.
    sleep(Duration::from_secs(1)).await;
    nodes[0].peers.store(Arc::new(nodes.iter().map(|node| card(node)).collect()));
    nodes
}

fn token(node: &Node, others: &Value) -> String {
    let now = node.trust.now();
    let mut claims = json!({
        "tenant": "acme", "agent_type": "vehicle", "agent_id": "V1", "sub": "fleet-7", "iat": now, "exp": now + 600,
    });
    for (name, value) in others.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    Issuer::default().mint(&claims)
}

#[tokio::test(start_paused = true)]
async fn a_revocation_closes_connections_on_every_node_and_keeps_them_out() {
    for whom in ["agent:vehicle:V1", "subject:fleet-7", "session:S-1"] {
        let [a, b] = nodes().await;
        let of_before = token(&b, &json!({}));
        let mut near = Client::with_token(&a, &of_before, "session_id=S-1").await.unwrap();
        let mut far = Client::with_token(&b, &of_before, "session_id=S-1").await.unwrap();
        let others = json!({ "agent_id": "V2", "sub": "fleet-8" });
        let mut spared = Client::with_token(&b, &token(&b, &others), "session_id=S-2").await.unwrap();
        let elsewhere = json!({ "tenant": "other" });
        let mut foreign = Client::with_token(&b, &token(&b, &elsewhere), "session_id=S-1").await.unwrap();

        let told = revoke(&a, &tenant("acme"), whom.parse().unwrap()).await.unwrap().unwrap();
        assert_eq!(told.nodes, 1);
        assert_eq!((near.close_code().await, far.close_code().await), (4401, 4401), "{whom}");
        for client in [&mut spared, &mut foreign] {
            client.send(json!({ "type": "system:health_check" })).await;
            assert_eq!(client.next().await["type"], "system:health_check", "{whom}");
        }
        for node in [&a, &b] {
            let refused = Client::with_token(node, &of_before, "session_id=S-1").await;
            assert_eq!(refused.err(), Some(4401), "{whom}");
        }
        let undated = token(&b, &json!({ "iat": null }));
        assert_eq!(Client::with_token(&b, &undated, "session_id=S-1").await.err(), Some(4401), "{whom}");
        sleep(Duration::from_secs(1)).await;
        let of_after = token(&b, &json!({}));
        assert!(Client::with_token(&b, &of_after, "session_id=S-1").await.is_ok(), "{whom}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_was_not_told_learns_it_by_itself() {
    let [a, b] = nodes().await;
    a.peers.store(Arc::default());
    let mut client = Client::with_token(&b, &token(&b, &json!({})), "").await.unwrap();
    let begun = b.trust.now();
    let told = revoke(&a, &tenant("acme"), "agent:vehicle:V1".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(told.nodes, 0);
    assert_eq!(client.close_code().await, 4401);
    assert!(b.trust.now() - begun <= REREAD.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_revoked_token_renews_nothing() {
    let [a, b] = nodes().await;
    let of_before = token(&b, &json!({}));
    sleep(Duration::from_secs(5)).await;
    revoke(&a, &tenant("acme"), "subject:fleet-7".parse().unwrap()).await.unwrap().unwrap();
    sleep(Duration::from_secs(1)).await;
    let mut client = Client::with_token(&b, &token(&b, &json!({})), "").await.unwrap();
    client.send(json!({ "type": "system:refresh", "data": { "token": of_before } })).await;
    let told = client.next().await;
    assert_eq!(told["data"]["code"], "forbidden", "{told}");
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_may_go_before_all_are_closed() {
    let [a, _] = nodes().await;
    let mut connections = Vec::new();
    for _ in 0..AT_ONCE + 100 {
        connections.push(join(&a, "tenant=acme&agent_type=vehicle&agent_id=V1").await);
    }
    // Past the moment in which they came, by the wall's clock as well.
    sleep(Duration::from_secs(60)).await;
    // As a handler is dropped whose client has gone: in the pause after the first ones.
    let acme = tenant("acme");
    let asked = revoke(&a, &acme, "agent:vehicle:V1".parse().unwrap());
    drop(timeout(Duration::from_millis(1), asked).await);
    sleep(Duration::from_secs(1)).await;
    let closing = connections.iter().filter(|connection| connection.outbox().closing().is_some());
    assert_eq!(closing.count(), connections.len());
    assert_eq!(a.metrics.trust.revoked.get(), connections.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn who_is_being_closed_is_not_closed_by_a_second_revocation_as_well() {
    let [a, _] = nodes().await;
    let connection = join(&a, "tenant=acme&agent_type=vehicle&agent_id=V1&subject=fleet-7").await;
    sleep(Duration::from_secs(60)).await;
    for whom in ["agent:vehicle:V1", "subject:fleet-7"] {
        revoke(&a, &tenant("acme"), whom.parse().unwrap()).await.unwrap().unwrap();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(connection.outbox().closing(), Some(CloseCode::Unauthenticated));
        assert_eq!(a.metrics.trust.revoked.get(), 1, "{whom}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_of_an_issuer_that_is_ahead_keeps_no_connection_open() {
    let [a, b] = nodes().await;
    let ahead = token(&b, &json!({ "iat": b.trust.now() + 20 }));
    let mut open = Client::with_token(&b, &ahead, "").await.unwrap();
    revoke(&a, &tenant("acme"), "agent:vehicle:V1".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(open.close_code().await, 4401);
}

#[tokio::test(start_paused = true)]
async fn who_is_revoked_while_it_comes_in_is_closed_at_once() {
    let [a, b] = nodes().await;
    let mut client = Client::with_token(&b, &token(&b, &json!({})), "").await.unwrap();
    // As if the revocation had been learned between the look at the token and the hub.
    let revoked = revoke(&a, &tenant("acme"), "agent:vehicle:V1".parse().unwrap()).await.unwrap().unwrap();
    b.trust.learn(&tenant("acme"), vec![revoked.revocation]);
    super::begin(&b, &client.connection);
    assert_eq!(client.close_code().await, 4401);
}

#[tokio::test(start_paused = true)]
async fn a_revocation_is_forgotten_when_no_token_of_before_can_be_valid() {
    let [a, _] = nodes().await;
    let acme = tenant("acme");
    revoke(&a, &acme, "subject:a".parse().unwrap()).await.unwrap().unwrap();
    let is_known = || a.trust.is_revoked(&acme, &["subject:a".parse().unwrap()], Some(0));
    assert!(is_known());
    sleep(Duration::from_secs(3_601)).await;
    revoke(&a, &acme, "subject:b".parse().unwrap()).await.unwrap().unwrap();
    assert!(!is_known());
}

#[tokio::test(start_paused = true)]
async fn of_a_tenant_no_more_are_kept_than_configured() {
    let [a, _] = nodes().await;
    for number in 0..3 {
        revoke(&a, &tenant("acme"), format!("subject:s{number}").parse().unwrap()).await.unwrap().unwrap();
    }
    let more = revoke(&a, &tenant("acme"), "subject:more".parse().unwrap()).await.unwrap();
    assert!(matches!(more, Err(TooMany)));
    assert!(revoke(&a, &tenant("other"), "subject:more".parse().unwrap()).await.unwrap().is_ok());
}
