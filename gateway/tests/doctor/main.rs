//! `signalbox doctor` visits real installations that are set up wrongly, and finds what is wrong with each.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod patient;

use std::time::Duration;

use serde_json::Value;
use signalbox_gateway::config::RedisMode;
use signalbox_testkit::{AnyRedis, Nginx, RedisServer};

use self::patient::{Server, TestNode, Visit};

/// A Redis as it should be.
async fn healthy() -> RedisServer {
    let redis = RedisServer::start_durable().await;
    assert_eq!(redis.cli(&["config", "set", "maxmemory", "100mb"]), "OK");
    redis
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_healthy_installation_is_found_healthy_and_nothing_is_left_behind() {
    let redis = healthy().await;
    let node = TestNode::start(Some(&redis.url())).await;
    let before = redis.cli(&["keys", "*trial*"]);
    let visit = Visit::with(&["--redis", &redis.url(), "--listen", &node.address.to_string()]).await;
    assert_eq!(visit.code, 0, "{}", visit.told);
    for subject in [
        "configuration",
        "identities",
        "stop",
        "port",
        "redis",
        "redis.latency",
        "redis.clock",
        "redis.permissions",
        "redis.memory",
        "redis.eviction",
        "redis.persistence",
        "redis.connections",
        "redis.replication",
        "nodes",
        "node",
    ] {
        assert_eq!(visit.verdict_on(subject), "ok", "{subject}: {}", visit.told);
    }
    assert!(visit.on("port").1.contains("is node "), "{}", visit.told);
    assert!(visit.on("nodes").1.starts_with("1, version "), "{}", visit.told);
    assert!(visit.on("node").1.ends_with(&format!("answers at {}", node.address)), "{}", visit.told);
    assert_eq!((before.as_str(), redis.cli(&["keys", "*trial*"]).as_str()), ("", ""));
    assert!(!redis.cli(&["client", "list"]).contains("doctor"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_master_of_a_cluster_is_visited_and_the_nodes_are_found_wherever_they_stand() {
    let redis = AnyRedis::cluster().await;
    redis.cli_everywhere(&["config", "set", "maxmemory", "100mb"]);
    redis.masters()[1].cli(&["config", "set", "maxmemory-policy", "allkeys-lru"]);
    let node = TestNode::start_in(RedisMode::Cluster, &redis.url()).await;
    let of = ["--redis", &redis.url(), "--set", "redis.mode=cluster", "--listen", &node.address.to_string()];
    let visit = Visit::with(&of).await;
    assert_eq!(visit.verdict_on("redis.clocks"), "ok", "{}", visit.told);
    assert!(visit.on("nodes").1.starts_with("1, version "), "{}", visit.told);
    assert!(visit.on("node").1.ends_with(&format!("answers at {}", node.address)), "{}", visit.told);
    for (number, server) in redis.masters().into_iter().enumerate() {
        let found = format!("127.0.0.1:{}: maxmemory-policy ", server.port());
        let policy = if number == 1 { "allkeys-lru" } else { "noeviction" };
        assert!(visit.told.contains(&(found + policy)), "{}", visit.told);
    }
    assert_eq!(visit.code, 1, "{}", visit.told);
    let alone = RedisServer::start().await;
    let visit = Visit::with(&["--redis", &alone.url(), "--set", "redis.mode=cluster"]).await;
    assert!(visit.on("redis").1.contains("cluster support disabled"), "{}", visit.told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_evicts_and_forgets_is_found_so() {
    let redis = RedisServer::start().await;
    for (field, value) in [("maxmemory", "100mb"), ("maxmemory-policy", "allkeys-lru"), ("appendonly", "no")]
    {
        assert_eq!(redis.cli(&["config", "set", field, value]), "OK");
    }
    let visit = Visit::to_redis(&redis.url()).await;
    assert_eq!(visit.code, 1, "{}", visit.told);
    assert_eq!(visit.on("redis.eviction"), ("wrong", "maxmemory-policy allkeys-lru"));
    assert_eq!(visit.verdict_on("redis.persistence"), "warning");
    assert_eq!(redis.cli(&["config", "set", "maxmemory", "0"]), "OK");
    let visit = Visit::to_redis(&redis.url()).await;
    assert_eq!(visit.code, 0, "warnings alone are no failure: {}", visit.told);
    assert_eq!(visit.verdict_on("redis.eviction"), "warning");
    assert_eq!(visit.verdict_on("redis.memory"), "warning");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_in_place_of_the_primary_is_found_and_so_are_replicas_that_are_not_there() {
    let (primary, replica) = (healthy().await, healthy().await);
    replica.follow(primary.port(), Duration::from_secs(10)).await;
    let visit = Visit::to_redis(&replica.url()).await;
    assert_eq!((visit.code, visit.on("redis.replication")), (1, ("wrong", "its role is slave")));
    let promised = ["--listen", "127.0.0.1:0", "--set", "durable.replicas=2", "--redis", &primary.url()];
    let visit = Visit::with(&promised).await;
    assert_eq!((visit.code, visit.verdict_on("redis.replication")), (1, "wrong"), "{}", visit.told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_may_too_little_is_told_which_commands() {
    let redis = healthy().await;
    let rule =
        ["acl", "setuser", "poor", "on", ">secret", "~sb:*", "&sb:*", "+@all", "-geosearch", "-client|kill"];
    assert_eq!(redis.cli(&rule), "OK");
    let url = format!("redis://poor:secret@127.0.0.1:{}/", redis.port());
    let visit = Visit::to_redis(&url).await;
    assert_eq!(visit.code, 1, "{}", visit.told);
    assert_eq!(visit.on("redis.permissions"), ("wrong", "this user may not: client|kill, geosearch"));
    let elsewhere = ["--listen", "127.0.0.1:0", "--redis", &url, "--set", "redis.prefix=other"];
    let visit = Visit::with(&elsewhere).await;
    assert!(visit.told.contains("mind the keys and channels of redis.prefix"), "{}", visit.told);
    assert!(!visit.told.contains("secret@"), "{}", visit.told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_cannot_be_used_is_told_why_and_passwords_are_not() {
    let mut redis = healthy().await;
    let url = format!("redis://nobody:hunter2@127.0.0.1:{}/", redis.port());
    let visit = Visit::to_redis(&url).await;
    assert_eq!((visit.code, visit.verdict_on("redis")), (1, "wrong"), "{}", visit.told);
    assert!(visit.told.contains("WRONGPASS") && !visit.told.contains("hunter2"), "{}", visit.told);
    redis.pause();
    let visit = Visit::to_redis(&redis.url()).await;
    assert_eq!((visit.code, visit.verdict_on("redis")), (1, "wrong"), "{}", visit.told);
    redis.resume();
    redis.kill();
    let visit = Visit::to_redis(&redis.url()).await;
    assert!(visit.on("redis").1.contains("refused"), "{}", visit.told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_balancer_has_to_pass_upgrades_and_to_bear_silence() {
    let node = TestNode::start(None).await;
    let through = async |url: &str| Visit::with(&["--listen", "127.0.0.1:0", "--url", url]).await;

    let nginx = Nginx::start(&[node.address.port()]).await;
    let visit = through(&format!("ws://127.0.0.1:{}", nginx.port())).await;
    assert_eq!(visit.code, 0, "{}", visit.told);
    assert_eq!(visit.on("balancer.silence"), ("ok", "1s are borne, then the node pings"));

    let impatient = Server::cutting(node.address, Duration::from_millis(300)).await;
    let visit = through(&impatient.url()).await;
    assert_eq!((visit.code, visit.verdict_on("balancer")), (1, "ok"), "{}", visit.told);
    assert!(visit.on("balancer.silence").1.starts_with("cut after "), "{}", visit.told);

    for (status, expected) in [(426, "in place of upgrading"), (503, "finds no node that is ready")] {
        let server = Server::answering(status).await;
        let visit = through(&server.url()).await;
        assert_eq!((visit.code, visit.verdict_on("balancer")), (1, "wrong"), "{}", visit.told);
        assert!(visit.on("balancer").1.contains(expected), "{}", visit.told);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_somebody_else_has_and_a_configuration_that_is_wrong_are_found() {
    let other = Server::answering(404).await;
    let visit = Visit::with(&["--listen", &format!("127.0.0.1:{}", other.port)]).await;
    assert_eq!((visit.code, visit.verdict_on("port")), (1, "wrong"), "{}", visit.told);

    let visit = Visit::with(&["--set", "outbox.byte_max=1", "--set", "stop.timeout=soon"]).await;
    assert_eq!(visit.code, 64, "{}", visit.told);
    assert!(visit.on("configuration").1.contains("did you mean outbox.bytes_max?"), "{}", visit.told);
    assert!(visit.told.contains("stop.timeout is wrong"), "{}", visit.told);

    let visit = Visit::with(&["--listen", "0.0.0.0:0", "--allow-anonymous"]).await;
    assert_eq!((visit.verdict_on("identities"), visit.verdict_on("redis")), ("warning", "warning"));
    let is_json: Result<Value, _> = serde_json::from_str(&visit.told);
    assert!(is_json.is_ok(), "{}", visit.told);
}
