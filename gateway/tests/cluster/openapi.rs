//! The description of the API: valid, complete, true, and readable.

use serde_json::json;

use crate::api::{Api, judge};
use crate::fixture::{TestNode, config};

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
