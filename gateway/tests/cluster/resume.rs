//! Nothing acknowledged is lost: gaps are filled from the log, clients go on where they were, and what is gone is told.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use serde_json::{Value, json};
use signalbox_protocol::{Agent, Tenant, Topic};
use signalbox_registry::log::{Audience, Entry};
use signalbox_testkit::{Forwarder, RedisServer, eventually};
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::client::Client;
use crate::fixture::{READY, TestCluster, TestNode, config};
use crate::process::NodeProcess;

/// Stores a message and tells nobody: what is left when a PUBLISH is lost.
async fn store_untold(node: &TestNode, topic: &str, number: u64) {
    let topic = Topic::try_new(topic).unwrap();
    // The wrong audience for the topic is one that nobody listens to.
    let is_point = node.node.vocabulary.is_point_kind(topic.kind());
    let audience = if is_point { Audience::Followers } else { Audience::Holders };
    let id = format!("untold-{number}");
    let body = json!({"id": id, "type": "order:new", "source": "user:U", "data": number}).to_string();
    let entry = Entry {
        tenant: Tenant::try_new("default").unwrap(),
        topic,
        audience,
        source: Agent::of("user", "U").unwrap(),
        id,
        body: Bytes::from(body),
    };
    node.node.cluster.log.append(&entry).await.unwrap();
}

async fn store(sender: &mut Client, topic: &str, number: u64) {
    let ack = sender.request(json!({"type": "order:new", "target": topic, "data": number})).await;
    assert_eq!(ack["type"], "system:ack", "{ack}");
}

/// The next messages have these numbers, as data and as offset.
async fn expect_numbers(follower: &mut Client, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        let message = follower.next().await;
        assert_eq!((&message["data"], &message["offset"]), (&json!(number), &json!(number)), "{message}");
    }
}

/// Where an acknowledged subscription begins.
async fn subscribe(client: &mut Client, topic: &str) -> Value {
    let ack = client.request(json!({"type": "system:subscribe", "data": {"topics": [topic]}})).await;
    assert_eq!(ack["type"], "system:ack", "{ack}");
    ack["data"]["topics"][topic].clone()
}

async fn resume(client: &mut Client, topic: &str, position: &Value) -> Value {
    let resumed =
        client.request(json!({"type": "system:resume", "data": {"positions": {topic: position}}})).await;
    assert_eq!(resumed["type"], "system:resumed", "{resumed}");
    resumed["data"]["topics"][topic].clone()
}

/// A node unasked says that messages of the topic may be missing.
async fn expect_break(client: &mut Client, topic: &str, reason: &str) -> Value {
    loop {
        let message = client.next().await;
        assert_eq!((&message["type"], &message["correlationId"]), (&json!("system:resumed"), &Value::Null));
        let told = &message["data"]["topics"][topic];
        if !told.is_null() {
            assert_eq!((&told["recovered"], &told["reason"]), (&json!(false), &json!(reason)), "{message}");
            return told.clone();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_was_not_told_is_read_from_the_log_before_the_next_one() {
    let cluster = TestCluster::start(2).await;
    let mut follower = cluster.nodes[1].client("driver:D").await;
    follower.subscribe(&["order:1"]).await;
    let mut sender = cluster.nodes[0].client("user:U").await;
    for topic in ["order:1", "driver:D"] {
        store(&mut sender, topic, 1).await;
        store_untold(&cluster.nodes[0], topic, 2).await;
        store_untold(&cluster.nodes[0], topic, 3).await;
        store(&mut sender, topic, 4).await;
        expect_numbers(&mut follower, 1..=4).await;
    }
    let repairs = &cluster.nodes[1].node.metrics.log.repairs;
    assert!(repairs.with_label_values(&["filled"]).get() >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_message_is_found_by_the_check_and_so_is_the_only_one() {
    let mut config = config(None);
    config.durable.check_interval = Duration::from_millis(200);
    let cluster = TestCluster::start_with(2, config).await;
    let mut follower = cluster.nodes[1].client("driver:D").await;
    follower.subscribe(&["order:1", "order:2"]).await;
    let mut sender = cluster.nodes[0].client("user:U").await;
    store(&mut sender, "order:1", 1).await;
    store_untold(&cluster.nodes[0], "order:1", 2).await;
    expect_numbers(&mut follower, 1..=2).await;
    store_untold(&cluster.nodes[0], "order:2", 1).await;
    expect_numbers(&mut follower, 1..=1).await;
    store(&mut sender, "driver:D", 1).await;
    store_untold(&cluster.nodes[0], "driver:D", 2).await;
    expect_numbers(&mut follower, 1..=2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_that_was_cut_off_is_repaired_at_once() {
    let cluster = TestCluster::start(2).await;
    let mut follower = cluster.nodes[1].client("driver:D").await;
    follower.subscribe(&["order:1"]).await;
    store_untold(&cluster.nodes[0], "order:1", 1).await;
    store_untold(&cluster.nodes[0], "driver:D", 1).await;
    // The check of every ten seconds is not due within what a client is waited for.
    cluster.redis.cli_everywhere(&["client", "kill", "type", "pubsub"]);
    let mut topics = [follower.next().await, follower.next().await].map(|message| message["topic"].clone());
    topics.sort_by_key(Value::to_string);
    assert_eq!(topics, ["driver:D", "order:1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_fell_silent_is_found_by_its_late_probe_and_what_it_missed_is_read() {
    let redis = RedisServer::start().await;
    let path = Forwarder::start(redis.port()).await;
    let mut distant = config(Some(&path.url()));
    // No check finds it in the time of this test.
    distant.durable.check_interval = Duration::from_secs(3_600);
    let (far, near) = (TestNode::start(&distant).await, TestNode::start(&config(Some(&redis.url()))).await);
    let mut follower = far.client("driver:D").await;
    follower.subscribe(&["order:1"]).await;
    let mut sender = near.client("user:U").await;
    store(&mut sender, "order:1", 1).await;
    expect_numbers(&mut follower, 1..=1).await;
    // The one that a node begins with could find it as well.
    let checks = &far.node.metrics.log.checks;
    let checked = || async { checks.with_label_values(&["done"]).get() > 0 };
    eventually("the first check is done", READY, checked).await;
    let reconnects = far.node.cluster.bus.counters().reconnects;
    // Nothing is closed: only the probe tells that nothing comes any more.
    path.freeze();
    store(&mut sender, "order:1", 2).await;
    expect_numbers(&mut follower, 2..=2).await;
    assert_eq!(far.node.cluster.bus.counters().reconnects, reconnects + 1);
    store(&mut sender, "order:1", 3).await;
    expect_numbers(&mut follower, 3..=3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_became_too_old_is_declared_as_expired_to_who_resumes() {
    let mut config = config(None);
    config.durable.age = Duration::from_secs(1);
    let cluster = TestCluster::start_with(2, config).await;
    let mut follower = cluster.nodes[1].client("dashboard:D").await;
    let start = subscribe(&mut follower, "order:1").await;
    let mut sender = cluster.nodes[0].client("user:U").await;
    for number in 1..=3 {
        store(&mut sender, "order:1", number).await;
    }
    expect_numbers(&mut follower, 1..=3).await;
    follower.close().await;
    let resumed = |position: Value| {
        let address = cluster.nodes[0].address;
        async move {
            let mut late = Client::connect_as(address, "dashboard:D", "&resume=1").await;
            resume(&mut late, "order:1", &position).await
        }
    };
    let expired = || async { resumed(start.clone()).await["reason"] == "expired" };
    eventually("the messages are too old", Duration::from_secs(10), expired).await;
    let told = resumed(start.clone()).await;
    assert_eq!(
        (&told["recovered"], &told["offset"], &told["replayed"]),
        (&json!(false), &json!(3), &json!(0))
    );
    // Whoever has had them misses nothing.
    let mut again = cluster.nodes[1].client("dashboard:D").await;
    let told = resume(&mut again, "order:1", &json!({"epoch": told["epoch"], "offset": 3})).await;
    assert_eq!((&told["recovered"], &told["reason"]), (&json!(true), &Value::Null));
    store(&mut sender, "order:1", 4).await;
    expect_numbers(&mut again, 4..=4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_a_killed_node_goes_on_at_another_with_nothing_missing_and_nothing_twice() {
    let redis = RedisServer::start().await;
    let mut doomed = NodeProcess::start(&redis.url()).await;
    let survivor = NodeProcess::start(&redis.url()).await;
    let mut follower = doomed.client("driver:D").await;
    let start = subscribe(&mut follower, "order:1").await;
    let own = follower.welcome["positions"]["driver:D"].clone();
    assert_eq!((&start["offset"], &own["offset"]), (&json!(0), &json!(0)));
    let mut sender = survivor.client("user:U").await;
    store(&mut sender, "order:1", 1).await;
    store(&mut sender, "order:1", 2).await;
    store(&mut sender, "driver:D", 1).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(follower.next().await["topic"].clone());
    }
    doomed.kill();
    for number in 3..=200 {
        store(&mut sender, "order:1", number).await;
    }
    store(&mut sender, "driver:D", 2).await;
    let mut follower = Client::connect_as(survivor.address, "driver:D", "&resume=1").await;
    assert_eq!(follower.welcome["positions"]["driver:D"]["offset"], 2);
    let positions = json!({
        "order:1": {"epoch": start["epoch"], "offset": 2},
        "driver:D": {"epoch": own["epoch"], "offset": 1},
    });
    let resumed = follower.request(json!({"type": "system:resume", "data": {"positions": positions}})).await;
    let told = &resumed["data"]["topics"];
    assert_eq!((&told["order:1"]["recovered"], &told["order:1"]["replayed"]), (&json!(true), &json!(198)));
    assert_eq!((&told["driver:D"]["recovered"], &told["driver:D"]["replayed"]), (&json!(true), &json!(1)));
    store(&mut sender, "order:1", 201).await;
    let (mut orders, mut drivers) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        let message = follower.next().await;
        let of_topic = if message["topic"] == "order:1" { &mut orders } else { &mut drivers };
        of_topic.push(message["offset"].as_u64().unwrap());
    }
    assert_eq!((orders, drivers), ((3..=201).collect(), vec![2]));
    follower.expect_nothing().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_wants_to_resume_gets_nothing_stored_before() {
    let cluster = TestCluster::start(2).await;
    let mut sender = cluster.nodes[1].client("user:U").await;
    store(&mut sender, "driver:D", 1).await;
    let mut driver = Client::connect_as(cluster.nodes[0].address, "driver:D", "&resume=1").await;
    let position = driver.welcome["positions"]["driver:D"].clone();
    assert_eq!(position["offset"], 1);
    store(&mut sender, "driver:D", 2).await;
    driver.expect_nothing().await;
    let before = json!({"epoch": position["epoch"], "offset": 0});
    let told = resume(&mut driver, "driver:D", &before).await;
    assert_eq!((&told["recovered"], &told["replayed"]), (&json!(true), &json!(2)));
    expect_numbers(&mut driver, 1..=2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_longer_kept_is_declared_to_who_resumes_and_to_who_is_connected() {
    let mut config = config(None);
    config.durable.messages_max = 5;
    let cluster = TestCluster::start_with(2, config).await;
    let mut follower = cluster.nodes[1].client("dashboard:D").await;
    let start = subscribe(&mut follower, "order:1").await;
    let mut sender = cluster.nodes[0].client("user:U").await;
    for number in 1..=10 {
        store_untold(&cluster.nodes[0], "order:1", number).await;
    }
    store(&mut sender, "order:1", 11).await;
    assert_eq!(expect_break(&mut follower, "order:1", "trimmed").await["offset"], 11);
    store(&mut sender, "order:1", 12).await;
    expect_numbers(&mut follower, 12..=12).await;
    let mut late = cluster.nodes[0].client("dashboard:E").await;
    let told = resume(&mut late, "order:1", &start).await;
    assert_eq!(
        (&told["recovered"], &told["reason"], &told["offset"]),
        (&json!(false), &json!("trimmed"), &json!(12))
    );
    store(&mut sender, "order:1", 13).await;
    expect_numbers(&mut late, 13..=13).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_announced_of_a_pool_is_replayed_in_order_to_who_was_away() {
    let cluster = TestCluster::start(2).await;
    let mut follower = cluster.nodes[1].client("dashboard:D").await;
    let start = subscribe(&mut follower, "route:1").await;
    let mut api = Api::of(cluster.nodes[0].address);
    let waiting =
        |id: &str| json!({"passenger_id": id, "pool": "route:1", "position": {"lat": 13.1, "lon": -59.6}});
    api.post("/api/passengers", waiting("COM_1")).await.expect(201);
    let heard = follower.next().await;
    assert_eq!((&heard["type"], &heard["offset"]), (&json!("commuter:spawned"), &json!(1)), "{heard}");
    follower.close().await;

    api.put("/api/vehicles/V1", json!({"capacity": 4})).await.expect(200);
    let mut vehicle = cluster.nodes[0].client("vehicle:V1").await;
    let boarded =
        vehicle.request(json!({"type": "boarding:request", "data": {"passenger_id": "COM_1"}})).await["data"]
            .clone();
    let off = json!({"passenger_id": "COM_1", "fence": boarded["fence"]});
    let alighted = vehicle.request(json!({"type": "boarding:alight", "data": off})).await;
    assert_eq!(alighted["type"], "boarding:alighted", "{alighted}");
    api.post("/api/passengers", waiting("COM_2")).await.expect(201);
    api.delete("/api/passengers/COM_2").await;

    let mut follower = Client::connect_as(cluster.nodes[0].address, "dashboard:D", "&resume=1").await;
    let position = json!({"epoch": start["epoch"], "offset": 1});
    let told = resume(&mut follower, "route:1", &position).await;
    assert_eq!((&told["recovered"], &told["replayed"]), (&json!(true), &json!(4)), "{told}");
    let changes = [
        ("commuter:picked_up", "COM_1"),
        ("commuter:dropped_off", "COM_1"),
        ("commuter:spawned", "COM_2"),
        ("commuter:cancelled", "COM_2"),
    ];
    for (offset, (change, passenger)) in (2..).zip(changes) {
        let message = follower.next().await;
        assert_eq!((&message["type"], &message["offset"]), (&json!(change), &json!(offset)), "{message}");
        assert_eq!(
            (&message["topic"], &message["data"]["passenger_id"]),
            (&json!("route:1"), &json!(passenger))
        );
        if change == "commuter:picked_up" {
            assert_eq!(
                (&message["data"]["vehicle_id"], &message["data"]["fence"]),
                (&json!("V1"), &boarded["fence"])
            );
        }
    }
    api.post("/api/passengers", waiting("COM_3")).await.expect(201);
    assert_eq!(follower.next().await["offset"], 6, "and live from there");
    follower.expect_nothing().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_lost_everything_is_declared_to_who_is_connected_and_to_who_resumes() {
    let mut config = config(None);
    config.durable.check_interval = Duration::from_millis(200);
    let cluster = TestCluster::start_with(2, config).await;
    let mut follower = cluster.nodes[1].client("driver:D").await;
    let silent = subscribe(&mut follower, "order:2").await;
    let start = subscribe(&mut follower, "order:1").await;
    let mut sender = cluster.nodes[0].client("user:U").await;
    store(&mut sender, "order:1", 1).await;
    expect_numbers(&mut follower, 1..=1).await;
    cluster.redis.cli_everywhere(&["flushall"]);
    let mut told = Vec::new();
    while told.len() < 5 {
        let message = follower.next().await;
        assert_eq!((&message["type"], &message["correlationId"]), (&json!("system:resumed"), &Value::Null));
        for (topic, told_of) in message["data"]["topics"].as_object().unwrap() {
            assert_eq!(
                (&told_of["recovered"], &told_of["reason"]),
                (&json!(false), &json!("epoch")),
                "{topic}"
            );
            told.push(topic.clone());
        }
    }
    told.sort_unstable();
    told.retain(|topic| !topic.starts_with("session:"));
    assert_eq!(told, ["agent_type:driver", "driver:D", "order:1", "order:2"]);
    for (topic, position) in [("order:1", start), ("order:2", silent)] {
        let mut late = cluster.nodes[0].client("guest:G").await;
        let told = resume(&mut late, topic, &position).await;
        assert_eq!((&told["recovered"], &told["reason"]), (&json!(false), &json!("epoch")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_message_after_joining_has_the_next_offset_whoever_publishes_meanwhile() {
    let cluster = TestCluster::start(2).await;
    let stop = CancellationToken::new();
    let mut senders = Vec::new();
    for (place, node) in cluster.nodes.iter().enumerate() {
        let (mut sender, stop) = (node.client(&format!("user:U{place}")).await, stop.clone());
        senders.push(node.node.tasks.spawn(async move {
            let mut number = 0;
            while !stop.is_cancelled() {
                number += 1;
                store(&mut sender, "order:1", number).await;
            }
        }));
    }
    let joins = (0..2).map(|place| {
        let node = &cluster.nodes[place];
        async move {
            for round in 0..20 {
                let mut follower = node.client(&format!("dashboard:D{place}-{round}")).await;
                let ack = subscribe(&mut follower, "order:1").await;
                for number in 1..=5 {
                    let message = follower.next().await;
                    assert_eq!(
                        message["offset"],
                        ack["offset"].as_u64().unwrap() + number,
                        "{ack} {message}"
                    );
                }
            }
        }
    });
    join_all(joins).await;
    stop.cancel();
    for sender in senders {
        sender.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_is_too_slow_is_closed_with_4413_and_resumes_without_a_loss() {
    const MESSAGES: u64 = 80;
    let mut config = config(None);
    config.durable.bytes_max = 64 << 20;
    config.outbox.bytes_max = 256 << 10;
    let cluster = TestCluster::start_with(2, config).await;
    let mut follower = cluster.nodes[1].client("dashboard:D").await;
    let start = subscribe(&mut follower, "order:1").await;
    let mut sender = cluster.nodes[0].client("user:U").await;
    let padding = "x".repeat(200_000);
    for number in 1..=MESSAGES {
        let data = json!({"number": number, "padding": padding});
        let ack = sender.request(json!({"type": "order:new", "target": "order:1", "data": data})).await;
        assert_eq!(ack["type"], "system:ack", "{ack}");
    }
    assert_eq!(cluster.nodes[1].node.metrics.log.slow_consumers.get(), 1);
    // It may have been deaf for longer than `close.timeout`: then it is cut off without a word. Whoever reads again in time
    // is told, see `ws::socket::tests`.
    assert!(matches!(follower.close_code().await, Some(4413) | None));
    let mut again = cluster.nodes[0].client("dashboard:D").await;
    let told = resume(&mut again, "order:1", &start).await;
    assert_eq!((&told["recovered"], &told["replayed"]), (&json!(true), &json!(MESSAGES)));
    for number in 1..=MESSAGES {
        assert_eq!(again.next().await["data"]["number"], number);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_alone_resumes_from_memory() {
    let node = TestNode::start(&config(None)).await;
    let mut follower = node.client("dashboard:D").await;
    let start = subscribe(&mut follower, "order:1").await;
    let mut sender = node.client("user:U").await;
    for number in 1..=3 {
        store(&mut sender, "order:1", number).await;
    }
    expect_numbers(&mut follower, 1..=3).await;
    store_untold(&node, "order:1", 4).await;
    store(&mut sender, "order:1", 5).await;
    expect_numbers(&mut follower, 4..=5).await;
    let mut again = node.client("dashboard:E").await;
    let told = resume(&mut again, "order:1", &start).await;
    assert_eq!((&told["recovered"], &told["replayed"]), (&json!(true), &json!(5)));
    expect_numbers(&mut again, 1..=5).await;
    let foreign = json!({"epoch": "0", "offset": 0});
    assert_eq!(resume(&mut again, "order:1", &foreign).await["reason"], "epoch");
}
