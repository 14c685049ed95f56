//! Locks and boardings that Redis lost: whoever believes in one is told that there is none, and what is made anew is
//! newer than anything from before.

use std::time::Duration;

use serde_json::{Value, json};
use signalbox_testkit::eventually;

use crate::api::Api;
use crate::client::Client;
use crate::fixture::TestCluster;

/// Nodes lose their leases with the rest, and take new ones.
const BACK: Duration = Duration::from_secs(10);

/// What was granted before the loss.
struct Before {
    lock: Value,
    boarding: Value,
}

async fn acquire(client: &mut Client) -> Value {
    let wish = json!({"resource": "gate", "ttl_ms": 600_000});
    let granted = client.request(json!({"type": "lock:acquire", "data": wish})).await;
    assert_eq!(granted["type"], "lock:granted", "{granted}");
    granted["data"].clone()
}

/// A passenger, and a vehicle with one seat.
async fn set_out(api: &mut Api, passenger: &str, vehicle: &str) {
    let waiting =
        json!({"passenger_id": passenger, "pool": "route:1", "position": {"lat": 13.1, "lon": -59.6}});
    api.post("/api/passengers", waiting).await.expect(201);
    api.put(&format!("/api/vehicles/{vehicle}"), json!({"capacity": 1})).await.expect(200);
}

async fn board(vehicle: &mut Client, wish: Value) -> Value {
    vehicle.request(json!({"type": "boarding:request", "data": wish})).await
}

/// The answer to an alighting with this fence.
async fn alight(vehicle: &mut Client, fence: &Value) -> Value {
    let data = json!({"passenger_id": "COM_1", "fence": fence});
    vehicle.request(json!({"type": "boarding:alight", "data": data})).await
}

async fn lose_everything(cluster: &mut TestCluster, by_restart: bool) {
    let mut generations = Vec::new();
    for node in &cluster.nodes {
        generations.push(node.node.cluster.node.generation());
    }
    if by_restart {
        cluster.redis.only().restart_empty().await;
    } else {
        assert_eq!(cluster.redis.cli_everywhere(&["flushall"]), "OK");
    }
    for (node, before) in cluster.nodes.iter().zip(generations) {
        let back = || async { node.node.cluster.node.generation() > before && node.node.is_ready() };
        eventually("the node has another lease", BACK, back).await;
    }
}

/// Nothing of what was granted stands, and nobody is told that it does.
async fn expect_nothing_of(before: &Before, vehicle: &mut Client, api: &mut Api) {
    for command in ["lock:renew", "lock:release"] {
        let data = json!({"resource": "gate", "token": before.lock["token"]});
        let answer = vehicle.request(json!({"type": command, "data": data})).await;
        assert_eq!((&answer["type"], &answer["data"]["held_by"]), (&json!("lock:denied"), &Value::Null));
    }
    assert_eq!(api.get("/api/locks/gate").await.expect(200)["held"], false);
    let denied = alight(vehicle, &before.boarding["fence"]).await;
    assert_eq!(denied["type"], "boarding:denied", "{denied}");
    assert_eq!(denied["data"]["reason"], "not_found", "{denied}");
    for path in ["/api/passengers/COM_1", "/api/vehicles/V1", "/api/vehicles/V1/manifest"] {
        assert_eq!(api.get(path).await.expect(404)["code"], "not_found", "{path}");
    }
    let of_pool = api.get("/api/passengers?route_id=1").await.expect(200);
    assert_eq!(of_pool["items"], json!([]));
}

/// The same names are used again: what was shown before the loss is refused.
async fn expect_fences_to_have_grown(before: &Before, vehicle: &mut Client, api: &mut Api) {
    let lock = acquire(vehicle).await;
    assert!(lock["fence"].as_u64() > before.lock["fence"].as_u64(), "{lock}");
    set_out(api, "COM_1", "V1").await;
    set_out(api, "COM_2", "V2").await;
    let boarded = board(vehicle, json!({"passenger_id": "COM_1"})).await;
    assert_eq!(boarded["type"], "boarding:confirmed", "{boarded}");
    assert!(boarded["data"]["fence"].as_u64() > before.boarding["fence"].as_u64(), "{boarded}");
    let stale = alight(vehicle, &before.boarding["fence"]).await;
    assert_eq!(stale["data"]["reason"], "stale_fence", "{stale}");
    // Who has the lock now shows its fence first; there is no seat, but the one from before counts no more.
    let full = board(vehicle, json!({"passenger_id": "COM_2", "fence": lock["fence"]})).await;
    assert_eq!(full["data"]["reason"], "full", "{full}");
    let stale = board(vehicle, json!({"passenger_id": "COM_2", "fence": before.lock["fence"]})).await;
    assert_eq!(stale["data"]["reason"], "stale_fence", "{stale}");
    assert_eq!(alight(vehicle, &boarded["data"]["fence"]).await["type"], "boarding:alighted");
}

async fn locks_and_boardings_are_reported_as_lost(by_restart: bool) {
    let mut cluster = TestCluster::start_single(2).await;
    let mut vehicle = cluster.nodes[0].client("vehicle:V1").await;
    let mut api = Api::of(cluster.nodes[1].address);
    let lock = acquire(&mut vehicle).await;
    set_out(&mut api, "COM_1", "V1").await;
    let boarding = board(&mut vehicle, json!({"passenger_id": "COM_1", "request_id": "first"})).await;
    assert_eq!(boarding["type"], "boarding:confirmed", "{boarding}");
    let before = Before { lock, boarding: boarding["data"].clone() };
    lose_everything(&mut cluster, by_restart).await;
    expect_nothing_of(&before, &mut vehicle, &mut api).await;
    expect_fences_to_have_grown(&before, &mut vehicle, &mut api).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_and_boardings_that_were_flushed_are_reported_as_lost_and_not_made_up() {
    locks_and_boardings_are_reported_as_lost(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_and_boardings_that_a_restart_of_redis_lost_are_reported_as_lost_and_not_made_up() {
    locks_and_boardings_are_reported_as_lost(true).await;
}
