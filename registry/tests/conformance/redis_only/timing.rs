//! How long Redis takes is measured, whichever connection it is asked by.

use std::time::Duration;

use signalbox_registry::Measured;
use signalbox_registry::measured::{Failure, Way};
use signalbox_registry::redis::RedisConfig;
use signalbox_testkit::RedisServer;

use super::{node_at, node_with};
use crate::world::tenant;

/// How many answers were measured.
fn answers(measured: &Measured, way: Way, command: &str) -> u64 {
    let mut all = measured.commands();
    all.find(|(of, name, _)| (*of, *name) == (way, command)).map_or(0, |(_, _, spread)| spread.count())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_by_the_pool_is_measured_as_well() {
    let server = RedisServer::start().await;
    let node = node_at("A", &server.url()).await;
    let measured = &node.cluster.measured;
    let (scans, sweeps) = (answers(measured, Way::Pool, "pubsub"), answers(measured, Way::Pool, "evalsha"));
    for round in 1..=3 {
        node.cluster.bus.followed(&tenant("t")).await.unwrap();
        node.cluster.lease.sweep().await.unwrap();
        assert_eq!(answers(measured, Way::Pool, "pubsub"), scans + round);
    }
    assert!(answers(measured, Way::Pool, "evalsha") >= sweeps + 3);
    assert_eq!(answers(measured, Way::Shared, "pubsub"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_no_connection_in_the_pool_is_counted() {
    let server = RedisServer::start().await;
    let patience = Duration::from_millis(100);
    let config = RedisConfig { connect_timeout: patience, ..RedisConfig::new(&server.url()) };
    let node = node_with("A", &RedisConfig { command_timeout: patience, ..config }).await;
    let measured = &node.cluster.measured;
    let before = measured.failures(Failure::Down);
    server.pause();
    node.cluster.bus.followed(&tenant("t")).await.unwrap_err();
    server.resume();
    assert!(measured.failures(Failure::Down) > before);
}
