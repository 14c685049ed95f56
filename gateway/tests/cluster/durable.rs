//! Durable messages: stored before they are acknowledged, delivered in order to every node, stored once.

use serde_json::{Value, json};
use signalbox_testkit::{Forwarder, RedisServer};

use crate::client::{Client, PATIENCE};
use crate::fixture::{TestCluster, TestNode, config};
use crate::http::call;

/// Sends a durable event under an id; the answer.
pub(crate) async fn order(client: &mut Client, id: &str, target: Value, data: Value) -> Value {
    client.request(json!({"type": "order:new", "id": id, "target": target, "data": data})).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_durable_message_is_acknowledged_with_its_place_and_reaches_three_nodes_in_order() {
    let cluster = TestCluster::start(3).await;
    let mut followers = Vec::new();
    for (place, node) in cluster.nodes.iter().enumerate() {
        let mut follower = node.client(&format!("dashboard:D{place}")).await;
        follower.subscribe(&["order:1"]).await;
        followers.push(follower);
    }
    let mut sender = cluster.nodes[0].client("user:U").await;
    for number in 1..=100_u64 {
        let ack = order(&mut sender, &format!("m{number}"), json!("order:1"), json!(number)).await;
        assert_eq!(ack["type"], "system:ack", "{ack}");
        assert_eq!(ack["data"]["id"], format!("m{number}"));
        assert_eq!(ack["data"]["positions"]["order:1"]["offset"], number, "{ack}");
    }
    for follower in &mut followers {
        for number in 1..=100_u64 {
            let message = follower.next().await;
            assert_eq!((&message["data"], &message["offset"]), (&json!(number), &json!(number)), "{message}");
            assert_eq!(message["topic"], "order:1");
            assert_eq!(message["source"], "user:U");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_durable_message_is_echoed_to_its_sender_and_acknowledged_unasked() {
    let node = TestNode::start(&config(None)).await;
    let mut sender = node.client("user:U").await;
    sender.subscribe(&["order:1"]).await;
    sender.send(json!({"type": "order:new", "id": "m1", "target": "order:1", "data": 1})).await;
    let mut both = [sender.next().await, sender.next().await];
    both.sort_by_key(|message| message["type"].to_string());
    assert_eq!((&both[0]["type"], &both[0]["offset"]), (&json!("order:new"), &json!(1)), "{both:?}");
    assert_eq!((&both[1]["type"], &both[1]["correlationId"]), (&json!("system:ack"), &json!("m1")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_sent_again_is_stored_and_delivered_once() {
    let cluster = TestCluster::start(2).await;
    let mut follower = cluster.nodes[1].client("dashboard:D").await;
    follower.subscribe(&["order:1"]).await;
    let mut sender = cluster.nodes[0].client("user:U").await;
    let first = order(&mut sender, "m1", json!("order:1"), json!(1)).await;
    let mut elsewhere = cluster.nodes[1].client("user:U").await;
    let again = order(&mut elsewhere, "m1", json!("order:1"), json!(1)).await;
    assert_eq!(again["data"], first["data"]);
    order(&mut sender, "m2", json!("order:1"), json!(2)).await;
    assert_eq!(follower.expect("order:new").await, 1);
    assert_eq!(follower.expect("order:new").await, 2);
    follower.expect_nothing().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_to_several_topics_has_a_place_in_each() {
    let cluster = TestCluster::start(2).await;
    let mut follower = cluster.nodes[1].client("driver:D").await;
    follower.subscribe(&["order:1"]).await;
    let mut sender = cluster.nodes[0].client("user:U").await;
    order(&mut sender, "m0", json!("order:2"), json!(0)).await;
    let targets = json!(["order:1", "order:2", "driver:D"]);
    let ack = order(&mut sender, "m1", targets.clone(), json!(1)).await;
    let offsets = ["order:1", "order:2", "driver:D"].map(|topic| &ack["data"]["positions"][topic]["offset"]);
    assert_eq!(offsets, [1, 2, 1].map(|offset| json!(offset)).each_ref(), "{ack}");
    let mut topics = [follower.next().await, follower.next().await].map(|message| message["topic"].clone());
    topics.sort_by_key(Value::to_string);
    assert_eq!(topics, ["driver:D", "order:1"]);
    let again = order(&mut sender, "m1", targets, json!(1)).await;
    assert_eq!(again["data"], ack["data"]);
    follower.expect_nothing().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_to_somebody_who_is_away_is_stored_all_the_same() {
    let cluster = TestCluster::start(1).await;
    let mut sender = cluster.nodes[0].client("user:U").await;
    let ack = order(&mut sender, "m1", json!("driver:away"), json!(1)).await;
    assert_eq!(ack["data"]["positions"]["driver:away"]["offset"], 1, "{ack}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_connections_on_two_nodes_get_what_is_sent_to_their_agent_in_one_order() {
    let cluster = TestCluster::start(2).await;
    let mut both = Vec::new();
    for node in &cluster.nodes {
        both.push(node.client("driver:D").await);
    }
    let mut senders = Vec::new();
    for (place, node) in cluster.nodes.iter().enumerate() {
        senders.push(node.client(&format!("user:U{place}")).await);
    }
    for number in 0..40_usize {
        let id = format!("m{number}");
        senders[number % 2]
            .send(json!({"type": "order:new", "id": id, "target": "driver:D", "data": number}))
            .await;
    }
    let mut told: Vec<Vec<Value>> = Vec::new();
    for connection in &mut both {
        let mut ids = Vec::new();
        for offset in 1..=40_u64 {
            let message = connection.next().await;
            assert_eq!(message["offset"], offset, "{message}");
            ids.push(message["id"].clone());
        }
        told.push(ids);
    }
    assert_eq!(told[0], told[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_over_http_is_stored_and_its_places_are_told() {
    let cluster = TestCluster::start(2).await;
    let mut follower = cluster.nodes[1].client("dashboard:D").await;
    follower.subscribe(&["order:1"]).await;
    let messages = json!([
        {"type": "order:new", "target": "order:1", "data": 1},
        {"type": "test:plain", "target": "order:1", "data": 2},
        {"type": "order:new", "target": "order:1", "data": 3},
    ]);
    let (status, answer) =
        call(cluster.nodes[0].address, "POST", "/api/publish", &messages.to_string()).await;
    let answer: Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, &answer["accepted"]), (200, &json!(3)), "{answer}");
    assert_eq!(answer["positions"]["order:1"]["offset"], 2);
    let mut numbers = Vec::new();
    for _ in 0..3 {
        numbers.push(follower.next().await["data"].as_u64().unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_a_durable_message_is_refused_as_retryable() {
    let mut cluster = TestCluster::start_single(1).await;
    let mut sender = cluster.nodes[0].client("user:U").await;
    cluster.redis.only().kill();
    for number in 0..3 {
        let answer = order(&mut sender, &format!("m{number}"), json!("order:1"), json!(1)).await;
        assert_eq!(answer["type"], "system:error", "{answer}");
        assert_eq!(answer["data"]["retryable"], true, "{answer}");
    }
}

/// Sends the same message until it is acknowledged; what else was answered is a fault that allows for that.
pub(crate) async fn order_until_stored(client: &mut Client, id: &str) -> Value {
    let asked = tokio::time::Instant::now();
    loop {
        let answer = order(client, id, json!("order:1"), json!(id)).await;
        if answer["type"] == "system:ack" {
            return answer["data"].clone();
        }
        assert_eq!(answer["data"]["retryable"], true, "{answer}");
        assert!(asked.elapsed() < PATIENCE, "{id} was never stored");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_whose_answer_was_lost_is_of_unknown_outcome_and_the_retry_gets_its_place() {
    let redis = RedisServer::start().await;
    let path = Forwarder::start(redis.port()).await;
    let far = TestNode::start(&config(Some(&path.url()))).await;
    let near = TestNode::start(&config(Some(&redis.url()))).await;
    let mut follower = near.client("dashboard:D").await;
    follower.subscribe(&["order:1"]).await;
    let mut sender = far.client("user:U").await;
    order_until_stored(&mut sender, "m1").await;
    path.withhold_answers();
    let answer = order(&mut sender, "m2", json!("order:1"), json!("m2")).await;
    assert_eq!(
        (&answer["type"], &answer["data"]["code"], &answer["data"]["retryable"]),
        (&json!("system:error"), &json!("outcome_unknown"), &json!(true)),
        "{answer}"
    );
    // It is stored all the same, and whoever follows has it.
    assert_eq!([follower.expect("order:new").await, follower.expect("order:new").await], ["m1", "m2"]);
    path.heal();
    let ack = order_until_stored(&mut sender, "m2").await;
    assert_eq!((&ack["id"], &ack["positions"]["order:1"]["offset"]), (&json!("m2"), &json!(2)), "{ack}");
    let ack = order_until_stored(&mut sender, "m3").await;
    assert_eq!(ack["positions"]["order:1"]["offset"], 3, "{ack}");
    assert_eq!(follower.expect("order:new").await, "m3", "the retry was not stored again");
    follower.expect_nothing().await;
}
