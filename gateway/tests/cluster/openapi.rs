//! The description of the API: valid, complete, true, and readable.

use std::collections::BTreeSet;

use serde_json::json;
use signalbox_testkit::eventually;

use crate::api::{Api, judge};
use crate::client::PATIENCE;
use crate::fixture::{TestCluster, TestNode, config};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_description_is_valid_openapi_3_1() {
    let node = TestNode::start(&config(None)).await;
    let document = Api::of(node.address).get("/api/openapi.json").await.expect(200);
    assert_eq!(document["openapi"], "3.1.0");
    judge(&json!({ "document": document })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_operators_and_publishers_get_is_as_described() {
    let node = TestNode::start(&config(None)).await;
    let mut driver = node.client("driver:D").await;
    let mut api = Api::of(node.address);
    for path in [
        "/livez",
        "/readyz",
        "/readyz?verbose",
        "/healthz",
        "/health",
        "/metrics",
        "/ws/stats",
        "/api/connections",
        "/api/connections?agent=driver:D&limit=1",
        "/api/presence/agent_type:driver?limit=5",
        "/api/topics",
        "/api/nodes",
        "/api/docs",
        "/api/openapi.json",
    ] {
        api.get(path).await.expect(200);
    }
    let hello = json!({"type": "test:hello", "target": "driver:D", "data": [1]});
    api.post("/api/publish", hello.clone()).await.expect(200);
    api.post("/api/publish", json!([hello, {"type": "x"}])).await.expect(422);
    driver.expect("test:hello").await;
    let connection = format!("/api/connections/{}", driver.text("connection_id"));
    api.get(&connection).await.expect(200);
    api.delete(&connection).await.expect(204);
    api.get("/ws").await.expect(426);
    for (path, status) in [
        ("/api/connections?tenant=a%20b", 422),
        ("/api/connections?limit=many", 422),
        ("/api/connections?cursor=x", 422),
        ("/api/connections/nobody-1", 404),
        ("/api/connections/%ff", 404),
        ("/api/presence/nothing", 422),
    ] {
        api.get(path).await.expect(status);
    }
    api.conforms().await;
}

/// The server API of `docs/protocol.md`, and what operators ask.
const OPERATIONS: &str = "
    GET /livez, GET /readyz, GET /healthz, GET /health, GET /metrics, GET /ws, GET /ws/stats, GET /ws/{namespace},
    POST /api/publish, GET /api/connections, GET /api/connections/{ws_id}, DELETE /api/connections/{ws_id},
    GET /api/presence/{topic}, GET /api/topics, GET /api/nodes, POST /api/nodes/{id}/drain,
    GET /api/revocations, POST /api/revocations,
    POST /api/passengers, GET /api/passengers, DELETE /api/passengers,
    GET /api/passengers/{id}, DELETE /api/passengers/{id},
    PATCH /api/passengers/{id}/board, PATCH /api/passengers/{id}/alight,
    GET /api/reservoirs/{kind}/{id}, GET /api/reservoirs/{kind}/{id}/query,
    PUT /api/vehicles/{id}, GET /api/vehicles/{id}, GET /api/vehicles/{id}/manifest,
    GET /api/locks, GET /api/locks/{resource}, POST /api/locks/{resource}, PATCH /api/locks/{resource},
    DELETE /api/locks/{resource}, GET /api/orders/{id}/viewers, GET /api/openapi.json, GET /api/docs";

#[test]
fn the_description_has_every_operation_of_the_reference_and_no_other() {
    let document = signalbox_gateway::http::openapi::describe();
    let paths = document["paths"].as_object().unwrap().iter();
    let described: BTreeSet<String> = paths
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_ascii_uppercase()))
        })
        .collect();
    let expected: BTreeSet<String> = OPERATIONS.split(',').map(|one| one.trim().to_owned()).collect();
    assert_eq!(described, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_redis_nothing_is_done_and_it_is_said_when_to_try_again() {
    let mut cluster = TestCluster::start_single(1).await;
    let address = cluster.nodes[0].address;
    cluster.redis.only().kill();
    eventually("the node notices", PATIENCE, async || {
        Api::of(address).get("/api/passengers/COM_1").await.status == 503
    })
    .await;
    let mut api = Api::of(address);
    let passenger = json!({"passenger_id": "P", "pool": "route:1", "position": {"lat": 1, "lon": 1}});
    for (method, path, body) in [
        ("POST", "/api/passengers", passenger),
        ("GET", "/api/passengers", json!(null)),
        ("PATCH", "/api/passengers/P/board", json!({"vehicle_id": "V"})),
        ("PUT", "/api/vehicles/V", json!({"capacity": 1})),
        ("GET", "/api/reservoirs/route/1/query?lat=1&lon=1", json!(null)),
        ("POST", "/api/locks/bay-4", json!({})),
        ("GET", "/api/locks", json!(null)),
        ("GET", "/api/orders/99/viewers", json!(null)),
    ] {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = api.call(method, path, &[], &body).await;
        assert_eq!(answer.headers.get("retry-after").map(String::as_str), Some("1"), "{method} {path}");
        let problem = answer.expect(503);
        assert_eq!((&problem["code"], &problem["retryable"]), (&json!("unavailable"), &json!(true)));
    }
    api.conforms().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_needs_nothing_from_elsewhere() {
    let node = TestNode::start(&config(None)).await;
    let page = Api::of(node.address).get("/api/docs").await;
    assert!(page.headers["content-type"].starts_with("text/html"));
    assert!(page.headers["content-security-policy"].contains("default-src 'none'"));
    for elsewhere in ["http://", "https://", "//cdn", "src=", "@import", "innerHTML"] {
        assert!(!page.text.contains(elsewhere), "{elsewhere}");
    }
    assert!(page.text.contains("fetch(\"openapi.json\")"));
}
