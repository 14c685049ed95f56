//! A slot of a Cluster moves from one server to another: what is in it is refused meanwhile or done, and all is found
//! again at the other.

use std::time::Duration;

use bytes::Bytes;
use signalbox_registry::log::{Audience, Entry, Limits, Read};
use signalbox_registry::{Destination, Error};
use signalbox_testkit::{RedisCluster, eventually};

use super::node_with;
use crate::lock::{ask, granted};
use crate::world::{Node, SOON, agent, config_of, deliver, tenant, topic};

/// From the end of the move.
const FLOWS_WITHIN: Duration = Duration::from_secs(5);

fn entry(number: usize) -> Entry {
    Entry {
        tenant: tenant("acme"),
        topic: topic("order:1"),
        audience: Audience::Followers,
        source: agent("user:U"),
        id: number.to_string(),
        body: Bytes::from(number.to_string()),
    }
}

async fn cluster() -> (signalbox_testkit::AnyRedis, Node, Node) {
    let redis = signalbox_testkit::AnyRedis::cluster().await;
    let config = config_of(&redis);
    let (a, b) = (node_with("a", &config).await, node_with("b", &config).await);
    (redis, a, b)
}

fn servers(redis: &signalbox_testkit::AnyRedis) -> &RedisCluster {
    let signalbox_testkit::AnyRedis::Cluster(cluster) = redis else { panic!("it was started so") };
    cluster
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_while_a_slot_moves_is_stored_once_and_in_order() {
    let (redis, a, b) = cluster().await;
    b.cluster.bus.subscribe(&tenant("acme"), &topic("order:1")).await.unwrap();
    for number in 0..20 {
        a.cluster.log.append(&entry(number)).await.unwrap();
    }
    let slot = servers(&redis).slot("sb:{acme:order:1}");
    let ends = servers(&redis).open_move(slot);
    let refused = a.cluster.log.append(&entry(20)).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "an open slot takes no scripts: {refused:?}");
    let refused = a.cluster.locks.acquire(&ask("order:1", "vehicle:1")).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    servers(&redis).finish_move(slot, ends);
    // The server that had the slot tells where it is.
    a.cluster.log.append(&entry(20)).await.unwrap();
    let [head] =
        a.cluster.log.heads(&[(tenant("acme"), topic("order:1"))]).await.unwrap().try_into().unwrap();
    assert_eq!(head.offset, 21, "nothing was stored twice");
    let start = signalbox_protocol::control::Position { offset: 0, ..head };
    let limits = Limits { entries_max: 100, bytes_max: 10_000 };
    let read = a.cluster.log.read(&tenant("acme"), &topic("order:1"), &start, limits).await.unwrap();
    let Read::Page(page) = read else { panic!("{read:?}") };
    assert_eq!(page.bodies, (0..=20).map(|number| Bytes::from(number.to_string())).collect::<Vec<_>>());
    granted(a.cluster.locks.acquire(&ask("order:1", "vehicle:1")).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_follows_a_slot_that_moves_follows_it_where_it_went_and_is_told() {
    let (redis, a, b) = cluster().await;
    let group = Destination::Group(tenant("acme"), topic("order:1"));
    b.cluster.bus.subscribe(&tenant("acme"), &topic("order:1")).await.unwrap();
    let post = || a.cluster.bus.post_confirmed(&group, deliver("order:1", "x"));
    assert_eq!(post().await.unwrap(), 1);
    let slot = servers(&redis).slot("sb:{acme:order:1}");
    for moves in 1..=2 {
        let ends = servers(&redis).open_move(slot);
        servers(&redis).finish_move(slot, ends);
        eventually("it is followed again", FLOWS_WITHIN, || async {
            post().await.is_ok_and(|nodes| nodes == 1)
        })
        .await;
        eventually("the break is told", SOON, || async { b.heard.reconnects() >= moves }).await;
        b.ready().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_is_back_before_anybody_looks_is_followed_again_and_the_break_is_told() {
    let (redis, a, b) = cluster().await;
    // A slot of the first of the servers goes to the second and back.
    let first = servers(&redis).masters()[0].port();
    let slot_of = |id: &usize| servers(&redis).slot(&format!("sb:{{acme:order:{id}}}"));
    let id = (0..).find(|id| servers(&redis).master_of(slot_of(id)).port() == first).unwrap();
    let (name, slot) = (format!("order:{id}"), slot_of(&id));
    b.cluster.bus.subscribe(&tenant("acme"), &topic(&name)).await.unwrap();
    for _ in 0..2 {
        let ends = servers(&redis).open_move(slot);
        servers(&redis).finish_move(slot, ends);
    }
    assert_eq!(servers(&redis).master_of(slot).port(), first);
    let group = Destination::Group(tenant("acme"), topic(&name));
    let post = || a.cluster.bus.post_confirmed(&group, deliver(&name, "x"));
    eventually("it is followed again", FLOWS_WITHIN, || async { post().await.is_ok_and(|nodes| nodes == 1) })
        .await;
    eventually("the break is told", SOON, || async { b.heard.reconnects() >= 1 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_channel_to_a_node_moves_with_its_slot() {
    let (redis, a, b) = cluster().await;
    let to = Destination::Node(b.id().clone());
    let post = || a.cluster.bus.post_confirmed(&to, deliver("vehicle:1", "x"));
    assert_eq!(post().await.unwrap(), 1);
    let slot = servers(&redis).slot("sb:node:{b}");
    let ends = servers(&redis).open_move(slot);
    servers(&redis).finish_move(slot, ends);
    eventually("the node is reached", FLOWS_WITHIN, || async { post().await.is_ok_and(|nodes| nodes == 1) })
        .await;
    // Wakes go to the same node by another way.
    let holder = a.takes(&ask("gate", "vehicle:1")).await;
    let next = b.lines_up(crate::lock::line::waiting("gate", "vehicle:2")).await;
    a.releases("gate", &holder.token).await;
    crate::lock::line::got(next).await;
}

/// What `docs/operations.md` says between this mark and the end of the block.
fn documented(mark: &str) -> Vec<&'static str> {
    let text = include_str!("../../../../docs/operations.md");
    let (_, block) = text.split_once(&format!("<!-- {mark} -->\n```\n")).unwrap();
    block.split_once("\n```").unwrap().0.split_whitespace().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_user_is_enough_in_a_cluster() {
    let redis = signalbox_testkit::AnyRedis::cluster().await;
    let mut rules = documented("acl");
    rules.extend(documented("acl cluster"));
    let rules: Vec<_> = rules.into_iter().map(str::to_lowercase).collect();
    redis.cli_everywhere(&rules.iter().map(String::as_str).collect::<Vec<_>>());
    let url = redis.url().replacen("redis://", "redis://signalbox:change-me@", 1);
    let config = signalbox_registry::redis::RedisConfig { url, ..config_of(&redis) };
    let (a, b) = (node_with("a", &config).await, node_with("b", &config).await);
    b.register(&b.row(1, "vehicle:V17")).await;
    b.cluster.bus.subscribe(&tenant("acme"), &topic("order:1")).await.unwrap();
    a.cluster.log.append(&entry(1)).await.unwrap();
    eventually("it is told", SOON, || async { b.heard.logged.lock().unwrap().len() == 1 }).await;
    assert_eq!(a.cluster.bus.followed(&tenant("acme")).await.unwrap(), [(topic("order:1"), 1)]);
    b.cluster.bus.unsubscribe(&tenant("acme"), &topic("order:1"));
    let holder = a.takes(&ask("gate", "vehicle:1")).await;
    assert_eq!(a.cluster.locks.list(&tenant("acme"), None, 10).await.unwrap().items.len(), 1);
    a.releases("gate", &holder.token).await;
    assert_eq!(redis.cli_everywhere(&["acl", "log"]).trim(), "", "nothing was refused");
}
