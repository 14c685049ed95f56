//! Nodes behind a real nginx with the configuration of `nginx/`.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::json;
use signalbox_client::ClientConfig;
use signalbox_gateway::admission::Rank;
use signalbox_testkit::{Nginx, RedisServer, eventually};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::{Client, PATIENCE};
use crate::fixture::{TestCluster, TestNode};
use crate::http::{call, call_with};
use crate::process::NodeProcess;

fn address(nginx: &Nginx) -> SocketAddr {
    ([127, 0, 0, 1], nginx.port()).into()
}

impl TestCluster {
    fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(|node| node.address.port()).collect()
    }
}

/// So many more clients through nginx, one after the other.
async fn newcomers(nginx: &Nginx, number: usize) -> Vec<Client> {
    let mut clients = Vec::new();
    for number in 0..number {
        clients.push(Client::connect_as(address(nginx), &format!("vehicle:V{number}"), "").await);
    }
    clients
}

/// How many of them are on which node.
fn spread(clients: &[Client]) -> BTreeMap<&str, usize> {
    clients.iter().fold(BTreeMap::new(), |mut nodes, client| {
        *nodes.entry(client.text("node_id")).or_default() += 1;
        nodes
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_all_nodes_talk_through_nginx() {
    let cluster = TestCluster::start(3).await;
    let nginx = Nginx::start(&cluster.ports()).await;
    let mut clients = newcomers(&nginx, 6).await;
    assert_eq!(spread(&clients).into_values().collect::<Vec<_>>(), [2, 2, 2], "each node has its share");
    let mut sender = clients.remove(0);
    let data = "x".repeat(900_000);
    for (number, receiver) in clients.iter_mut().enumerate() {
        let ack = sender.emit("test:large", &format!("vehicle:V{}", number + 1), json!(data)).await;
        assert_eq!(ack["type"], "system:ack", "{ack}");
        assert_eq!(receiver.expect("test:large").await, data);
    }
    assert_eq!(call(address(&nginx), "GET", "/readyz", "").await.0, 200);
    assert_eq!(call(address(&nginx), "GET", "/metrics", "").await.0, 404, "that is not for strangers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_back_gets_its_share() {
    let redis = RedisServer::start().await;
    let staying = NodeProcess::start(&redis.url()).await;
    let mut killed = NodeProcess::start(&redis.url()).await;
    let nginx = Nginx::start(&[staying.address.port(), killed.address.port()]).await;
    let before = newcomers(&nginx, 4).await;
    killed.kill();
    let meanwhile = newcomers(&nginx, 4).await;
    let id = staying.node_id().await;
    assert_eq!(spread(&meanwhile), BTreeMap::from([(id.as_str(), 4)]));
    killed.start_again().await;
    let after = newcomers(&nginx, 6).await;
    let back = killed.node_id().await;
    assert_eq!(spread(&after), BTreeMap::from([(back.as_str(), 6)]), "until it has as many as the other");
    drop((before, meanwhile));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_drains_gets_nobody() {
    let cluster = TestCluster::start(2).await;
    let nginx = Nginx::start(&cluster.ports()).await;
    let [staying, leaving] = &cluster.nodes[..] else { unreachable!("two were started") };
    // Handshakes that are under way keep the drains from ending.
    let under_way = [staying, leaving].map(|node| node.node.admission.admit(Rank::First).unwrap());
    let drain = async |node: &TestNode| {
        let path = format!("/api/nodes/{}/drain", node.node.cluster.node.id());
        assert_eq!(call(address(&nginx), "POST", &path, "").await.0, 202);
        let refuses = || async { Client::refusal_or_welcome(node.address, "/ws").await == 503 };
        eventually("it refuses", PATIENCE, refuses).await;
    };
    drain(leaving).await;
    let clients = newcomers(&nginx, 4).await;
    let id = staying.node.cluster.node.id();
    assert_eq!(spread(&clients), BTreeMap::from([(id.as_str(), 4)]));
    let asked = leaving.node.metrics.handshakes.with_label_values(&["refused_draining"]).get();
    assert!(asked > 1, "nginx asked it and went on to the other");
    drain(staying).await;
    let upgrade = [
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let (status, head, _) = call_with(address(&nginx), "GET", "/ws", &upgrade, "").await;
    assert!(
        status == 503 && head.contains("\r\nretry-after: "),
        "with nobody left the client is told: {head}"
    );
    drop(under_way);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_under_load_loses_nothing() {
    let cluster = TestCluster::start(2).await;
    let nginx = Nginx::start(&cluster.ports()).await;
    let config = |agent: &str| {
        ClientConfig::new(format!("ws://{}/ws", address(&nginx)))
            .query("agent_type", "service")
            .query("agent_id", agent)
    };
    let reader = signalbox_client::Client::connect(config("reader")).await.unwrap();
    let mut heard = reader.on("test:numbered");
    reader.subscribe(["route:12"]).await.unwrap();
    let writer = signalbox_client::Client::connect(config("writer")).await.unwrap();
    let (load, reloaded) = (TaskTracker::new(), CancellationToken::new());
    let done = reloaded.clone();
    let sent = load.spawn(async move {
        let mut number = 0;
        while !done.is_cancelled() {
            number += 1;
            writer.emit_acked("test:numbered", json!(number), "route:12").await.unwrap();
        }
        (number, writer.stats().reconnects)
    });
    let (done, at) = (reloaded.clone(), address(&nginx));
    let newcomers = load.spawn(async move {
        while !done.is_cancelled() {
            Client::connect_as(at, "vehicle:new", "").await.close().await;
        }
    });
    for _ in 0..3 {
        nginx.reload(&cluster.ports()).await;
    }
    reloaded.cancel();
    newcomers.await.expect("everybody was let in");
    let (sent, reconnects) = sent.await.expect("every message was acknowledged");
    assert!(sent > 3, "there was load: {sent}");
    for number in 1..=sent {
        assert_eq!(heard.recv().await.unwrap().data::<i32>().unwrap(), number);
    }
    assert_eq!((reconnects, reader.stats().reconnects), (0, 0), "nobody was cut off");
    reader.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_writes_down_who_came_and_no_token() {
    let mut cluster = TestCluster::start(1).await;
    let gone = RedisServer::not_started().port();
    let nginx = Nginx::start(&[cluster.ports()[0], gone]).await;
    for _ in 0..4 {
        Client::connect(address(&nginx), "/ws?agent_type=driver&trace=canary").await;
    }
    cluster.nodes.clear();
    let down = || async { call(address(&nginx), "GET", "/ws?access_token=canary", "").await.0 == 502 };
    eventually("no node is left", PATIENCE, down).await;
    let written = || std::future::ready(nginx.logs().contains(r#""path":"/ws","status":502"#));
    eventually("it is written down", PATIENCE, written).await;
    assert!(!nginx.logs().contains("canary"), "{}", nginx.logs());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_may_be_silent_for_an_hour() {
    let nginx = Nginx::start(&[1]).await;
    let configuration = nginx.configuration();
    let (_, websockets) = configuration.split_once("location /ws {").unwrap();
    let websockets = websockets.split_once('}').unwrap().0;
    for timeout in ["proxy_read_timeout 3600s;", "proxy_send_timeout 3600s;"] {
        assert!(websockets.contains(timeout), "{websockets}");
    }
}
