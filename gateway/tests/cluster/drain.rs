//! A node that is stopped in order, seen from outside: by its clients, by the load balancer, by the other nodes.

use std::net::SocketAddr;

use serde_json::{Value, json};
use signalbox_gateway::admission::Rank;
use signalbox_gateway::stop::StopPhase;
use signalbox_testkit::{RedisServer, eventually};

use crate::api::Api;
use crate::client::{Client, PATIENCE};
use crate::fixture::{TestCluster, TestNode, config};
use crate::http::{call, get};
use crate::process::NodeProcess;

async fn drain(through: &TestNode, node: &TestNode) -> (u16, Value) {
    let path = format!("/api/nodes/{}/drain", node.node.cluster.node.id());
    let (status, body) = call(through.address, "POST", &path, "").await;
    (status, serde_json::from_str(&body).unwrap())
}

async fn reaches(node: &TestNode, phase: StopPhase) {
    eventually(phase.as_str(), PATIENCE, || async { *node.node.phase.borrow() >= phase }).await;
}

/// The phase of a node, as another one tells it.
async fn told_phase(by: SocketAddr, node: &TestNode) -> Option<String> {
    let (_, list) = get(by, "/api/nodes").await;
    let id = node.node.cluster.node.id().as_str();
    let view = list["items"].as_array()?.iter().find(|view| view["node_id"] == id)?;
    Some(view["phase"].as_str()?.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_drained_from_another_and_its_clients_find_everything_in_order() {
    let cluster = TestCluster::start(2).await;
    let (staying, leaving) = (&cluster.nodes[0], &cluster.nodes[1]);
    let mut vehicle = leaving.client("vehicle:V").await;
    let mut driver = staying.client("driver:D").await;
    assert_eq!(told_phase(staying.address, leaving).await.as_deref(), Some("serving"));
    // A handshake that is under way keeps the drain from ending, for as long as the test needs.
    let under_way = leaving.node.admission.admit(Rank::First).unwrap();
    let (status, view) = drain(staying, leaving).await;
    assert_eq!((status, &view["phase"]), (202, &json!("not_ready")), "{view}");
    assert_eq!(vehicle.expect("system:draining").await, json!({"reconnect_in_ms": 0, "reason": "requested"}));
    assert_eq!(vehicle.close_code().await, Some(1012));
    drop(vehicle);
    let unknown = json!("not_found");
    eventually("it is found no more", PATIENCE, || async {
        get(staying.address, "/api/connections?agent=vehicle:V").await.1["items"] == json!([])
    })
    .await;
    assert_eq!(driver.emit("test:hello", "vehicle:V", json!({})).await["data"]["code"], unknown);
    // It stays for a while yet: HTTP is answered, newcomers are not taken, and everybody sees why.
    assert_eq!(Client::refusal(leaving.address, "/ws").await, 503);
    let refusal = call_for_upgrade(leaving).await;
    assert!((1..=5).contains(&refusal.headers["retry-after"].parse().unwrap()), "{refusal:?}");
    assert_eq!(leaving.node.metrics.handshakes.with_label_values(&["refused_draining"]).get(), 2);
    let (status, text) = call(leaving.address, "GET", "/readyz?verbose", "").await;
    assert_eq!((status, text.contains("[-]serving: closing\n")), (503, true), "{text}");
    let (_, metrics) = call(leaving.address, "GET", "/metrics", "").await;
    assert!(metrics.contains(&format!("signalbox_stop_phase {}\n", StopPhase::Closing as i64)));
    assert_eq!(get(leaving.address, "/health").await.1["status"], "draining");
    let seen = || async { told_phase(staying.address, leaving).await.as_deref() == Some("closing") };
    eventually("the other node tells it too", PATIENCE, seen).await;
    assert_eq!(drain(staying, leaving).await.0, 202, "again changes nothing");
    assert_eq!(drain(leaving, leaving).await.1["phase"], "closing");
    drop(under_way);
    reaches(leaving, StopPhase::Stopped).await;
    let (status, problem) = drain(staying, leaving).await;
    assert_eq!((status, &problem["code"]), (404, &unknown), "it is gone");
    assert_eq!(get(staying.address, "/api/nodes").await.1["items"].as_array().unwrap().len(), 1);
    assert_eq!(staying.node.metrics.directory.swept_rows.get(), 0, "nothing was left to others");
    assert!(tokio::net::TcpStream::connect(leaving.address).await.is_err(), "its port is closed");
}

async fn call_for_upgrade(node: &TestNode) -> crate::api::Answer {
    let headers = [
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    Api::of(node.address).call("GET", "/ws", &headers, "").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_of_what_is_not_there_or_does_not_hear_is_refused() {
    let mut cluster = TestCluster::start_single(2).await;
    let mut api = Api::of(cluster.nodes[0].address);
    for nobody in ["/api/nodes/nobody/drain", "/api/nodes/%20/drain"] {
        api.call("POST", nobody, &[], "").await.expect(404);
    }
    let other = format!("/api/nodes/{}/drain", cluster.nodes[1].node.cluster.node.id());
    let myself = format!("/api/nodes/{}/drain", cluster.nodes[0].node.cluster.node.id());
    cluster.redis.only().kill();
    let problem = api.call("POST", &other, &[], "").await;
    let code = problem.body["code"].clone();
    assert!(code == "unavailable" || code == "outcome_unknown", "{}", problem.text);
    assert_eq!(*cluster.nodes[1].node.phase.borrow(), StopPhase::Serving);
    let under_way = cluster.nodes[0].node.admission.admit(Rank::First).unwrap();
    api.call("POST", &myself, &[], "").await.expect(202);
    api.call("POST", &myself, &[], "").await.expect(202);
    api.conforms().await;
    drop(under_way);
    reaches(&cluster.nodes[0], StopPhase::Stopped).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_cuts_the_stop_short() {
    let redis = RedisServer::start().await;
    let node = NodeProcess::start_with(&redis.url(), &["stop.balancer_wait=300s", "stop.timeout=600s"]).await;
    let mut vehicle = node.client("vehicle:V").await;
    node.signal("TERM");
    let unready =
        || async { call(node.address, "GET", "/readyz", "").await.1.contains("serving: not_ready") };
    eventually("it is not ready", PATIENCE, unready).await;
    vehicle.expect_nothing().await;
    let mut late = node.client("driver:late").await;
    assert_eq!(late.emit("test:hello", "vehicle:V", json!({})).await["type"], "system:ack");
    vehicle.expect("test:hello").await;
    node.signal("TERM");
    assert_eq!(vehicle.close_code().await, Some(1012));
    assert_eq!(late.close_code().await, Some(1012));
    assert!(node.ended().await.success());
    assert_eq!(redis.cli(&["--raw", "keys", "*vehicle:V*"]).trim(), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_to_a_node_that_drains_already_does_not_cut_it_short() {
    let redis = RedisServer::start().await;
    let node = NodeProcess::start_with(&redis.url(), &["stop.balancer_wait=300s", "stop.timeout=600s"]).await;
    let mut vehicle = node.client("vehicle:V").await;
    let path = format!("/api/nodes/{}/drain", node.node_id().await);
    assert_eq!(call(node.address, "POST", &path, "").await.0, 202);
    node.signal("TERM");
    let unready = || async { call(node.address, "GET", "/readyz", "").await.0 == 503 };
    eventually("it is not ready", PATIENCE, unready).await;
    for _ in 0..20 {
        vehicle.expect_nothing().await;
    }
    node.signal("INT");
    assert_eq!(vehicle.close_code().await, Some(1012));
    assert!(node.ended().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hangup_ends_no_node_though_it_has_nothing_to_read_again() {
    let redis = RedisServer::start().await;
    let node = NodeProcess::start(&redis.url()).await;
    let mut vehicle = node.client("vehicle:V").await;
    node.signal("HUP");
    node.signal("TERM");
    assert_eq!(vehicle.close_code().await, Some(1012));
    assert!(node.ended().await.success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_client_is_told_a_moment_of_its_own_and_another_node_takes_it_then() {
    let mut gentle = config(None);
    gentle.stop.closes_per_second = 50;
    let cluster = TestCluster::start_with(2, gentle).await;
    let (staying, leaving) = (&cluster.nodes[0], &cluster.nodes[1]);
    let mut clients = Vec::new();
    for number in 0..30 {
        clients.push(leaving.client(&format!("vehicle:V{number}")).await);
    }
    drain(staying, leaving).await;
    let mut delays = Vec::new();
    for (number, mut client) in clients.into_iter().enumerate() {
        delays.push(client.expect("system:draining").await["reconnect_in_ms"].as_u64().unwrap());
        assert_eq!(client.close_code().await, Some(1012));
        drop(client);
        staying.client(&format!("vehicle:V{number}")).await;
    }
    delays.sort_unstable();
    let even: Vec<u64> = (0..30).map(|place| place * 1_100 / 50).collect();
    assert_eq!(delays, even, "each has a moment of its own");
    reaches(leaving, StopPhase::Stopped).await;
}
