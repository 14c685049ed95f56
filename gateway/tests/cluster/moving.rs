//! The client library against real nodes: it moves when its node stops, in order or not, and takes along what it had.

use std::time::Duration;

use serde_json::json;
use signalbox_client::{Client, ClientConfig, CloseCause, Event, Events, RecvError, Subscription};
use signalbox_protocol::Received;
use signalbox_testkit::eventually;
use tokio::time::timeout;

use crate::client::PATIENCE;
use crate::fixture::{TestCluster, TestNode, config};
use crate::http::call;

/// An agent that comes to the first of `nodes` first.
async fn connect(agent: (&str, &str), nodes: &[&TestNode]) -> Client {
    let mut urls = nodes.iter().map(|node| format!("ws://{}/ws", node.address));
    let config = ClientConfig::new(urls.next().expect("there is a node"));
    let config = urls.fold(config, ClientConfig::endpoint).keep_order();
    let config = config.query("agent_type", agent.0).query("agent_id", agent.1);
    let waits = config.reconnect_waits(Duration::from_millis(50), Duration::from_millis(500));
    Client::connect(waits).await.expect("the node takes it")
}

/// The next message, whatever was declared missing before it.
async fn next(messages: &mut Subscription) -> std::sync::Arc<Received> {
    loop {
        match timeout(PATIENCE, messages.recv()).await.expect("in time") {
            Ok(message) => return message,
            Err(RecvError::Lost(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Waits until the connection has ended; why.
async fn disconnected(events: &mut Events) -> CloseCause {
    loop {
        let event = timeout(PATIENCE, events.next()).await.expect("in time").expect("the client lives");
        if let Event::Disconnected { closed } = event {
            return closed.cause;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_moves_when_its_node_is_drained() {
    let cluster = TestCluster::start(2).await;
    let (leaving, staying) = (&cluster.nodes[0], &cluster.nodes[1]);
    let vehicle = connect(("vehicle", "V1"), &[leaving, staying]).await;
    let driver = connect(("driver", "D1"), &[staying]).await;
    let (mut heard, mut events) = (vehicle.on("dispatch:note"), vehicle.events());
    vehicle.subscribe("route:12").await.unwrap();
    let before = vehicle.welcome().unwrap();
    driver.emit_acked("dispatch:note", 1, ["vehicle:V1", "route:12"]).await.unwrap();
    assert_eq!(next(&mut heard).await.data.get(), "1");

    let path = format!("/api/nodes/{}/drain", leaving.node.cluster.node.id());
    assert_eq!(call(staying.address, "POST", &path, "").await.0, 202);
    let cause = disconnected(&mut events).await;
    assert!(matches!(cause, CloseCause::ByNode { code: 1012, .. }), "{cause}");
    // Sent before it has come back: goes out once it has.
    vehicle.emit("dispatch:arrived", json!({}), "driver:D1").await.unwrap();
    timeout(PATIENCE, vehicle.opened()).await.expect("in time").unwrap();
    let after = vehicle.welcome().unwrap();
    assert_eq!((&after.session_id, &after.agent), (&before.session_id, &before.agent));
    assert_ne!(after.node_id, before.node_id);

    // Its topics are joined again, and a copy for each of them is handed over once.
    vehicle.emit_acked("dispatch:ready", json!({}), "driver:D1").await.unwrap();
    for number in 2..5 {
        driver.emit_acked("dispatch:note", number, ["vehicle:V1", "route:12"]).await.unwrap();
        assert_eq!(next(&mut heard).await.data.get(), number.to_string());
    }
    assert_eq!(vehicle.stats().reconnects, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_are_too_many_for_one_node_move_to_the_other() {
    let mut sharing = config(None);
    sharing.connection.shed_over_mean_percent = 10;
    sharing.connection.shed_after = Duration::from_secs(5);
    let cluster = TestCluster::start_with(2, sharing).await;
    let (full, empty) = (&cluster.nodes[0], &cluster.nodes[1]);
    let mut vehicles = Vec::new();
    for number in 0..20 {
        vehicles.push(connect(("vehicle", &format!("V{number}")), &[full, empty]).await);
    }
    let shared = || async { (full.node.hub.len(), empty.node.hub.len()) == (11, 9) };
    eventually("each has its share", 3 * PATIENCE, shared).await;
    assert_eq!(full.node.metrics.departures.with_label_values(&["balance"]).get(), 9);
    for (number, vehicle) in vehicles.iter().enumerate() {
        timeout(PATIENCE, vehicle.opened()).await.expect("in time").unwrap();
        assert_eq!(vehicle.stats().reconnects, u64::from(number < 9), "who came first goes first");
        let mut heard = vehicle.on("dispatch:note");
        let to = format!("vehicle:V{number}");
        vehicles[(number + 1) % 20].emit_acked("dispatch:note", number, [to.as_str()]).await.unwrap();
        assert_eq!(next(&mut heard).await.data.get(), number.to_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_goes_on_although_its_node_is_gone() {
    let mut cluster = TestCluster::start(2).await;
    let doomed = cluster.nodes.remove(0);
    let survivor = &cluster.nodes[0];
    let user = connect(("user", "7"), &[&doomed, survivor]).await;
    let mut events = user.events();
    drop(doomed);
    disconnected(&mut events).await;
    let sent =
        user.emit_acked_within(PATIENCE, "order:new", json!({"order_id": "1"}), "agent_type:driver").await;
    assert!(!sent.unwrap().id.is_empty(), "it was sent while there was no connection");
    assert_eq!(user.welcome().unwrap().node_id, *survivor.node.cluster.node.id());
}
