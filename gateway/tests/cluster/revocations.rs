//! Tokens whose time is not over: revoked on one node, and of no use on any.

use std::time::Duration;

use serde_json::{Value, json};
use signalbox_client::{Client as Library, ClientConfig};
use signalbox_testkit::eventually;

use crate::api::Api;
use crate::client::PATIENCE;
use crate::fixture::{TestCluster, TestNode};
use crate::handshake_tokens::counted;
use crate::tokens::{bearer, believing, client, now, refusal, service, token};

fn vehicle(seconds: u64) -> String {
    token(json!({
        "tenant": "acme", "agent_type": "vehicle", "agent_id": "V1", "sub": "fleet-7", "iat": now(), "exp": now() + seconds,
    }))
}

async fn revoke(node: &TestNode, whom: Value) -> (u16, Value) {
    let token = service("acme", Some(&["end:tokens"]));
    let mut api = Api::of(node.address);
    let (name, value) = bearer(&token);
    let answer = api.call("POST", "/api/revocations", &[(name, &value)], &whom.to_string()).await;
    (answer.status, answer.body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_revoked_on_one_node_is_of_no_use_on_any() {
    let cluster = TestCluster::start_with(2, believing()).await;
    let [near, far] = [&cluster.nodes[0], &cluster.nodes[1]];
    eventually("they know each other", PATIENCE, || async { near.node.peers.load().len() == 2 }).await;
    for whom in [json!({"agent": "vehicle:V1"}), json!({"subject": "fleet-7"}), json!({"session": "S-1"})] {
        let token = vehicle(600);
        let mut open = client(far.address, "/ws?session_id=S-1", &token).await;
        let (status, told) = revoke(near, whom.clone()).await;
        assert_eq!((status, &told["nodes_told"]), (201, &json!(1)), "{told}");
        assert_eq!(open.close_code().await, Some(4401), "{whom}");
        let (code, reason) = refusal(far.address, "/ws?session_id=S-1", &[bearer(&token)]).await;
        assert_eq!((code, &*reason), (4401, "the token was revoked"), "{whom}");
        // One of later is taken.
        eventually("the second is over", PATIENCE, || async { now() > told_second(&told) }).await;
        client(far.address, "/ws?session_id=S-1", &vehicle(600)).await.close().await;
    }
    let (name, value) = bearer(&service("acme", None));
    let listed = Api::of(far.address).call("GET", "/api/revocations", &[(name, &value)], "").await;
    assert_eq!(listed.body["items"].as_array().map(Vec::len), Some(3), "{}", listed.text);
    assert_eq!(counted(far, "signalbox_token_revoked_connections_total").await, 3);
}

/// The second in which a revocation was made.
fn told_second(told: &Value) -> u64 {
    let text = told["revoked_at"].as_str().unwrap();
    signalbox_protocol::timestamp::parse(text).unwrap() / 1_000
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_is_of_no_use_over_http_nor_on_a_node_that_came_later() {
    let cluster = TestCluster::start_with(1, believing()).await;
    let issued = token(json!({"tenant": "acme", "agent_type": "service", "agent_id": "s", "iat": now()}));
    let (name, value) = bearer(&issued);
    let mut api = Api::of(cluster.nodes[0].address);
    assert_eq!(api.call("GET", "/api/topics", &[(name, &value)], "").await.status, 200);
    assert_eq!(revoke(&cluster.nodes[0], json!({"agent": "service:s"})).await.0, 201);
    assert_eq!(api.call("GET", "/api/topics", &[(name, &value)], "").await.status, 401);
    let mut config = believing();
    config.redis.url = Some(signalbox_gateway::config::RedisUrl::try_new(&cluster.redis.url()).unwrap());
    let later = TestNode::start(&config).await;
    let refused = || async {
        let mut api = Api::of(later.address);
        api.call("GET", "/api/topics", &[(name, &value)], "").await.status == 401
    };
    eventually("the later one has looked", PATIENCE, refused).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whose_tokens_is_to_be_said_once() {
    let node = TestNode::start(&believing()).await;
    for wrong in [
        json!({}),
        json!({"agent": "vehicle:V1", "subject": "s"}),
        json!({"subject": "a b"}),
        json!({"agent": "V1"}),
    ] {
        assert_eq!(revoke(&node, wrong.clone()).await.0, 422, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_library_renews_its_token_and_stays_connected() {
    let mut config = believing();
    config.auth.leeway = Duration::ZERO;
    config.auth.expiry_notice = Duration::from_secs(2);
    let node = TestNode::start(&config).await;
    let ends = now() + 4;
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let provide = move || {
        let first = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        async move { Ok(vehicle(if first { 4 } else { 600 })) }
    };
    let config = ClientConfig::new(format!("ws://{}/ws", node.address)).token_provider(provide);
    let client = Library::connect(config).await.unwrap();
    let renewed = "signalbox_token_refreshes_total{result=\"ok\"}";
    eventually("the token is renewed", PATIENCE, || async { counted(&node, renewed).await == 1 }).await;
    eventually("the first token is over", PATIENCE, || async { now() > ends + 2 }).await;
    assert_eq!(counted(&node, "signalbox_token_expired_connections_total").await, 0);
    assert_eq!(client.stats().reconnects, 0);
    client.close().await;
}
