//! Orders from end to end: one is created, drivers on all nodes see it, one gets it, everybody hears.

use serde_json::{Value, json};
use signalbox_protocol::{Agent, Tenant};
use signalbox_testkit::eventually;

use crate::api::Api;
use crate::client::{Client, PATIENCE};
use crate::fixture::TestCluster;

fn accept(order: &str) -> Value {
    json!({"type": "order:accept", "data": {"order_id": order}})
}

fn view(order: &str, viewing: bool) -> Value {
    json!({"type": "order:view", "data": {"order_id": order, "viewing": viewing}})
}

/// Reads until the answer to the request comes; what came before it.
async fn answer_among(client: &mut Client, correlation_id: &str) -> (Value, Vec<Value>) {
    let mut before = Vec::new();
    loop {
        let message = client.next().await;
        if message["correlationId"] == correlation_id {
            return (message, before);
        }
        before.push(message);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_seen_on_three_nodes_accepted_once_and_everybody_hears() {
    let cluster = TestCluster::start(3).await;
    let mut user = cluster.nodes[0].client("user:1").await;
    user.subscribe(&["order:99"]).await;
    let mut drivers = Vec::new();
    for (number, node) in cluster.nodes.iter().enumerate() {
        drivers.push(node.client(&format!("driver:{number}")).await);
    }
    let created = user.emit("order:new", "agent_type:driver", json!({"order_id": "99"})).await;
    assert_eq!(created["type"], "system:ack");
    for driver in &mut drivers {
        assert_eq!(driver.expect("order:new").await["order_id"], "99");
    }
    // All ask at once, each on a node of its own.
    for (number, driver) in drivers.iter_mut().enumerate() {
        let mut ask = accept("99");
        ask["correlationId"] = json!(format!("accept {number}"));
        driver.send(ask).await;
    }
    let (mut winners, mut heard) = (Vec::new(), Vec::new());
    for (number, driver) in drivers.iter_mut().enumerate() {
        let (answer, before) = answer_among(driver, &format!("accept {number}")).await;
        let mut announced = before;
        while announced.is_empty() {
            announced.push(driver.next().await);
        }
        heard.extend(announced);
        if answer["type"] == "order:accepted" {
            winners.push(answer["data"].clone());
        } else {
            assert_eq!(
                (&answer["type"], &answer["data"]["reason"]),
                (&json!("order:denied"), &json!("accepted"))
            );
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    heard.push(user.next().await);
    assert_eq!(heard.len(), 4);
    for event in heard {
        assert_eq!((&event["type"], &event["correlationId"]), (&json!("order:accepted"), &Value::Null));
        assert_eq!((&event["data"], &event["source"]), (&winners[0], &winners[0]["by"]));
    }
    // The winner's retry gets the same answer, and nobody hears of it again.
    let number: usize = winners[0]["by"].as_str().unwrap().split_once(':').unwrap().1.parse().unwrap();
    assert_eq!(drivers[number].request(accept("99")).await["data"], winners[0]);
    for client in drivers.iter_mut().chain([&mut user]) {
        client.expect_nothing().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_after_the_lock_ended_is_told_who_has_the_order() {
    let cluster = TestCluster::start(2).await;
    let mut first = cluster.nodes[0].client("driver:1").await;
    let mut second = cluster.nodes[1].client("driver:2").await;
    let lock = json!({"type": "lock:acquire", "data": {"resource": "order:7"}});
    assert_eq!(first.request(lock.clone()).await["type"], "lock:granted");
    let locked = second.request(accept("7")).await;
    assert_eq!((&locked["type"], &locked["data"]["reason"]), (&json!("order:denied"), &json!("locked")));
    assert_eq!(locked["data"]["held_by"], "driver:1");
    let mut ask = accept("7");
    ask["correlationId"] = json!("mine");
    first.send(ask).await;
    let (mine, _) = answer_among(&mut first, "mine").await;
    assert_eq!(mine["type"], "order:accepted", "{mine}");
    second.expect("order:accepted").await;
    // The lock lasts 5 s; the second driver comes when it is over.
    let waits = json!({"type": "lock:acquire", "data": {"resource": "order:7", "wait_ms": 20_000}});
    assert_eq!(second.request(waits).await["type"], "lock:granted");
    let late = second.request(accept("7")).await;
    assert_eq!((&late["type"], &late["data"]["reason"]), (&json!("order:denied"), &json!("accepted")));
    assert_eq!(late["data"]["held_by"], "driver:1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_hear_of_each_other_until_their_last_connection_ends() {
    let cluster = TestCluster::start(2).await;
    let mut first = cluster.nodes[0].client("driver:1").await;
    let mut second = cluster.nodes[1].client("driver:2").await;
    let alone = first.request(view("7", true)).await;
    assert_eq!(alone["data"], json!({"order_id": "7", "count": 1, "viewers": ["driver:1"]}));
    let both = second.request(view("7", true)).await;
    assert_eq!((&both["type"], &both["data"]["count"]), (&json!("order:viewers"), &json!(2)));
    assert_eq!(first.expect("order:viewers").await["count"], 2);
    // A second connection of the driver keeps it a viewer; its last one ends that.
    let further = cluster.nodes[0].client("driver:2").await;
    further.close().await;
    // Its row goes a moment later; until then it would be the last.
    let directory = &cluster.nodes[0].node.cluster.directory;
    let (tenant, driver) = (Tenant::try_new("default").unwrap(), Agent::of("driver", "2").unwrap());
    eventually("only the other connection is left", PATIENCE, async || {
        directory.nodes_of(&tenant, driver.topic()).await.unwrap().len() == 1
    })
    .await;
    first.expect_nothing().await;
    second.close().await;
    assert_eq!(first.expect("order:viewers").await["viewers"], json!(["driver:1"]));
    assert_eq!(first.request(view("7", false)).await["data"]["count"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_looks_at_an_order_is_told_over_http_by_any_node() {
    let cluster = TestCluster::start(2).await;
    let mut api = Api::of(cluster.nodes[1].address);
    let path = "/api/orders/99/viewers";
    let nobody = json!({"order_id": "99", "count": 0, "viewers": []});
    assert_eq!(api.get(path).await.expect(200), nobody);
    let mut driver = cluster.nodes[0].client("driver:1").await;
    driver.request(view("99", true)).await;
    let one = json!({"order_id": "99", "count": 1, "viewers": ["driver:1"]});
    assert_eq!(api.get(path).await.expect(200), one);
    assert_eq!(api.get("/api/orders/99/viewers?tenant=other").await.expect(200), nobody);
    api.get("/api/orders/a%20b/viewers").await.expect(404);
    driver.close().await;
    eventually("nobody looks any longer", PATIENCE, async || {
        Api::of(cluster.nodes[1].address).get(path).await.body == nobody
    })
    .await;
    api.conforms().await;
}
