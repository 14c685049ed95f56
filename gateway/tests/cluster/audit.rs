//! The directory and the sockets of a node are compared, and what differs is told and set right.

use std::time::Duration;

use signalbox_testkit::{AnyRedis, eventually};

use crate::client::PATIENCE;
use crate::fixture::{TestCluster, TestNode, config};

async fn watched_cluster() -> TestCluster {
    let mut config = config(None);
    config.redis.audit_interval = Duration::from_millis(300);
    TestCluster::start_with(2, config).await
}

/// Stale, missing, and found in all.
fn told(node: &TestNode) -> [u64; 3] {
    let directory = &node.node.metrics.directory;
    [directory.stale.get() as u64, directory.missing.get() as u64, directory.differences.get()]
}

async fn audits(node: &TestNode, more: u64) {
    let done = node.node.metrics.directory.audits.with_label_values(&["done"]);
    let until = done.get() + more;
    eventually("audits pass", PATIENCE, || async { done.get() >= until }).await;
}

fn index_of(node: &TestNode) -> String {
    let this = &node.node.cluster.node;
    format!("sb:node:{{{}}}:conns:{}", this.id(), this.generation())
}

/// Writes a row of a connection that does not exist.
fn plant(redis: &AnyRedis, node: &TestNode) {
    let index = index_of(node);
    assert_eq!(redis.cli_at(&index, &["hset", &index, "zz", "default|vehicle:GHOST|0||~abc"]), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_without_a_socket_and_a_socket_without_a_row_are_told_and_set_right() {
    let cluster = watched_cluster().await;
    let [one, two] = [&cluster.nodes[0], &cluster.nodes[1]];
    let (vehicle, _other) = (one.client("vehicle:V").await, two.client("vehicle:W").await);
    audits(one, 2).await;
    assert_eq!((told(one), one.node.metrics.directory.rows.get()), ([0; 3], 1));

    plant(&cluster.redis, one);
    eventually("the stale row is told", PATIENCE, || async { told(one)[0] == 1 }).await;
    let index = index_of(one);
    eventually("and removed", PATIENCE, || async { cluster.redis.cli_at(&index, &["hlen", &index]) == "1" })
        .await;
    eventually("and told no more", PATIENCE, || async { told(one)[0] == 0 }).await;

    let record = "sb:{default:vehicle:V}:conns";
    assert_eq!(cluster.redis.cli_at(record, &["hdel", record, vehicle.text("connection_id")]), "1");
    eventually("the missing row is told", PATIENCE, || async { told(one)[1] == 1 }).await;
    eventually("and written", PATIENCE, || async { cluster.redis.cli_at(record, &["hlen", record]) == "1" })
        .await;
    eventually("and told no more", PATIENCE, || async { told(one)[1] == 0 }).await;
    assert_eq!(told(two), [0; 3], "the other node has nothing to do with that");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn coming_and_going_is_no_difference() {
    let cluster = watched_cluster().await;
    let node = &cluster.nodes[0];
    for round in 0..40 {
        let clients = [node.client(&format!("vehicle:A{round}")).await, node.client("vehicle:B").await];
        for client in clients {
            client.close().await;
        }
    }
    audits(node, 3).await;
    assert_eq!(told(node), [0; 3]);
    eventually("no row is left", PATIENCE, || async { node.node.metrics.directory.rows.get() == 0 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_came_last_of_many_is_asked_for_as_well() {
    let cluster = watched_cluster().await;
    let node = &cluster.nodes[0];
    // More than one question's worth.
    let mut clients = Vec::new();
    for number in 0..20 {
        clients.push(node.client(&format!("vehicle:A{number}")).await);
    }
    let (record, last) = ("sb:{default:vehicle:A19}:conns", clients[19].text("connection_id"));
    assert_eq!(cluster.redis.cli_at(record, &["hdel", record, last]), "1");
    eventually("the missing row is written", PATIENCE, || async {
        cluster.redis.cli_at(record, &["hlen", record]) == "1"
    })
    .await;
    assert_eq!(node.node.metrics.directory.differences.get(), 1);
}
