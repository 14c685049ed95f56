//! What is asked of the fleet is counted by what came of it, over WebSocket and HTTP alike.

use prometheus::IntCounterVec;
use serde_json::{Value, json};

use crate::api::Api;
use crate::fixture::{TestNode, config};

fn counts<'l>(counters: &IntCounterVec, labels: &[&'l str]) -> Vec<(&'l str, u64)> {
    labels.iter().map(|label| (*label, counters.with_label_values(&[label]).get())).collect()
}

fn passenger(id: &str) -> Value {
    json!({"passenger_id": id, "pool": "route:1", "position": {"lat": 13.1, "lon": -59.6}})
}

/// Three wait, and there is a vehicle with one seat; over HTTP one boards, and two can't.
async fn over_http(api: &mut Api) -> u64 {
    api.post("/api/passengers", passenger("COM_1")).await.expect(201);
    api.post("/api/passengers", json!([passenger("COM_2"), passenger("COM_3")])).await.expect(201);
    api.post("/api/passengers", json!([passenger("COM_3")])).await.expect(409);
    api.put("/api/vehicles/V1", json!({"capacity": 1})).await.expect(200);
    let by = json!({"vehicle_id": "V1"});
    let boarded = api.patch("/api/passengers/COM_1/board", by.clone()).await.expect(200);
    api.patch("/api/passengers/COM_2/board", by.clone()).await.expect(409);
    api.patch("/api/passengers/NOBODY/board", by).await.expect(404);
    api.patch("/api/passengers/COM_1/alight", json!({"fence": 0})).await.expect(409);
    api.get("/api/reservoirs/route/1/query?lat=13.1&lon=-59.6").await.expect(200);
    api.post("/api/locks/dock:1", json!({"owner": "driver:1"})).await.expect(201);
    api.post("/api/locks/dock:1", json!({"owner": "driver:2"})).await.expect(409);
    boarded["fence"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_is_counted_whichever_way_it_came() {
    let node = TestNode::start(&config(None)).await;
    let fence = over_http(&mut Api::of(node.address)).await;
    let mut vehicle = node.client("vehicle:V1").await;
    let place = json!({"lat": 13.1, "lon": -59.6});
    for (kind, data, answer) in [
        ("boarding:request", json!({"passenger_id": "COM_1"}), "boarding:denied"),
        ("boarding:alight", json!({"passenger_id": "COM_1", "fence": fence + 1}), "boarding:denied"),
        ("boarding:alight", json!({"passenger_id": "COM_1", "fence": fence}), "boarding:alighted"),
        ("boarding:request", json!({"passenger_id": "COM_2"}), "boarding:confirmed"),
        ("boarding:request", json!({}), "system:error"),
        ("vehicle:query_commuters", json!({"route_id": "1", "position": place}), "vehicle:commuters_found"),
        ("lock:acquire", json!({"resource": "dock:2"}), "lock:granted"),
        ("lock:acquire", json!({"resource": "dock:1"}), "lock:denied"),
    ] {
        let answered = vehicle.request(json!({"type": kind, "data": data})).await;
        assert_eq!(answered["type"], answer, "{answered}");
    }
    let metrics = &node.node.metrics;
    let fleet = &metrics.fleet;
    let boardings = counts(&fleet.boardings, &["confirmed", "full", "not_found", "boarded", "failed"]);
    assert_eq!(boardings, [("confirmed", 2), ("full", 1), ("not_found", 1), ("boarded", 1), ("failed", 0)]);
    let alightings = counts(&fleet.alightings, &["confirmed", "stale_fence"]);
    assert_eq!(alightings, [("confirmed", 1), ("stale_fence", 2)]);
    assert_eq!(
        counts(&fleet.queries, &["hit", "miss", "bypass"]).iter().map(|count| count.1).sum::<u64>(),
        2
    );
    assert_eq!(counts(&fleet.locks, &["granted", "denied"]), [("granted", 2), ("denied", 2)]);
    assert_eq!(fleet.pushed.get(), 3, "and none of the list that was refused");
    assert_eq!(metrics.errors.with_label_values(&["invalid_data"]).get(), 1);
}
