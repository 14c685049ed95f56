//! The bus when its Redis fails: traffic flows again, by itself, and what was lost is counted or told.

use std::time::Duration;

use signalbox_protocol::NodeId;
use signalbox_registry::bus::Break;
use signalbox_registry::redis::RedisConfig;
use signalbox_registry::{Destination, Error};
use signalbox_testkit::{Forwarder, RedisServer, eventually};
use tokio::time::Instant;

use super::{node_at, node_with};
use crate::world::{Node, SOON, deliver, tenant, topic};

/// Within this traffic has to flow again, without restarting anything.
const HEALS_WITHIN: Duration = Duration::from_secs(3);

fn route() -> Destination {
    Destination::Group(tenant("acme"), topic("route:12"))
}

async fn follow(node: &Node) {
    node.cluster.bus.subscribe(&tenant("acme"), &topic("route:12")).await.unwrap();
}

/// Waits until what `from` posts to the group and to `to` gets there.
async fn traffic_flows(from: &Node, to: &Node, within: Duration) {
    let (group, node) = (route(), Destination::Node(to.id().clone()));
    eventually("group traffic flows", within, || async {
        let got = from.cluster.bus.post_confirmed(&group, deliver("route:12", "to the group")).await;
        got.is_ok_and(|nodes| nodes > 0) && to.heard.frames().iter().any(|frame| frame == "to the group")
    })
    .await;
    eventually("traffic to the node flows", within, || async {
        let got = from.cluster.bus.post_confirmed(&node, deliver("vehicle:1", "to the node")).await;
        got.is_ok_and(|nodes| nodes > 0) && to.heard.frames().iter().any(|frame| frame == "to the node")
    })
    .await;
    to.heard.parcels.lock().unwrap().clear();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_flows_again_after_redis_was_restarted_empty() {
    let mut server = RedisServer::start().await;
    let (a, b) = (node_at("a", &server.url()).await, node_at("b", &server.url()).await);
    follow(&b).await;
    traffic_flows(&a, &b, SOON).await;
    server.kill();
    let refused = || a.cluster.bus.post(&route(), deliver("route:12", "lost"));
    eventually("the sender notices", HEALS_WITHIN, || async {
        matches!(refused(), Err(Error::Unavailable(_)))
    })
    .await;
    let dropped = a.cluster.bus.counters().parcels_dropped;
    assert!(refused().is_err());
    assert_eq!(a.cluster.bus.counters().parcels_dropped, dropped + 1);
    eventually("the receiver notices", HEALS_WITHIN, || async { !b.cluster.bus.health().healthy }).await;
    server.start_again().await;
    traffic_flows(&a, &b, HEALS_WITHIN).await;
    eventually("the break is told", HEALS_WITHIN, || async { b.heard.reconnects() > 0 }).await;
    assert!(b.cluster.bus.health().healthy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traffic_flows_again_after_subscribers_were_killed() {
    let server = RedisServer::start().await;
    let (a, b) = (node_at("a", &server.url()).await, node_at("b", &server.url()).await);
    follow(&b).await;
    for kill in 1..=3 {
        assert_ne!(server.cli(&["client", "kill", "type", "pubsub"]), "0");
        traffic_flows(&a, &b, HEALS_WITHIN).await;
        eventually("it is told", HEALS_WITHIN, || async { b.heard.reconnects() == kill }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_took_the_address_is_followed_though_the_old_one_lives() {
    let (old, new) = (RedisServer::start().await, RedisServer::start().await);
    let path = Forwarder::start(old.port()).await;
    let (a, b) = (node_at("a", &path.url()).await, node_at("b", &path.url()).await);
    follow(&b).await;
    traffic_flows(&a, &b, SOON).await;
    path.replace_target(new.port());
    let late = node_at("c", &new.url()).await;
    let replaced = Instant::now();
    // All connections of `b` stand, and the old server answers them.
    traffic_flows(&late, &b, HEALS_WITHIN).await;
    traffic_flows(&a, &b, HEALS_WITHIN).await;
    assert!(replaced.elapsed() < HEALS_WITHIN, "{:?}", replaced.elapsed());
    eventually("the break is told", HEALS_WITHIN, || async { b.heard.reconnects() > 0 }).await;
    assert!(b.cluster.lease.renew(&b.card()).await.is_ok(), "the leases have moved as well");
    assert_eq!(old.cli(&["pubsub", "channels"]), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_one_node_is_bounded_and_hurts_no_other() {
    let server = RedisServer::start().await;
    let bounded = RedisConfig {
        bus_destination_bytes_max: 40_000,
        bus_bytes_max: 60_000,
        ..RedisConfig::new(&server.url())
    };
    let (a, b) = (node_with("a", &bounded).await, node_at("b", &server.url()).await);
    server.pause();
    let frame = "x".repeat(10_000);
    let post = |to: &str| {
        a.cluster.bus.post(&Destination::Node(NodeId::try_new(to).unwrap()), deliver("vehicle:1", &frame))
    };
    for _ in 0..3 {
        post("b").unwrap();
    }
    assert!(matches!(post("b"), Err(Error::BusFull { .. })), "the node's share is full");
    post("c").unwrap();
    post("d").unwrap();
    assert!(matches!(post("e"), Err(Error::BusFull { .. })), "all of it is full");
    let counters = a.cluster.bus.counters();
    assert_eq!(counters.parcels_dropped, 2);
    assert!((50_000..60_000).contains(&counters.bytes_queued), "{}", counters.bytes_queued);
    server.resume();
    b.heard.hears(3).await;
    eventually("nothing waits", SOON, || async { a.cluster.bus.counters().bytes_queued == 0 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dense_lane_sends_together_what_comes_in_a_time() {
    let server = RedisServer::start().await;
    let patient = RedisConfig { bus_gather: Duration::from_secs(2), ..RedisConfig::new(&server.url()) };
    let (a, b) = (node_with("a", &patient).await, node_at("b", &server.url()).await);
    let to_b = Destination::Node(NodeId::try_new("b").unwrap());
    let post = || a.cluster.bus.post(&to_b, deliver("vehicle:1", "here")).unwrap();
    // A tenth of this is what gathers while a PUBLISH is under way.
    let (mut posted, enough) = (0, 100_000);
    while a.cluster.bus.counters().bytes_queued < enough && posted < 400_000 {
        (0..20).for_each(|_| post());
        posted += 20;
        tokio::task::yield_now().await;
    }
    assert!(a.cluster.bus.counters().bytes_queued >= enough, "{posted} were sent as they came");
    b.heard.hears(posted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_pause_parcels_come_in_order_and_each_once() {
    let server = RedisServer::start().await;
    let (a, b) = (node_at("a", &server.url()).await, node_at("b", &server.url()).await);
    let to = Destination::Node(b.id().clone());
    a.cluster.bus.post_confirmed(&to, deliver("vehicle:1", "0")).await.unwrap();
    server.pause();
    let mut unknown = 0;
    for number in 1..=3 {
        let lost = a.cluster.bus.post_confirmed(&to, deliver("vehicle:1", &number.to_string())).await;
        unknown += u32::from(matches!(lost, Err(Error::OutcomeUnknown(_))));
    }
    assert_eq!(unknown, 3);
    server.resume();
    eventually("traffic flows", HEALS_WITHIN, || async {
        let got = a.cluster.bus.post_confirmed(&to, deliver("vehicle:1", "9")).await;
        got.is_ok() && b.heard.frames().iter().any(|frame| frame == "9")
    })
    .await;
    let mut heard = b.heard.frames();
    heard.dedup();
    assert!(heard.is_sorted(), "{heard:?}");
    assert!(a.cluster.bus.counters().parcels_dropped >= 3, "doubtful ones count as dropped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rubbish_on_the_channel_is_counted_and_hurts_nobody() {
    let server = RedisServer::start().await;
    let (a, b) = (node_at("a", &server.url()).await, node_at("b", &server.url()).await);
    follow(&b).await;
    for rubbish in ["", "{}", "\u{1}", "\u{1}\u{1}a\u{1}\u{1}\u{1}\u{1}", "\u{2}\u{4}acme\u{5}route"] {
        server.cli(&["publish", "sb:node:{b}", rubbish]);
        server.cli(&["publish", "sb:{acme:fleet}:route:12", rubbish]);
    }
    eventually("it is counted", SOON, || async { b.cluster.bus.counters().batches_malformed == 10 }).await;
    traffic_flows(&a, &b, SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_while_nobody_listened_is_told_as_one_break() {
    let server = RedisServer::start().await;
    let path = Forwarder::start(server.port()).await;
    let (a, b) = (node_at("a", &server.url()).await, node_at("b", &path.url()).await);
    let to = Destination::Node(b.id().clone());
    follow(&b).await;
    a.cluster.bus.post_confirmed(&to, deliver("vehicle:1", "0")).await.unwrap();
    b.heard.hears(1).await;
    // What is published while the connection of `b` is down is missing afterwards; the break tells so, and
    // the next batch does not tell it again.
    path.cut();
    eventually("nobody is there", SOON, || async {
        a.cluster.bus.post_confirmed(&to, deliver("vehicle:1", "1")).await.unwrap() == 0
    })
    .await;
    traffic_flows(&a, &b, HEALS_WITHIN).await;
    eventually("the break is told", HEALS_WITHIN, || async { b.heard.reconnects() > 0 }).await;
    let gaps = b.heard.breaks.lock().unwrap().iter().filter(|what| matches!(what, Break::Gap { .. })).count();
    assert_eq!(gaps, 0);
}
