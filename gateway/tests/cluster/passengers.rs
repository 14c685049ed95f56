//! Passengers and vehicles over HTTP, from the first push to the last stop.

use serde_json::{Value, json};

use signalbox_gateway::stamps::now_ms;
use signalbox_protocol::timestamp::to_string;
use signalbox_testkit::eventually;

use crate::api::Api;
use crate::client::{Client, PATIENCE};
use crate::fixture::{TestCluster, TestNode, config};

const MANY: &str = "/api/passengers";

fn passenger(id: &str, pool: &str, lat: f64) -> Value {
    json!({"passenger_id": id, "pool": pool, "position": {"lat": lat, "lon": -59.6}})
}

fn ids(list: &Value) -> Vec<&str> {
    list["items"].as_array().unwrap().iter().map(|item| item["passenger_id"].as_str().unwrap()).collect()
}

/// What every back end does: `near` changes, `far` reads.
async fn a_ride(mut near: Api, mut far: Api) {
    let pushed = near.post(MANY, passenger("COM_1", "route:12", 13.1)).await.expect(201);
    assert_eq!((&pushed["state"], &pushed["pool"]), (&json!("waiting"), &json!("route:12")));
    let list = json!([passenger("COM_3", "route:12", 13.2), {"passenger_id": "COM_2", "depot_id": "4",
        "position": {"lat": 13.1, "lon": -59.6}, "priority": 9, "direction": "inbound",
        "destination": {"lat": 13.3, "lon": -59.5}, "max_walking_distance_m": 250.0}]);
    let pushed = near.post(MANY, list).await.expect(201);
    assert_eq!((ids(&pushed), &pushed["cursor"]), (vec!["COM_3", "COM_2"], &Value::Null));
    assert_eq!(far.get("/api/passengers/COM_2").await.expect(200)["pool"], "depot:4");

    let vehicle = json!({"capacity": 1, "pool": "route:12", "position": {"lat": 13.0, "lon": -59.6}});
    let written = near.put("/api/vehicles/V1", vehicle).await.expect(200);
    assert_eq!((&written["seats_left"], &written["manifest"]), (&json!(1), &json!([])));
    near.put("/api/vehicles/V2", json!({"capacity": 9})).await.expect(200);

    let wish = json!({"vehicle_id": "V1", "request_id": "b-1"});
    let boarded = near.patch("/api/passengers/COM_1/board", wish.clone()).await.expect(200);
    assert_eq!((&boarded["state"], &boarded["vehicle_id"]), (&json!("boarded"), &json!("V1")));
    assert_eq!(boarded["seats_left"], 0);
    let again = far.patch("/api/passengers/COM_1/board", wish).await.expect(200);
    assert_eq!(again, boarded, "a retry gets the first answer");

    let late = far.patch("/api/passengers/COM_1/board", json!({"vehicle_id": "V2"})).await.expect(409);
    assert_eq!(late["details"], json!({"reason": "boarded", "state": "boarded", "boarded_by": "V1"}));
    let full = far.patch("/api/passengers/COM_3/board", json!({"vehicle_id": "V1"})).await.expect(409);
    assert_eq!(full["details"]["reason"], "full");
    let on_board = far.delete("/api/passengers/COM_1").await.expect(409);
    assert_eq!(on_board["details"], json!({"reason": "state", "state": "boarded"}));
    let manifest = far.get("/api/vehicles/V1/manifest").await.expect(200);
    assert_eq!((&manifest["seats_left"], &manifest["capacity"]), (&json!(0), &json!(1)));
    assert_eq!(manifest["passengers"][0]["fence"], boarded["fence"]);
    assert_eq!(far.get("/api/vehicles/V1").await.expect(200)["manifest"], json!(["COM_1"]));

    let stale = json!({"fence": boarded["fence"].as_u64().unwrap() - 1});
    let refused = near.patch("/api/passengers/COM_1/alight", stale).await.expect(409);
    assert_eq!(refused["details"]["reason"], "stale_fence");
    for _ in ["once", "and again"] {
        let fence = json!({"fence": boarded["fence"]});
        let alighted = near.patch("/api/passengers/COM_1/alight", fence).await.expect(200);
        assert_eq!(alighted["state"], "alighted");
    }
    assert_eq!(far.get("/api/vehicles/V1").await.expect(200)["seats_left"], 1);
    let gone = near.patch("/api/passengers/COM_1/board", json!({"vehicle_id": "V2"})).await.expect(409);
    assert_eq!(gone["details"]["state"], "alighted");

    near.delete("/api/passengers/COM_2").await.expect(204);
    near.delete("/api/passengers/COM_2").await.expect(204);
    assert_eq!(far.get("/api/passengers/COM_2").await.expect(200)["state"], "cancelled");
    assert_eq!(near.delete("/api/passengers?route_id=12").await.expect(200), json!({"cancelled": 1}));
    assert_eq!(near.delete("/api/passengers?route_id=12").await.expect(200), json!({"cancelled": 0}));
    near.conforms().await;
    far.conforms().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passenger_waits_rides_and_arrives_in_memory() {
    let node = TestNode::start(&config(None)).await;
    a_ride(Api::of(node.address), Api::of(node.address)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passenger_waits_rides_and_arrives_on_two_nodes() {
    let cluster = TestCluster::start(2).await;
    a_ride(Api::of(cluster.nodes[0].address), Api::of(cluster.nodes[1].address)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_nearest_are_told_first_within_the_radius_and_the_maximum() {
    let cluster = TestCluster::start(1).await;
    let mut api = Api::of(cluster.nodes[0].address);
    let waiting: Vec<Value> = [("C", 13.003), ("A", 13.001), ("B", 13.002), ("far", 13.5)]
        .map(|(id, lat)| passenger(id, "route:12", lat))
        .to_vec();
    api.post(MANY, json!(waiting)).await.expect(201);
    let ask = async |api: &mut Api, more: &str| {
        let path = format!("/api/reservoirs/route/12/query?lat=13&lon=-59.6{more}");
        let answer = api.get(&path).await;
        assert!(["hit", "miss", "bypass"].contains(&answer.headers["x-cache"].as_str()));
        answer.expect(200)
    };
    let found = ask(&mut api, "&radius_km=0.25").await;
    assert_eq!(ids(&found), ["A", "B"]);
    let metres = found["items"][0]["distance_m"].as_f64().unwrap();
    assert!((metres - 111.2).abs() < 1.0, "{metres}");
    let mut alone = api.get("/api/passengers/A").await.expect(200);
    alone["distance_m"] = found["items"][0]["distance_m"].clone();
    assert_eq!(found["items"][0], alone);
    assert_eq!(found["cursor"], Value::Null);
    assert_eq!(ids(&ask(&mut api, "").await), ["A"], "0.2 km by default");
    assert_eq!(ids(&ask(&mut api, "&radius_km=100&max_results=3").await), ["A", "B", "C"]);
    let pool = api.get("/api/reservoirs/route/12").await.expect(200);
    assert_eq!(pool, json!({"pool": "route:12", "available": 4}));
    assert_eq!(api.get("/api/reservoirs/depot/12").await.expect(200)["available"], 0);
    assert_eq!(
        api.get("/api/reservoirs/depot/12/query?lat=13&lon=-59.6").await.expect(200)["items"],
        json!([])
    );
    api.conforms().await;
}

/// Every id of a list, page by page.
async fn walk(api: &mut Api, path: &str) -> Vec<String> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("{path}{cursor}")).await.expect(200);
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        let Some(next) = page["cursor"].as_str() else { return seen };
        cursor = format!("&cursor={next}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_pages_together_are_all_passengers_once() {
    let cluster = TestCluster::start(1).await;
    let mut api = Api::of(cluster.nodes[0].address);
    let all: Vec<String> = (0..25).map(|number| format!("P{number:02}")).collect();
    let pools = ["route:1", "depot:1"];
    let list: Vec<Value> =
        all.iter().enumerate().map(|(at, id)| passenger(id, pools[at % 2], 13.0)).collect();
    api.post(MANY, json!(list)).await.expect(201);
    api.delete("/api/passengers/P04").await.expect(204);
    let even: Vec<String> = all.iter().step_by(2).cloned().collect();
    assert_eq!(walk(&mut api, "/api/passengers?limit=4").await, all);
    assert_eq!(walk(&mut api, "/api/passengers?limit=1000").await, all);
    assert_eq!(walk(&mut api, "/api/passengers?route_id=1&limit=5").await, even);
    assert_eq!(walk(&mut api, "/api/passengers?state=cancelled&limit=3").await, ["P04"]);
    let waiting = walk(&mut api, "/api/passengers?route_id=1&state=waiting&limit=2").await;
    assert!(waiting.len() == even.len() - 1 && !waiting.contains(&"P04".to_owned()), "{waiting:?}");
    let page = api.get("/api/passengers").await.expect(200);
    assert_eq!((ids(&page).len(), &page["cursor"]), (25, &Value::Null), "100 is the default");
    api.conforms().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_reaches_the_pools_followers_on_another_node() {
    let cluster = TestCluster::start(2).await;
    let mut vehicle = cluster.nodes[1].client("vehicle:V1").await;
    vehicle.subscribe(&["route:12"]).await;
    let mut board = Client::connect(cluster.nodes[1].address, "/ws/route-reservoir").await;
    let mut api = Api::of(cluster.nodes[0].address);
    api.post(MANY, passenger("COM_1", "route:12", 13.1)).await.expect(201);
    let spawned = vehicle.next().await;
    assert_eq!((&spawned["type"], &spawned["source"]), (&json!("commuter:spawned"), &json!("service:api")));
    assert_eq!(spawned["data"]["commuter_id"], "COM_1");
    assert_eq!(board.expect("commuter:spawned").await["passenger_id"], "COM_1");
    api.post(MANY, json!([passenger("COM_2", "route:12", 13.1), passenger("COM_3", "route:12", 13.1)]))
        .await
        .expect(201);
    assert_eq!(vehicle.expect("commuter:spawned_batch").await["count"], 2);
    api.put("/api/vehicles/V1", json!({"capacity": 5})).await.expect(200);
    let boarded = api.patch("/api/passengers/COM_1/board", json!({"vehicle_id": "V1"})).await.expect(200);
    assert_eq!(vehicle.expect("commuter:picked_up").await["vehicle_id"], "V1");
    let fence = json!({"fence": boarded["fence"]});
    api.patch("/api/passengers/COM_1/alight", fence).await.expect(200);
    vehicle.expect("commuter:dropped_off").await;
    api.delete("/api/passengers/COM_2").await.expect(204);
    assert_eq!(vehicle.expect("commuter:cancelled").await["passenger_id"], "COM_2");
    vehicle.expect_nothing().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_that_lasts_too_long_is_ended_by_a_node_and_told_on_all() {
    let cluster = TestCluster::start(2).await;
    let mut vehicle = cluster.nodes[1].client("vehicle:V1").await;
    vehicle.subscribe(&["route:12"]).await;
    let mut api = Api::of(cluster.nodes[0].address);
    let mut passenger = passenger("COM_1", "route:12", 13.1);
    passenger["expires_at"] = json!(to_string(now_ms() + 1_000));
    api.post(MANY, passenger).await.expect(201);
    assert_eq!(vehicle.expect("commuter:spawned").await["state"], "waiting");
    assert_eq!(vehicle.expect("commuter:expired").await["state"], "expired");
    assert_eq!(api.get("/api/passengers/COM_1").await.expect(200)["state"], "expired");
    let expired = || cluster.nodes.iter().map(|node| node.node.metrics.fleet.expired.get()).sum::<u64>();
    eventually("it is counted once", PATIENCE, || async { expired() == 1 }).await;
    api.delete("/api/passengers/COM_1").await.expect(409);
}
