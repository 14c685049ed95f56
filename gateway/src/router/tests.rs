//! The router's promises, on three nodes over the memory back end.

use std::sync::Arc;

use serde_json::{Value, json};
use signalbox_protocol::error::ErrorCode;
use signalbox_registry::memory::MemoryCluster;
use smallvec::smallvec;

use super::*;
use crate::node::Node;
use crate::roster;
use crate::testing::{default_settings, join, lone_node, node_in, queued, tenant, topic};
use crate::ws::answer::reply;

fn message(to: &[&str], confirm: bool) -> Message {
    Message {
        tenant: tenant("default"),
        to: to.iter().map(|name| (topic(name), 0)).collect(),
        frame: reply("test:message", None, &json!({"to": to})),
        except: None,
        confirm,
    }
}

async fn send(node: &Arc<Node>, message: Message) -> Result<(), Fault> {
    match node.router.send(message) {
        Routed::Done => Ok(()),
        Routed::Pending(rest) => rest.await,
    }
}

fn types(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["type"].as_str().unwrap()).collect()
}

async fn three_nodes() -> [Arc<Node>; 3] {
    let cluster = MemoryCluster::new();
    let mut nodes = Vec::new();
    for name in ["n1", "n2", "n3"] {
        nodes.push(node_in(&cluster, name, default_settings()).await);
    }
    nodes.try_into().expect("three were made")
}

#[tokio::test(start_paused = true)]
async fn any_node_reaches_an_agent_on_any_node() {
    let nodes = three_nodes().await;
    let mut vehicles = Vec::new();
    for (place, node) in nodes.iter().enumerate() {
        vehicles.push(join(node, &format!("agent_type=vehicle&agent_id=V{place}")).await);
    }
    for node in &nodes {
        for (place, vehicle) in vehicles.iter().enumerate() {
            for confirm in [false, true] {
                send(node, message(&[&format!("vehicle:V{place}")], confirm)).await.unwrap();
                send(node, message(&[&format!("connection:{}", vehicle.id())], confirm)).await.unwrap();
                send(node, message(&[vehicle.profile().session.as_str()], confirm)).await.unwrap();
            }
            assert_eq!(queued(vehicle).len(), 6);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_message_reaches_followers_on_every_node_once() {
    let nodes = three_nodes().await;
    let mut drivers = Vec::new();
    for node in &nodes {
        drivers.push(join(node, "agent_type=driver").await);
        drivers.push(join(node, "agent_type=driver").await);
    }
    let guest = join(&nodes[0], "").await;
    send(&nodes[1], message(&["agent_type:driver"], true)).await.unwrap();
    assert!(drivers.iter().all(|driver| queued(driver).len() == 1));
    assert_eq!(queued(&guest).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_there_is_told_to_who_asked_and_counted_for_who_did_not() {
    let node = lone_node().await;
    let fault = send(&node, message(&["vehicle:nobody"], true)).await.unwrap_err();
    assert_eq!(fault.code, ErrorCode::NotFound);
    send(&node, message(&["vehicle:nobody"], false)).await.unwrap();
    assert_eq!(node.metrics.dropped_unroutable.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn of_several_topics_the_failed_ones_are_named() {
    let node = lone_node().await;
    let driver = join(&node, "agent_type=driver&agent_id=D").await;
    let to = ["vehicle:nobody", "driver:D", "agent_type:driver"];
    let fault = send(&node, message(&to, true)).await.unwrap_err();
    assert_eq!(fault.details, Some(json!({"failed": {"vehicle:nobody": "not_found"}})));
    assert_eq!(types(&queued(&driver)), ["test:message", "test:message"]);
}

#[tokio::test(start_paused = true)]
async fn a_stale_route_loses_one_message_and_is_forgotten() {
    let [near, far, other] = three_nodes().await;
    let vehicle = join(&far, "agent_type=vehicle&agent_id=V").await;
    send(&near, message(&["vehicle:V"], false)).await.unwrap();
    assert_eq!(queued(&vehicle).len(), 1);
    roster::leave(&far, &vehicle).await;
    let moved = join(&other, "agent_type=vehicle&agent_id=V").await;
    send(&near, message(&["vehicle:V"], false)).await.unwrap();
    assert_eq!(queued(&moved).len(), 0, "sent along the old route, dropped and counted");
    assert_eq!(far.metrics.dropped_unroutable.get(), 1);
    send(&near, message(&["vehicle:V"], false)).await.unwrap();
    assert_eq!(queued(&moved).len(), 1, "the far node said that nobody is there");
}

#[tokio::test(start_paused = true)]
async fn the_sender_gets_no_echo() {
    let node = lone_node().await;
    let driver = join(&node, "agent_type=driver").await;
    let mut echo = message(&["agent_type:driver"], false);
    echo.except = Some(driver.number());
    echo.to = smallvec![(topic("agent_type:driver"), 0)];
    send(&node, echo).await.unwrap();
    assert_eq!(queued(&driver).len(), 0);
}
