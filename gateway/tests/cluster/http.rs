//! The HTTP side, through a client of our own making no larger than it must be.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{Client, PATIENCE};
use crate::fixture::{TestCluster, TestNode, config};

/// One request on a connection of its own; status and body.
pub(crate) async fn call(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, String) {
    let (status, _, body) = call_with(address, method, path, &[], body).await;
    (status, body)
}

/// The same with further headers; status, head in lower case, and body.
pub(crate) async fn call_with(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String, String) {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    );
    exchange(address, &request).await
}

/// A GET that names the node so.
pub(crate) async fn call_as(host: &str, address: SocketAddr, path: &str) -> (u16, String, String) {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")).await
}

/// A GET as HTTP/1.0, to which nobody answers in chunks; its JSON.
pub(crate) async fn get_whole(address: SocketAddr, path: &str) -> Value {
    let (_, _, body) = exchange(address, &format!("GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n")).await;
    serde_json::from_str(&body).unwrap_or(Value::Null)
}

async fn exchange(address: SocketAddr, request: &str) -> (u16, String, String) {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8(answer).unwrap()
    };
    let answer = timeout(PATIENCE, exchange).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_lowercase(), body.to_owned())
}

/// A GET whose answer is JSON.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, Value) {
    let (status, body) = call(address, "GET", path, "").await;
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

async fn post(address: SocketAddr, path: &str, body: Value) -> (u16, Value) {
    let (status, body) = call(address, "POST", path, &body.to_string()).await;
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_publishes_and_clients_on_other_nodes_hear_it() {
    let cluster = TestCluster::start(2).await;
    let mut driver = cluster.nodes[1].client("driver:D").await;
    let address = cluster.nodes[0].address;
    let one = json!({"type": "order:new", "target": "agent_type:driver", "data": {"order_id": "O1"}});
    let (status, published) = post(address, "/api/publish", one.clone()).await;
    assert_eq!((status, &published["accepted"]), (200, &json!(1)));
    assert_eq!(published["positions"]["agent_type:driver"]["offset"], 1, "{published}");
    assert_eq!(driver.expect("order:new").await["order_id"], "O1");
    let list = json!([one, {"type": "test:hello", "target": "driver:D"}]);
    assert_eq!(post(address, "/api/publish", list).await.1["accepted"], 2);
    driver.expect("order:new").await;
    assert_eq!(driver.next().await["source"], "service:api");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_envelope_in_a_list_means_that_nothing_is_sent() {
    let node = TestNode::start(&config(None)).await;
    let mut driver = node.client("driver:D").await;
    let good = json!({"type": "test:hello", "target": "driver:D"});
    let (status, problem) = post(node.address, "/api/publish", json!([good, {"type": "x"}])).await;
    assert_eq!(
        (status, &problem["code"], &problem["details"]["index"]),
        (422, &json!("invalid_type"), &json!(1))
    );
    driver.expect_nothing().await;
    for (body, status, code) in [
        ("{", 400, "invalid_json"),
        ("{}", 422, "invalid_envelope"),
        (r#"{"type":"a:b"}"#, 422, "invalid_target"),
        (r#"{"type":"a:b","target":"driver:none","metadata":{"ack":true}}"#, 404, "not_found"),
        (r#"{"type":"a:b","target":"driver:none"}"#, 200, "accepted"),
        (r#"{"type":"system:subscribe","data":{"topics":[]}}"#, 422, "invalid_type"),
    ] {
        let (got, problem) = call(node.address, "POST", "/api/publish", body).await;
        assert_eq!(got, status, "{body}: {problem}");
        assert!(problem.contains(code), "{body}: {problem}");
    }
    let huge = format!(r#"{{"type":"a:b","target":"driver:D","data":"{}"}}"#, "x".repeat(1 << 20));
    assert_eq!(call(node.address, "POST", "/api/publish", &huge).await.0, 413);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_found_from_any_node_and_can_be_closed_from_there() {
    let cluster = TestCluster::start(2).await;
    let mut vehicle = Client::connect(
        cluster.nodes[1].address,
        "/ws/vehicle-events?agent_type=vehicle&agent_id=V&pillar=p&session_id=S",
    )
    .await;
    let _user =
        Client::connect_as(cluster.nodes[0].address, "user:U", "&session_id=S&subject=vehicle:V").await;
    let address = cluster.nodes[0].address;
    let ws_id = vehicle.text("connection_id").to_owned();
    for query in [
        "agent=vehicle:V",
        "agent_type=vehicle",
        "pillar=p",
        "session=S&agent_type=vehicle",
        "session=S&pillar=p",
    ] {
        let (_, list) = get(address, &format!("/api/connections?{query}")).await;
        assert_eq!(list["items"].as_array().unwrap().len(), 1, "{query}: {list}");
        let item = &list["items"][0];
        assert_eq!((&item["ws_id"], &item["namespaces"]), (&json!(ws_id), &json!(["vehicle-events"])));
        assert_eq!(item["node_id"], vehicle.text("node_id"));
    }
    let (_, all) = get(address, "/api/connections").await;
    assert_eq!(all["items"].as_array().unwrap().len(), 2);
    let (_, page) = get(address, "/api/connections?limit=1").await;
    let next = format!("/api/connections?limit=1&cursor={}", page["cursor"].as_str().unwrap());
    let (_, second) = get(address, &next).await;
    assert_ne!(page["items"][0]["ws_id"], second["items"][0]["ws_id"]);
    let path = format!("/api/connections/{ws_id}");
    assert_eq!(get(address, &path).await.1["agent"], "vehicle:V");
    assert_eq!(call(address, "DELETE", &path, "").await.0, 204);
    assert_eq!(vehicle.close_code().await, Some(4403));
    for unknown in ["/api/connections/nobody-1", "/api/connections/%00"] {
        assert_eq!(get(address, unknown).await.0, 404);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_topics_and_nodes_are_told_for_the_cluster() {
    let cluster = TestCluster::start(2).await;
    let mut one = cluster.nodes[0].client("driver:A").await;
    let mut two = cluster.nodes[1].client("driver:B").await;
    one.subscribe(&["route:7"]).await;
    two.subscribe(&["route:7", "namespace:system-events"]).await;
    let address = cluster.nodes[0].address;
    let (_, members) = get(address, "/api/presence/agent_type:driver").await;
    assert_eq!(members["count"], 2);
    let agents: Vec<&str> =
        members["members"].as_array().unwrap().iter().map(|m| m["agent"].as_str().unwrap()).collect();
    assert_eq!(agents, ["driver:A", "driver:B"]);
    let (_, members) = get(address, "/api/presence/namespace:system-events").await;
    assert_eq!(members["count"], 1);
    assert_eq!(get(address, "/api/presence/route:7").await.0, 422);
    let (_, topics) = get(address, "/api/topics").await;
    let route =
        topics["items"].as_array().unwrap().iter().find(|item| item["topic"] == "route:7").unwrap().clone();
    assert_eq!(route, json!({"topic": "route:7", "local_connections": 1, "nodes": 2}));
    let (_, nodes) = get(address, "/api/nodes").await;
    assert_eq!(nodes["items"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_and_metrics_tell_the_truth() {
    let mut cluster = TestCluster::start_single(1).await;
    let address = cluster.nodes[0].address;
    let _client = cluster.nodes[0].client("driver:A").await;
    for path in ["/livez", "/readyz", "/healthz", "/health", "/ws/stats"] {
        assert_eq!(call(address, "GET", path, "").await.0, 200, "{path}");
    }
    let (_, health) = get(address, "/health").await;
    assert_eq!((&health["status"], &health["redis"]), (&json!("ok"), &json!("up")));
    let (_, metrics) = call(address, "GET", "/metrics", "").await;
    for line in [
        "signalbox_connections 1",
        "signalbox_handshakes_total{result=\"accepted\"} 1",
        "signalbox_redis_up 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }
    let (_, stats) = get(address, "/ws/stats").await;
    assert_eq!(stats["node"]["connections_by_agent_type"], json!({"driver": 1}));
    cluster.redis.only().kill();
    signalbox_testkit::eventually("readyz says no", PATIENCE, || async {
        call(address, "GET", "/readyz?verbose", "").await.0 == 503
    })
    .await;
    assert_eq!(call(address, "GET", "/livez", "").await.0, 200, "a Redis that is away restarts nobody");
    assert_eq!(get(address, "/no/such/path").await.0, 404);
    assert_eq!(call(address, "POST", "/livez", "").await.0, 405);
}
