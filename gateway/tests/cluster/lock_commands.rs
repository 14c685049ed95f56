//! Locks over WebSockets: one holder among all nodes, a line that holds nobody up, tokens that outlive sockets.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use signalbox_protocol::{Resource, Tenant};
use signalbox_testkit::eventually;

use crate::client::{Client, PATIENCE};
use crate::fixture::TestCluster;

fn acquire(resource: &str, more: &Value) -> Value {
    let mut data = json!({"resource": resource});
    data.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    json!({"type": "lock:acquire", "data": data})
}

fn release(granted: &Value) -> Value {
    let data = json!({"resource": granted["resource"], "token": granted["token"]});
    json!({"type": "lock:release", "data": data})
}

/// The data of a `lock:granted`.
fn granted(answer: &Value) -> Value {
    assert_eq!(answer["type"], "lock:granted", "{answer}");
    answer["data"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resource_has_one_holder_whichever_node_is_asked() {
    let cluster = TestCluster::start(2).await;
    let mut first = cluster.nodes[0].client("driver:1").await;
    let mut second = cluster.nodes[1].client("driver:2").await;
    let held = granted(&first.request(acquire("gate", &json!({}))).await);
    assert_eq!(held["ttl_ms"], 5_000);
    let denied = second.request(acquire("gate", &json!({}))).await;
    assert_eq!((&denied["type"], &denied["data"]["held_by"]), (&json!("lock:denied"), &json!("driver:1")));
    let retry_after = denied["data"]["retry_after_ms"].as_u64().unwrap();
    assert!((1..=5_000).contains(&retry_after), "{denied}");

    let guess = json!({"type": "lock:release", "data": {"resource": "gate", "token": "0".repeat(32)}});
    assert_eq!(second.request(guess).await["type"], "lock:denied");
    // The token alone authorises: it comes by another node, from another agent.
    assert_eq!(second.request(release(&held)).await["type"], "lock:released");
    let next = granted(&second.request(acquire("gate", &json!({"ttl_ms": 60_000}))).await);
    assert!(next["fence"].as_u64() > held["fence"].as_u64(), "{held} {next}");
    assert_eq!(first.request(release(&held)).await["type"], "lock:denied", "a token of the past");
    let renewed = json!({"type": "lock:renew", "data": {"resource": "gate", "token": next["token"]}});
    assert_eq!(granted(&second.request(renewed).await)["fence"], next["fence"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_gets_the_first_grant_and_a_lock_outlives_its_socket() {
    let cluster = TestCluster::start(2).await;
    let mut driver = cluster.nodes[0].client("driver:1").await;
    let ask = acquire("gate", &json!({"request_id": "r 1", "ttl_ms": 60_000}));
    let first = granted(&driver.request(ask.clone()).await);
    driver.close().await;
    let mut driver = cluster.nodes[1].client("driver:1").await;
    let again = granted(&driver.request(ask.clone()).await);
    assert_eq!((&again["token"], &again["fence"]), (&first["token"], &first["fence"]));
    let mut other = cluster.nodes[1].client("driver:2").await;
    assert_eq!(other.request(ask).await["type"], "lock:denied", "request ids belong to their subject");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_in_line_is_not_held_up_otherwise() {
    let cluster = TestCluster::start(2).await;
    let mut holder = cluster.nodes[0].client("driver:1").await;
    let mut waiter = cluster.nodes[1].client("driver:2").await;
    let held = granted(&holder.request(acquire("gate", &json!({"ttl_ms": 60_000}))).await);
    let mut ask = acquire("gate", &json!({"wait_ms": 30_000}));
    ask["correlationId"] = json!("in line");
    waiter.send(ask.clone()).await;
    waiter.expect_nothing().await;
    for number in 1..16 {
        ask["correlationId"] = json!(number.to_string());
        waiter.send(ask.clone()).await;
    }
    let one_too_many = waiter.request(acquire("gate", &json!({"wait_ms": 30_000}))).await;
    assert_eq!(one_too_many["data"]["code"], "rate_limited", "{one_too_many}");
    assert_eq!(holder.request(release(&held)).await["type"], "lock:released");
    let granted = waiter.next().await;
    assert_eq!((&granted["type"], &granted["correlationId"]), (&json!("lock:granted"), &json!("in line")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_is_served_in_the_order_of_arrival_across_nodes() {
    let cluster = TestCluster::start(3).await;
    let mut holder = cluster.nodes[0].client("driver:0").await;
    let held = granted(&holder.request(acquire("gate", &json!({"ttl_ms": 60_000}))).await);
    let gate = Resource::try_new("gate").unwrap();
    let mut waiters: Vec<Client> = Vec::new();
    for number in 1..=6 {
        let mut waiter = cluster.nodes[number % 3].client(&format!("driver:{number}")).await;
        waiter.send(acquire("gate", &json!({"wait_ms": 30_000, "ttl_ms": 60_000}))).await;
        // Its place in line is taken before the next one comes.
        let node = &cluster.nodes[0].node;
        let in_line = || async {
            let held = node.cluster.locks.inspect(&Tenant::try_new("default").unwrap(), &gate).await;
            held.unwrap().is_some_and(|held| held.waiters == number as u64)
        };
        eventually("it stands in line", PATIENCE, in_line).await;
        waiters.push(waiter);
    }
    assert_eq!(holder.request(release(&held)).await["type"], "lock:released");
    let mut fence = held["fence"].as_u64();
    for waiter in &mut waiters {
        let next = waiter.expect("lock:granted").await;
        assert!(next["fence"].as_u64() > fence, "{next}");
        fence = next["fence"].as_u64();
        assert_eq!(waiter.request(release(&next)).await["type"], "lock:released");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_t_be_locked_is_told_by_its_field() {
    let cluster = TestCluster::start(1).await;
    let mut driver = cluster.nodes[0].client("driver:1").await;
    let cases = BTreeMap::from([
        ("ttl_ms", acquire("gate", &json!({"ttl_ms": 86_400_000}))),
        ("wait_ms", acquire("gate", &json!({"wait_ms": 86_400_000}))),
        ("resource", acquire(&"x".repeat(10_240), &json!({}))),
        ("request_id", acquire("gate", &json!({"request_id": ""}))),
        ("token", json!({"type": "lock:release", "data": {"resource": "gate"}})),
    ]);
    for (field, ask) in cases {
        let refused = driver.request(ask).await;
        assert_eq!(refused["type"], "system:error");
        let data = &refused["data"];
        assert_eq!(
            (&data["code"], &data["details"]["field"]),
            (&json!("invalid_data"), &json!(field)),
            "{data}"
        );
    }
    granted(&driver.request(acquire("gate", &json!({}))).await);
}
