//! One message followed through the cluster: from the client's trace to the spans of both nodes, and on to the receiver.

use std::fs;
use std::path::Path;

use futures_util::StreamExt;
use serde_json::{Value, json};
use signalbox_gateway::tls::{Tls, TlsFiles};
use signalbox_testkit::{RedisServer, eventually};
use tempfile::NamedTempFile;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::authority::Authority;
use crate::client::{Client, PATIENCE};
use crate::collector::{Collector, Span};
use crate::fixture::{TestCluster, TestNode, config};
use crate::http::call_with;
use crate::process::NodeProcess;
use crate::tokens::open;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CLIENT_SPAN: &str = "b7ad6b7169203331";

fn parent() -> String {
    format!("00-{TRACE}-{CLIENT_SPAN}-01")
}

fn traced_config(endpoint: String) -> signalbox_gateway::config::Config {
    let mut config = config(None);
    config.trace.otlp_endpoint = Some(endpoint);
    config
}

/// Sends an event with the client's trace in its metadata; how the driver got it.
async fn send(from: &mut Client, to: &mut Client, message_type: &str, target: &str) -> Value {
    let metadata = json!({"ack": true, "traceparent": parent(), "mine": [1]});
    let sent = json!({"type": message_type, "target": target, "data": {"a": 1}, "metadata": metadata});
    assert_eq!(from.request(sent).await["type"], "system:ack");
    let got = to.next().await;
    assert_eq!((&got["type"], &got["metadata"]["mine"]), (&json!(message_type), &json!([1])), "{got}");
    got
}

async fn spans(collector: &Collector, name: &str, count: usize) -> Vec<Span> {
    eventually(&format!("{count} spans {name}"), PATIENCE, || async { collector.spans(name).len() >= count })
        .await;
    let spans = collector.spans(name);
    assert_eq!(spans.len(), count, "{spans:?}");
    for span in &spans {
        assert_eq!(span.text("traceId"), TRACE);
        let [begun, ended] =
            ["startTimeUnixNano", "endTimeUnixNano"].map(|field| span.text(field).parse::<u64>().unwrap());
        assert!(begun > 1_700_000_000_000_000_000 && begun <= ended, "{span:?}");
    }
    spans
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_goes_on_from_the_client_over_both_nodes_to_the_receiver() {
    let collector = Collector::start().await;
    let cluster = TestCluster::start_with(2, traced_config(format!("http://{}", collector.address))).await;
    let [one, two] = [&cluster.nodes[0], &cluster.nodes[1]];
    let id = |node: &TestNode| node.node.cluster.node.id().to_string();
    let path = "/ws?agent_type=vehicle&agent_id=V";
    let (ws, _) = open(one.address, path, &[("traceparent", parent())]).await;
    let (mut vehicle, mut driver) = (Client::welcomed(ws).await, two.client("driver:D").await);
    driver.subscribe(&["route:1"]).await;

    let passing = send(&mut vehicle, &mut driver, "vehicle:position_update", "driver:D").await;
    let stored = send(&mut vehicle, &mut driver, "order:new", "route:1").await;
    let lock =
        json!({"type": "lock:acquire", "data": {"resource": "bay"}, "metadata": {"traceparent": parent()}});
    vehicle.request(lock).await;
    call_with(two.address, "GET", "/api/nodes", &[("traceparent", &parent())], "").await;

    let handshake = &spans(&collector, "handshake", 1).await[0];
    assert_eq!((&handshake.node, handshake.text("parentSpanId")), (&id(one), CLIENT_SPAN));
    assert_eq!((handshake.fact("signalbox.result"), &handshake.span["kind"]), (Some("accepted"), &json!(2)));

    let messages = spans(&collector, "message", 3).await;
    let deliveries = spans(&collector, "delivery", 2).await;
    for (got, message_type) in [(&passing, "vehicle:position_update"), (&stored, "order:new")] {
        let of_type = |span: &&Span| span.fact("signalbox.type") == Some(message_type);
        let message = messages.iter().find(of_type).unwrap();
        let delivery = deliveries.iter().find(of_type).unwrap();
        assert_eq!((&message.node, message.text("parentSpanId")), (&id(one), CLIENT_SPAN));
        assert_eq!((&delivery.node, delivery.text("parentSpanId")), (&id(two), message.text("spanId")));
        assert_eq!(message.fact("signalbox.result"), Some("done"));
        let expected = format!("00-{TRACE}-{}-01", message.text("spanId"));
        assert_eq!(got["metadata"]["traceparent"], expected.as_str(), "the receiver goes on below that");
    }
    assert_eq!(
        deliveries.iter().filter_map(|span| span.fact("signalbox.receivers")).collect::<Vec<_>>(),
        ["1"]
    );
    assert!(messages.iter().any(|span| span.fact("signalbox.type") == Some("lock:acquire")));
    let request = &spans(&collector, "request", 1).await[0];
    assert_eq!((&request.node, request.fact("http.route")), (&id(two), Some("/api/nodes")));
    assert_eq!(request.fact("http.response.status_code"), Some("200"));
}

/// Lines of a log that say this: the trace that each belongs to.
fn traces_of(log: &Path, message: &str) -> Vec<Option<String>> {
    let log = fs::read_to_string(log).unwrap();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is an object"));
    let lines = lines.filter(|line| line["message"] == message);
    lines.map(|line| line.get("trace_id").map(|trace| trace.as_str().unwrap().to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_lines_of_what_is_traced_tell_the_trace() {
    let (redis, collector) = (RedisServer::start().await, Collector::start().await);
    let log = NamedTempFile::new().unwrap();
    let endpoint = format!("trace.otlp_endpoint=http://{}", collector.address);
    let settings = ["log.format=json", "stop.balancer_wait=0s", &endpoint];
    let node = NodeProcess::start_logging(&redis.url(), &settings, log.reopen().unwrap()).await;
    let mut vehicle = node.client("vehicle:V").await;

    // A Redis that refuses what it should not is told in the log.
    assert_eq!(redis.cli(&["acl", "setuser", "default", "-evalsha", "-eval"]), "OK");
    let lock = json!({"type": "lock:acquire", "data": {"resource": "bay"}});
    let mut traced = lock.clone();
    traced["metadata"] = json!({"traceparent": parent()});
    for request in [lock, traced] {
        assert_eq!(vehicle.request(request).await["data"]["code"], "internal");
    }
    let expected = [None, Some(TRACE.to_owned())];
    assert_eq!(traces_of(log.path(), "the registry refused what it should not"), expected);
    for (header, value) in [("x-nothing", String::new()), ("traceparent", parent())] {
        let (mut ws, _) = open(node.address, "/ws?session_id=S", &[(header, value)]).await;
        let end = timeout(PATIENCE, ws.next()).await.unwrap();
        assert!(matches!(end, Some(Ok(Message::Close(_)))), "{end:?}");
    }
    assert_eq!(traces_of(log.path(), "connection not registered"), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_collector_a_trace_passes_untouched() {
    let node = TestNode::start(&config(None)).await;
    let (mut vehicle, mut driver) = (node.client("vehicle:V").await, node.client("driver:D").await);
    for (message_type, target) in [("vehicle:position_update", "driver:D"), ("order:new", "driver:D")] {
        let got = send(&mut vehicle, &mut driver, message_type, target).await;
        assert_eq!(got["metadata"], json!({"ack": true, "traceparent": parent(), "mine": [1]}));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_over_tls_is_told_if_it_is_the_one_that_is_meant() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let files = TlsFiles { certificate: dir.path().join("crt"), key: dir.path().join("key") };
    authority.issue(&files.certificate, &files.key);
    let collector = Collector::start_tls(Tls::load(files).unwrap().acceptor()).await;
    let results = async |authority: &Authority| {
        let mut config = traced_config(format!("https://localhost:{}", collector.address.port()));
        let ca = dir.path().join("ca.pem");
        authority.write(&ca);
        config.trace.otlp_ca_file = Some(ca.to_str().unwrap().to_owned());
        let node = TestNode::start(&config).await;
        let (mut vehicle, mut driver) = (node.client("vehicle:V").await, node.client("driver:D").await);
        send(&mut vehicle, &mut driver, "vehicle:position_update", "driver:D").await;
        let count = |result: &str| node.node.metrics.spans.with_label_values(&[result]).get();
        eventually("it was tried", PATIENCE, || async { count("exported") + count("failed") >= 1 }).await;
        (count("exported"), count("failed"))
    };
    assert_eq!(results(&authority).await, (1, 0));
    spans(&collector, "message", 1).await;
    assert_eq!(results(&Authority::new()).await, (0, 1));
    spans(&collector, "message", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_costs_the_spans_and_nothing_else() {
    let nobody = Collector::start().await.address;
    let node = TestNode::start(&traced_config(format!("http://{nobody}/not/here"))).await;
    let (mut vehicle, mut driver) = (node.client("vehicle:V").await, node.client("driver:D").await);
    send(&mut vehicle, &mut driver, "vehicle:position_update", "driver:D").await;
    let failed = node.node.metrics.spans.with_label_values(&["failed"]);
    eventually("the span is given up", PATIENCE, || async { failed.get() == 1 }).await;
    send(&mut vehicle, &mut driver, "vehicle:position_update", "driver:D").await;
}
