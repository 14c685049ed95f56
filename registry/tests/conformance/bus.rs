//! Frames from node to node.

use std::collections::BTreeSet;
use std::sync::Arc;

use signalbox_protocol::{ConnectionId, NodeId};
use signalbox_registry::{Announcement, Destination, Parcel};
use signalbox_testkit::eventually;
use tokio::task::JoinSet;

use crate::on_both;
use crate::world::{Node, SOON, World, deliver, tenant, topic};

on_both!(
    parcels_to_a_node_arrive_whole_and_in_order,
    a_group_reaches_its_followers_and_never_the_sender,
    senders_to_one_group_do_not_disturb_each_others_order,
    subscriptions_are_counted,
    tenants_have_groups_of_their_own,
    a_parcel_for_nobody_is_dropped_and_counted,
    a_confirmed_post_keeps_its_place_and_tells_how_many_got_it,
    subscribing_and_unsubscribing_in_haste_ends_as_it_was_last_wanted,
    a_renewed_subscription_is_told_and_works,
    a_large_parcel_arrives,
    an_announcement_reaches_every_follower_the_announcer_too_in_order,
);

fn to(node: &Node) -> Destination {
    Destination::Node(node.id().clone())
}

fn group(name: &str) -> Destination {
    Destination::Group(tenant("acme"), topic(name))
}

async fn follow(node: &Node, name: &str) {
    node.cluster.bus.subscribe(&tenant("acme"), &topic(name)).await.unwrap();
}

fn unfollow(node: &Node, name: &str) {
    node.cluster.bus.unsubscribe(&tenant("acme"), &topic(name));
}

/// Returns when everything that `from` posted to `node` before has arrived: what comes last is this.
async fn flushed(from: &Node, node: &Node) {
    let marker = deliver("vehicle:marker", &format!("marker {}", node.heard.count()));
    from.cluster.bus.post(&to(node), marker.clone()).unwrap();
    let arrived = || async { node.heard.parcels.lock().unwrap().iter().any(|(_, parcel)| *parcel == marker) };
    eventually("the marker arrives", SOON, arrived).await;
}

async fn parcels_to_a_node_arrive_whole_and_in_order(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let mut sent = vec![
        Parcel::Close {
            tenant: tenant("acme"),
            connection_id: ConnectionId::try_new("b-1").unwrap(),
            code: 4409,
        },
        Parcel::NotHere { tenant: tenant("other"), topic: topic("vehicle:V17") },
        Parcel::Drain,
        Parcel::Revoked,
    ];
    for number in 0..2_000 {
        let (tenant, topic) = (tenant("acme"), topic(&format!("vehicle:V{}", number % 7)));
        let frame = format!("{number}").into_bytes().into();
        sent.push(Parcel::Deliver { tenant, topic, conflation: number, frame });
    }
    for parcel in &sent {
        a.cluster.bus.post(&to(&b), parcel.clone()).unwrap();
        if sent.len().is_multiple_of(100) {
            tokio::task::yield_now().await;
        }
    }
    b.heard.hears(sent.len()).await;
    let heard = b.heard.parcels.lock().unwrap().clone();
    assert!(heard.iter().all(|(from, _)| from == a.id()));
    assert_eq!(heard.into_iter().map(|(_, parcel)| parcel).collect::<Vec<_>>(), sent);
    eventually("all are settled", SOON, || async { a.cluster.bus.counters().parcels_out == 2_004 }).await;
    let (out, into) = (a.cluster.bus.counters(), b.cluster.bus.counters());
    assert_eq!((out.parcels_dropped, out.bytes_queued), (0, 0));
    assert_eq!((into.parcels_in, into.batches_late, into.batches_missed), (2_004, 0, 0));
    assert_eq!(out.batches_out, into.batches_in);
    if world.redis().is_some() {
        assert!(out.batches_out < 1_000, "{} batches: what waits goes together", out.batches_out);
    }
}

async fn a_group_reaches_its_followers_and_never_the_sender(world: World) {
    let (a, b, c) = (world.node("a").await, world.node("b").await, world.node("c").await);
    follow(&a, "route:12").await;
    follow(&b, "route:12").await;
    follow(&c, "route:13").await;
    a.cluster.bus.post(&group("route:12"), deliver("route:12", "one")).unwrap();
    b.heard.hears(1).await;
    b.cluster.bus.post(&group("route:12"), deliver("route:12", "two")).unwrap();
    a.heard.hears(1).await;
    for (from, node) in [(&a, &b), (&b, &a), (&a, &c)] {
        flushed(from, node).await;
    }
    assert_eq!(a.heard.frames()[0], "two");
    assert_eq!(b.heard.frames()[0], "one");
    assert!(c.heard.frames()[0].starts_with("marker"), "it follows another route");
    assert_eq!([a.heard.count(), b.heard.count(), c.heard.count()], [2, 2, 1]);
    assert_eq!(a.cluster.bus.counters().subscriptions, 1);
}

async fn senders_to_one_group_do_not_disturb_each_others_order(world: World) {
    let nodes =
        [Arc::new(world.node("a").await), Arc::new(world.node("b").await), Arc::new(world.node("c").await)];
    for node in &nodes {
        follow(node, "route:12").await;
    }
    let mut sending = JoinSet::new();
    for node in &nodes {
        let node = Arc::clone(node);
        sending.spawn(async move {
            for number in 0..500 {
                let frame = format!("{} {number}", node.id());
                node.cluster.bus.post(&group("route:12"), deliver("route:12", &frame)).unwrap();
                if number % 50 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        });
    }
    sending.join_all().await;
    for node in &nodes {
        node.heard.hears(1_000).await;
        let heard = node.heard.frames();
        for from in nodes.iter().filter(|from| from.id() != node.id()) {
            let prefix = format!("{} ", from.id());
            let numbers: Vec<usize> =
                heard.iter().filter_map(|frame| frame.strip_prefix(&prefix)?.parse().ok()).collect();
            assert_eq!(numbers, (0..500).collect::<Vec<_>>());
        }
    }
}

async fn subscriptions_are_counted(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    follow(&b, "route:12").await;
    follow(&b, "route:12").await;
    assert_eq!(b.cluster.bus.topics(), [(tenant("acme"), topic("route:12"), 2)]);
    unfollow(&b, "route:12");
    a.cluster.bus.post(&group("route:12"), deliver("route:12", "still")).unwrap();
    b.heard.hears(1).await;
    unfollow(&b, "route:12");
    unfollow(&b, "route:12");
    assert_eq!(b.cluster.bus.topics(), []);
    eventually("nobody follows", SOON, || async {
        let got = a.cluster.bus.post_confirmed(&group("route:12"), deliver("route:12", "x")).await;
        got.unwrap() == 0
    })
    .await;
    assert_eq!(b.cluster.bus.counters().subscriptions, 0);
}

async fn tenants_have_groups_of_their_own(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    b.cluster.bus.subscribe(&tenant("other"), &topic("route:12")).await.unwrap();
    let got = a.cluster.bus.post_confirmed(&group("route:12"), deliver("route:12", "x")).await.unwrap();
    flushed(&a, &b).await;
    assert_eq!((got, b.heard.count()), (0, 1));
}

async fn a_parcel_for_nobody_is_dropped_and_counted(world: World) {
    let a = world.node("a").await;
    let nobody = Destination::Node(NodeId::try_new("nobody").unwrap());
    for destination in [nobody, to(&a)] {
        let got = a.cluster.bus.post_confirmed(&destination, deliver("vehicle:V17", "x")).await;
        assert_eq!(got.unwrap(), 0);
        a.cluster.bus.post(&destination, deliver("vehicle:V17", "x")).unwrap();
    }
    eventually("four were dropped", SOON, || async { a.cluster.bus.counters().parcels_dropped == 4 }).await;
    assert_eq!(a.heard.count(), 0);
}

async fn a_confirmed_post_keeps_its_place_and_tells_how_many_got_it(world: World) {
    let (a, b, c) = (world.node("a").await, world.node("b").await, world.node("c").await);
    for node in [&a, &b, &c] {
        follow(node, "route:12").await;
    }
    let bus = &a.cluster.bus;
    bus.post(&group("route:12"), deliver("route:12", "1")).unwrap();
    let confirmed = bus.post_confirmed(&group("route:12"), deliver("route:12", "2"));
    bus.post(&group("route:12"), deliver("route:12", "3")).unwrap();
    assert_eq!(confirmed.await.unwrap(), 2, "the sender, which follows too, is not counted");
    for node in [&b, &c] {
        node.heard.hears(3).await;
        assert_eq!(node.heard.frames(), ["1", "2", "3"]);
    }
    assert_eq!(bus.post_confirmed(&to(&b), deliver("vehicle:V17", "4")).await.unwrap(), 1);
}

async fn subscribing_and_unsubscribing_in_haste_ends_as_it_was_last_wanted(world: World) {
    let (a, b) = (world.node("a").await, Arc::new(world.node("b").await));
    let mut hasty = JoinSet::new();
    for task in 0..8 {
        let b = Arc::clone(&b);
        hasty.spawn(async move {
            for round in 0..50 {
                let name = format!("route:{}", (task + round) % 5);
                follow(&b, &name).await;
                tokio::task::yield_now().await;
                unfollow(&b, &name);
            }
            follow(&b, "route:0").await;
        });
    }
    hasty.join_all().await;
    let wanted: BTreeSet<_> = b.cluster.bus.topics().into_iter().collect();
    assert_eq!(wanted.into_iter().collect::<Vec<_>>(), [(tenant("acme"), topic("route:0"), 8)]);
    let followers =
        async |name: &str| a.cluster.bus.post_confirmed(&group(name), deliver(name, name)).await.unwrap();
    assert_eq!(followers("route:0").await, 1);
    for name in ["route:1", "route:2", "route:3", "route:4"] {
        eventually("nobody follows it", SOON, || async { followers(name).await == 0 }).await;
    }
    b.heard.hears(1).await;
    assert_eq!(b.heard.frames()[0], "route:0");
}

async fn a_renewed_subscription_is_told_and_works(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    follow(&b, "route:12").await;
    b.cluster.bus.resubscribe();
    // Each server has its own.
    let servers = world.redis().map_or(1, |redis| redis.masters().len());
    eventually("it is told", SOON, || async { b.heard.reconnects() == servers }).await;
    b.ready().await;
    assert_eq!(a.cluster.bus.post_confirmed(&group("route:12"), deliver("route:12", "x")).await.unwrap(), 1);
    a.cluster.bus.post(&to(&b), deliver("vehicle:V17", "y")).unwrap();
    b.heard.hears(2).await;
    assert_eq!(b.cluster.bus.counters().reconnects, servers as u64);
}

async fn a_large_parcel_arrives(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let large = "x".repeat(1024 * 1024);
    for frame in ["before", &large, "after"] {
        a.cluster.bus.post(&to(&b), deliver("vehicle:V17", frame)).unwrap();
    }
    b.heard.hears(3).await;
    assert_eq!(b.heard.frames(), ["before", &large, "after"]);
}

async fn an_announcement_reaches_every_follower_the_announcer_too_in_order(world: World) {
    let (a, b, c) = (world.node("a").await, world.node("b").await, world.node("c").await);
    follow(&a, "route:12").await;
    follow(&b, "route:12").await;
    follow(&c, "route:13").await;
    let announcement = |number: usize| Announcement {
        tenant: tenant("acme"),
        topic: topic("route:12"),
        spared: number.is_multiple_of(2).then(|| topic("depot:4")),
        body: format!("{{\"number\":{number}}}").into(),
    };
    let sent: Vec<_> = (0..100).map(announcement).collect();
    for announcement in &sent {
        a.cluster.backing.announce(announcement).await.unwrap();
    }
    for node in [&a, &b] {
        let heard = || node.heard.announcements.lock().unwrap().clone();
        eventually("all are announced", SOON, || async { heard().len() >= sent.len() }).await;
        assert_eq!(heard(), sent);
        assert_eq!(node.cluster.bus.counters().announcements_in, 100);
    }
    flushed(&a, &c).await;
    assert!(c.heard.announcements.lock().unwrap().is_empty());
}
