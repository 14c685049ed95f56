//! What is seen when something breaks: a node killed, paused or stopped; Redis away, emptied or replaced.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use serde_json::json;
use signalbox_testkit::{Forwarder, RedisServer, eventually};

use crate::client::Client;
use crate::fixture::{TestCluster, TestNode, config};
use crate::http::{call, get};
use crate::process::NodeProcess;

const LEASE: Duration = Duration::from_secs(5);
/// What reading the answer may add: these tests run beside others.
const GRACE: Duration = Duration::from_secs(1);

async fn connections_of(address: SocketAddr, agent: &str) -> usize {
    let (_, list) = get(address, &format!("/api/connections?agent={agent}")).await;
    list["items"].as_array().map_or(usize::MAX, Vec::len)
}

/// Sends from `from` to `to` until one arrives, asking again as a client would; how long that took.
async fn flows(from: &mut Client, to: &mut Client, target: &str) -> Duration {
    let began = tokio::time::Instant::now();
    for attempt in 0.. {
        assert!(began.elapsed() < Duration::from_secs(15), "traffic never flowed to {target}");
        let answer = from.emit("test:attempt", target, json!([target, attempt])).await;
        // A group message is acknowledged when the bus has it: whether a node that is just coming back
        // hears it is what we wait for.
        while let Some(message) = to.next_within(Duration::from_millis(50)).await {
            if message["data"] == json!([target, attempt]) {
                assert_eq!(answer["type"], "system:ack", "{answer}");
                return began.elapsed();
            }
        }
    }
    unreachable!("the loop ends by its own deadline")
}

fn keys_of_node(redis: &RedisServer, node_id: &str) -> Vec<String> {
    let all = redis.cli(&["--raw", "keys", "*"]);
    all.lines().filter(|key| key.contains(node_id)).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_nodes_connections_vanish_with_its_lease_and_its_rows_soon_after() {
    let redis = RedisServer::start().await;
    let mut doomed = NodeProcess::start(&redis.url()).await;
    let survivor = NodeProcess::start(&redis.url()).await;
    let node_id = doomed.node_id().await;
    let _vehicle = doomed.client("vehicle:V").await;
    let _pillar = Client::connect_as(doomed.address, "driver:D", "&pillar=p&session_id=S").await;
    let _service = doomed.client("service:S").await;
    let mut watcher = Client::connect(survivor.address, "/ws/system-events?agent_type=dashboard").await;
    assert_eq!(connections_of(survivor.address, "vehicle:V").await, 1);
    doomed.kill();
    let gone = || async { connections_of(survivor.address, "vehicle:V").await == 0 };
    let took = eventually("the dead node's connection is gone", LEASE + GRACE, gone).await;
    assert!(took <= LEASE + GRACE);
    for query in ["agent_type=driver", "pillar=p", "session=S"] {
        let (_, list) = get(survivor.address, &format!("/api/connections?{query}")).await;
        assert_eq!(list["items"], json!([]), "{query}");
    }
    assert_eq!(get(survivor.address, "/api/nodes").await.1["items"].as_array().unwrap().len(), 1);
    let swept = || async { keys_of_node(&redis, &node_id).is_empty() };
    eventually("the sweeper has removed its rows", LEASE + GRACE, swept).await;
    let rows = redis.cli(&["--raw", "keys", "*vehicle:V*"]);
    assert_eq!(rows.trim(), "", "the agent's record is gone too");
    assert_eq!(watcher.expect("system:service_disconnected").await["agent"], "service:S");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_node_comes_back_as_the_next_generation_with_its_clients() {
    let redis = RedisServer::start().await;
    let paused = NodeProcess::start(&redis.url()).await;
    let other = NodeProcess::start(&redis.url()).await;
    let mut vehicle = paused.client("vehicle:V").await;
    vehicle.subscribe(&["route:1"]).await;
    let mut sender = other.client("driver:D").await;
    paused.signal("STOP");
    let gone = || async { connections_of(other.address, "vehicle:V").await == 0 };
    eventually("the paused node's connection is gone", LEASE + GRACE, gone).await;
    let node_swept = || async { !redis.cli(&["--raw", "keys", "*vehicle:V*"]).contains("vehicle:V") };
    eventually("the sweeper has removed its rows", LEASE + GRACE, node_swept).await;
    paused.signal("CONT");
    flows(&mut sender, &mut vehicle, "vehicle:V").await;
    flows(&mut sender, &mut vehicle, "route:1").await;
    let (_, nodes) = get(other.address, "/api/nodes").await;
    let mut generations: Vec<u64> =
        nodes["items"].as_array().unwrap().iter().map(|node| node["generation"].as_u64().unwrap()).collect();
    generations.sort_unstable();
    assert_eq!(generations, [1, 2], "{nodes}");
    assert_eq!(connections_of(other.address, "vehicle:V").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_flows_again_within_three_seconds_when_redis_comes_back_empty() {
    let mut cluster = TestCluster::start_single(2).await;
    let mut sender = cluster.nodes[0].client("driver:D").await;
    let mut vehicle = cluster.nodes[1].client("vehicle:V").await;
    vehicle.subscribe(&["route:1"]).await;
    flows(&mut sender, &mut vehicle, "vehicle:V").await;
    cluster.redis.only().restart_empty().await;
    let point = flows(&mut sender, &mut vehicle, "vehicle:V").await;
    let group = flows(&mut sender, &mut vehicle, "route:1").await;
    assert!(point + group < Duration::from_secs(3), "{point:?} and {group:?}");
    assert!(cluster.nodes.iter().all(|node| node.node.cluster.node.generation() > 1));
}

/// Two nodes behind a path that leads to another Redis from `replace` on; how long traffic took to flow again.
async fn replaced(replace: impl FnOnce(&Forwarder, &RedisServer)) -> Duration {
    let (first, second) = (RedisServer::start().await, RedisServer::start().await);
    let path = Forwarder::start(first.port()).await;
    let config = config(Some(&path.url()));
    let nodes = [TestNode::start(&config).await, TestNode::start(&config).await];
    let mut sender = nodes[0].client("driver:D").await;
    let mut vehicle = nodes[1].client("vehicle:V").await;
    vehicle.subscribe(&["route:1"]).await;
    flows(&mut sender, &mut vehicle, "vehicle:V").await;
    path.replace_target(second.port());
    replace(&path, &first);
    // While the old Redis answers, nothing is wrong yet: wait until a node has taken another generation.
    let moved = || async { nodes.iter().all(|node| node.node.cluster.node.generation() > 1) };
    let moving = eventually("the nodes have moved", Duration::from_secs(10), moved).await;
    let point = flows(&mut sender, &mut vehicle, "vehicle:V").await;
    let group = flows(&mut sender, &mut vehicle, "route:1").await;
    first.resume();
    moving + point + group
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_flows_again_within_three_seconds_when_redis_is_replaced_behind_its_address() {
    let took = replaced(|path, _first| path.cut()).await;
    assert!(took < Duration::from_secs(3), "connections broken: {took:?}");
    let took = replaced(|_path, _first| ()).await;
    assert!(took < Duration::from_secs(3), "old connections still open: {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_flows_again_when_the_replaced_redis_hangs_with_its_connections_open() {
    // Calls that are under way run into their deadlines first; the bound is that of `replaced` itself.
    replaced(|_path, first| first.pause()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_sockets_stay_and_the_same_node_delivers() {
    let mut cluster = TestCluster::start_single(2).await;
    let mut sender = cluster.nodes[0].client("driver:D").await;
    let mut near = cluster.nodes[0].client("vehicle:near").await;
    let mut far = cluster.nodes[1].client("vehicle:far").await;
    for client in [&mut near, &mut far] {
        client.subscribe(&["route:1"]).await;
    }
    cluster.redis.only().kill();
    let away = || async { !*cluster.nodes[0].node.cluster.reachable.borrow() };
    eventually("the node notices", Duration::from_secs(5), away).await;
    assert_eq!(sender.emit("test:hello", "vehicle:near", json!({})).await["type"], "system:ack");
    near.expect("test:hello").await;
    let refused = sender.emit("test:hello", "vehicle:far", json!({})).await;
    assert_eq!(
        (&refused["data"]["code"], &refused["data"]["retryable"]),
        (&json!("unavailable"), &json!(true))
    );
    sender.send(json!({"type": "test:group", "target": "route:1"})).await;
    near.expect("test:group").await;
    far.expect_nothing().await;
    assert_eq!(Client::refusal(cluster.nodes[0].address, "/ws").await, 503);
    let (_, health) = get(cluster.nodes[0].address, "/health").await;
    assert_eq!((&health["status"], &health["redis"]), (&json!("degraded"), &json!("down")));
    cluster.redis.only().start_again().await;
    flows(&mut sender, &mut far, "vehicle:far").await;
    flows(&mut sender, &mut far, "route:1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_starts_without_redis_and_joins_when_it_comes() {
    let mut redis = RedisServer::not_started();
    let config = config(Some(&redis.url()));
    let node = TestNode::start_unready(&config);
    assert_eq!(call(node.address, "GET", "/livez", "").await.0, 200);
    assert_eq!(call(node.address, "GET", "/readyz", "").await.0, 503);
    redis.start_again().await;
    node.ready().await;
    let other = TestNode::start(&config).await;
    let mut vehicle = node.client("vehicle:V").await;
    let mut sender = other.client("driver:D").await;
    flows(&mut sender, &mut vehicle, "vehicle:V").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_node_closes_with_1012_and_leaves_no_rows() {
    let redis = RedisServer::start().await;
    for signal in ["TERM", "INT"] {
        let node = NodeProcess::start(&redis.url()).await;
        let node_id = node.node_id().await;
        let mut vehicle = node.client("vehicle:V").await;
        let began = SystemTime::now();
        node.signal(signal);
        assert_eq!(vehicle.close_code().await, Some(1012));
        drop(vehicle);
        assert!(node.ended().await.success(), "SIG{signal}");
        assert!(began.elapsed().unwrap() < LEASE, "nobody waited for a lease");
        assert_eq!(redis.cli(&["--raw", "keys", "*vehicle:V*"]).trim(), "");
        let left: Vec<_> =
            keys_of_node(&redis, &node_id).into_iter().filter(|key| key.contains("conns")).collect();
        assert_eq!(left, Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_announced_with_its_first_connection_and_its_last() {
    let cluster = TestCluster::start(2).await;
    let mut watcher =
        Client::connect(cluster.nodes[0].address, "/ws/system-events?agent_type=dashboard").await;
    let one = cluster.nodes[0].client("service:dispatch").await;
    assert_eq!(watcher.expect("system:service_connected").await["agent"], "service:dispatch");
    let two = cluster.nodes[1].client("service:dispatch").await;
    one.close().await;
    watcher.expect_nothing().await;
    two.close().await;
    assert_eq!(watcher.expect("system:service_disconnected").await["agent"], "service:dispatch");
}
