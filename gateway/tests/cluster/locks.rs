//! Locks over HTTP: who has them, who waits, and what is refused.

use std::time::Duration;

use serde_json::{Value, json};
use signalbox_testkit::eventually;

use crate::api::{Answer, Api};
use crate::client::PATIENCE;
use crate::fixture::{TestCluster, TestNode, config};

const BAY: &str = "/api/locks/bay-4";

async fn with_token(api: &mut Api, method: &str, token: &str, body: &str) -> Answer {
    api.call(method, BAY, &[("X-Lock-Token", token)], body).await
}

async fn look(api: &mut Api) -> Value {
    api.get(BAY).await.expect(200)
}

async fn life_of_a_lock(mut api: Api) {
    let free = json!({"resource": "bay-4", "held": false, "owner": null, "fence": null, "ttl_ms": null, "waiters": 0});
    assert_eq!(look(&mut api).await, free);
    let asked = json!({"ttl_ms": 60_000, "owner": "vehicle:V1", "request_id": "r"});
    let granted = api.post(BAY, asked.clone()).await.expect(201);
    assert_eq!((&granted["resource"], &granted["ttl_ms"]), (&json!("bay-4"), &json!(60_000)));
    let again = api.post(BAY, asked).await.expect(201);
    assert_eq!((&again["token"], &again["fence"]), (&granted["token"], &granted["fence"]), "a retry");
    let held = look(&mut api).await;
    assert_eq!((&held["held"], &held["owner"]), (&json!(true), &json!("vehicle:V1")));
    assert!(!held.to_string().contains(granted["token"].as_str().unwrap()));
    let denied = api.call("POST", BAY, &[], "").await.expect(409);
    assert_eq!((&denied["code"], &denied["details"]["held_by"]), (&json!("conflict"), &json!("vehicle:V1")));
    assert!(denied["details"]["retry_after_ms"].as_u64().is_some_and(|ms| ms <= 60_000), "{denied}");

    let token = granted["token"].as_str().unwrap().to_owned();
    for guess in [&"0".repeat(32), "x", &token[1..]] {
        for (method, body) in [("PATCH", "{}"), ("DELETE", "")] {
            let refused = with_token(&mut api, method, guess, body).await.expect(409);
            assert_eq!(refused["details"]["held_by"], "vehicle:V1", "{method} {guess}");
        }
    }
    let renewed = with_token(&mut api, "PATCH", &token, r#"{"ttl_ms": 90000}"#).await.expect(200);
    assert_eq!((&renewed["fence"], &renewed["ttl_ms"]), (&granted["fence"], &json!(90_000)));
    assert_eq!(with_token(&mut api, "PATCH", &token, "").await.expect(200)["ttl_ms"], 90_000);
    with_token(&mut api, "DELETE", &token, "").await.expect(204);
    with_token(&mut api, "DELETE", &token, "").await.expect(409);
    assert_eq!(look(&mut api).await["held"], false);
    let next = api.post(BAY, json!({})).await.expect(201);
    assert!(next["fence"].as_u64() > granted["fence"].as_u64());
    assert_eq!(look(&mut api).await["owner"], "service:api");
    api.conforms().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_lives_from_acquiring_to_release_in_memory() {
    let node = TestNode::start(&config(None)).await;
    life_of_a_lock(Api::of(node.address)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_lives_from_acquiring_to_release_over_redis() {
    let cluster = TestCluster::start(1).await;
    life_of_a_lock(Api::of(cluster.nodes[0].address)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_on_another_node_gets_the_lock_when_it_is_released() {
    let cluster = TestCluster::start(2).await;
    let (mut near, mut far) = (Api::of(cluster.nodes[0].address), Api::of(cluster.nodes[1].address));
    let first = near.post(BAY, json!({"ttl_ms": 60_000})).await.expect(201);
    let waiting =
        async { far.post(BAY, json!({"wait_ms": 30_000, "owner": "vehicle:V2"})).await.expect(201) };
    let releasing = async {
        eventually("somebody waits", PATIENCE, async || {
            Api::of(cluster.nodes[0].address).get(BAY).await.body["waiters"] == 1
        })
        .await;
        with_token(&mut near, "DELETE", first["token"].as_str().unwrap(), "").await.expect(204);
    };
    let (second, ()) = tokio::join!(waiting, releasing);
    assert!(second["fence"].as_u64() > first["fence"].as_u64());
    assert_eq!(look(&mut near).await["owner"], "vehicle:V2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standing_in_line_may_take_longer_than_other_requests() {
    let mut config = config(None);
    config.handshake.timeout = Duration::from_millis(500);
    let node = TestNode::start(&config).await;
    let mut api = Api::of(node.address);
    api.post(BAY, json!({"ttl_ms": 60_000})).await.expect(201);
    let denied = api.post(BAY, json!({"wait_ms": 1_500})).await.expect(409);
    assert_eq!(denied["details"]["held_by"], "service:api");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_t_be_is_refused_by_its_field_and_changes_nothing() {
    let node = TestNode::start(&config(None)).await;
    let mut api = Api::of(node.address);
    let long = format!("/api/locks/{}", "x".repeat(10_000));
    for (path, body, status, field) in [
        (BAY, "{", 400, json!(null)),
        (BAY, "[]", 422, json!("body")),
        (BAY, r#"{"ttl_ms": 86400000}"#, 422, json!("ttl_ms")),
        (BAY, r#"{"ttl_ms": 1}"#, 422, json!("ttl_ms")),
        (BAY, r#"{"ttl_ms": -5}"#, 422, json!("ttl_ms")),
        (BAY, r#"{"ttl_ms": "5"}"#, 422, json!("ttl_ms")),
        (BAY, r#"{"wait_ms": 60001}"#, 422, json!("wait_ms")),
        (BAY, r#"{"request_id": ""}"#, 422, json!("request_id")),
        (BAY, r#"{"owner": "nobody"}"#, 422, json!("owner")),
        ("/api/locks/a%20b", "{}", 422, json!("resource")),
        ("/api/locks/%ff", "{}", 422, json!("resource")),
        (&long, "{}", 422, json!("resource")),
    ] {
        let problem = api.call("POST", path, &[], body).await.expect(status);
        assert_eq!(problem["details"]["field"], field, "{body}: {problem}");
    }
    for method in ["PATCH", "DELETE"] {
        let problem = api.call(method, BAY, &[], "").await.expect(422);
        assert_eq!(problem["details"]["field"], "X-Lock-Token");
    }
    let held = json!({"ttl_ms": 60_000});
    let token = api.post(BAY, held).await.expect(201)["token"].as_str().unwrap().to_owned();
    let problem = with_token(&mut api, "PATCH", &token, r#"{"ttl_ms": 86400000}"#).await.expect(422);
    assert_eq!(problem["details"]["field"], "ttl_ms");
    assert_eq!(api.get("/api/locks").await.expect(200)["items"].as_array().unwrap().len(), 1);
    api.conforms().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_pages_together_are_all_locks_and_only_the_tenants_own() {
    let cluster = TestCluster::start(1).await;
    let mut api = Api::of(cluster.nodes[0].address);
    for number in 0..7 {
        api.post(&format!("/api/locks/bay-{number}"), json!({"ttl_ms": 60_000})).await.expect(201);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("/api/locks?limit=2{cursor}")).await.expect(200);
        seen.extend(page["items"].as_array().unwrap().iter().map(|lock| lock["resource"].clone()));
        let Some(next) = page["cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    seen.sort_by_key(ToString::to_string);
    assert_eq!(json!(seen), json!((0..7).map(|number| format!("bay-{number}")).collect::<Vec<_>>()));
    let problem = api.get("/api/locks?cursor=rubbish").await.expect(422);
    assert_eq!(problem["details"]["field"], "cursor");
    assert_eq!(api.get("/api/locks?tenant=other").await.expect(200)["items"], json!([]));
    assert_eq!(api.get("/api/locks/bay-1?tenant=other").await.expect(200)["held"], false);
    api.post("/api/locks/bay-1?tenant=other", json!({})).await.expect(201);
    api.conforms().await;
}
