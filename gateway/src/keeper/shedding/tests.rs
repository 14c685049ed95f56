//! Clients that read nothing, and others.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use signalbox_registry::memory::MemoryCluster;

use super::*;
use crate::keeper;
use crate::node::Settings;
use crate::testing::{Client, default_settings, join, node_in};
use crate::ws::answer::reply;
use crate::ws::outbox::{Keep, Pushed};

async fn node(outboxes_bytes_max: usize) -> Arc<Node> {
    node_in(&MemoryCluster::new(), "n1", Settings { outboxes_bytes_max, ..default_settings() }).await
}

/// Connections for each of which so many bytes wait.
async fn waiting(node: &Arc<Node>, bytes: &[usize]) -> Vec<Arc<Connection>> {
    let mut connections = Vec::new();
    for bytes in bytes {
        let connection = join(node, "").await;
        assert_eq!(connection.outbox().push(Bytes::from(vec![0; *bytes]), Keep::Always), Pushed::Queued);
        connections.push(connection);
    }
    connections
}

fn left(connections: &[Arc<Connection>]) -> Vec<(Option<CloseCode>, usize)> {
    connections
        .iter()
        .map(|connection| (connection.outbox().closing(), connection.outbox().bytes()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_worst_go_until_the_bound_is_kept_and_the_others_stay() {
    let node = node(1_000).await;
    let connections = waiting(&node, &[100, 700, 300, 500, 200]).await;
    shed(&node, usize::MAX);
    let gone = (Some(CloseCode::SlowConsumer), 0);
    assert_eq!(left(&connections), [(None, 100), gone, (None, 300), gone, (None, 200)]);
    assert_eq!((node.metrics.sheds.get(), node.metrics.dropped_closing.get()), (2, 2));
    shed(&node, usize::MAX);
    assert_eq!(node.metrics.sheds.get(), 2, "it is kept now");
}

#[tokio::test(start_paused = true)]
async fn within_the_bound_and_without_one_nobody_goes() {
    for most in [0, 1_800] {
        let node = node(most).await;
        let connections = waiting(&node, &[100, 700, 1_000]).await;
        shed(&node, usize::MAX);
        assert_eq!(left(&connections), [(None, 100), (None, 700), (None, 1_000)]);
        assert_eq!(node.metrics.sheds.get(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_closed_already_gives_its_memory_first_and_keeps_its_code() {
    let node = node(1_000).await;
    let connections = waiting(&node, &[900, 800]).await;
    connections[0].outbox().close(CloseCode::ServiceRestart);
    shed(&node, usize::MAX);
    assert_eq!(left(&connections), [(Some(CloseCode::ServiceRestart), 0), (None, 800)]);
    assert_eq!(node.metrics.sheds.get(), 0, "nobody was closed for it");
}

#[tokio::test(start_paused = true)]
async fn who_reads_nothing_is_told_4413_and_who_reads_goes_on() {
    let node = node(64 * 1_024).await;
    let mut mute = Client::connect_through(&node, "agent_type=dashboard&agent_id=D", 64).await;
    let mut reader = Client::connect(&node, "agent_type=vehicle&agent_id=V").await;
    let frame = reply("test:large", None, &json!("x".repeat(1_024)));
    for _ in 0..100 {
        let keep = Keep::Ephemeral { conflation: 0 };
        assert_eq!(mute.connection.outbox().push(frame.clone(), keep), Pushed::Queued);
        reader.connection.outbox().push(frame.clone(), keep);
        assert_eq!(reader.next().await["type"], "test:large");
    }
    drop(keeper::spawn(&node));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(mute.close_code().await, 4413);
    assert_eq!(reader.connection.outbox().closing(), None);
}
