//! Who is told of a message, in which order, and that nobody misses one who asks for what he missed.

use std::sync::Arc;

use bytes::Bytes;
use signalbox_registry::Logged;
use signalbox_registry::lease::LEASE;
use signalbox_registry::log::{Audience, Entry};
use signalbox_testkit::eventually;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{at, entries, entry};
use crate::on_both;
use crate::world::{Node, SOON, World, agent, named, tenant, topic};

on_both!(
    everybody_who_follows_is_told_in_order_and_once,
    a_point_append_names_who_holds_the_topic,
    twenty_appenders_leave_no_hole,
    subscribing_before_reading_misses_nothing,
);

impl Node {
    async fn listens(&self, name: &str) {
        self.cluster.bus.subscribe(&tenant("acme"), &topic(name)).await.unwrap();
    }

    pub(crate) fn logged(&self) -> Vec<Logged> {
        self.heard.logged.lock().unwrap().clone()
    }
}

async fn everybody_who_follows_is_told_in_order_and_once(world: World) {
    let (a, b, c) = (world.node("a").await, world.node("b").await, world.node("c").await);
    for node in [&a, &b] {
        node.listens("order:1").await;
    }
    c.listens("order:2").await;
    let head = a.says("order:1", 1..=4).await;
    b.says("order:1", 3..=5).await;
    for node in [&a, &b] {
        eventually("five are told", SOON, || async { node.logged().len() >= 5 }).await;
        let expected = (1..=5).map(|number| Logged {
            tenant: tenant("acme"),
            topic: topic("order:1"),
            position: at(&head.epoch, number),
            body: Bytes::from(format!("m{number}")),
        });
        assert_eq!(node.logged(), expected.collect::<Vec<_>>());
    }
    c.says("order:2", 1..=1).await;
    eventually("what it follows", SOON, || async { !c.logged().is_empty() }).await;
    assert_eq!(c.logged()[0].topic, topic("order:2"));
}

async fn a_point_append_names_who_holds_the_topic(world: World) {
    let (a, b, c) = (world.node("a").await, world.node("b").await, world.node("c").await);
    let made_up = b.row(1, "vehicle:V1");
    a.register(&named(a.row(1, "driver:1"), "S")).await;
    b.register(&made_up).await;
    b.register(&named(b.row(2, "driver:2"), "S")).await;
    c.register(&c.row(1, "vehicle:V1")).await;
    c.listens("vehicle:V1").await;
    let holders = async |number: u32, name: &str| {
        let id = format!("id-{number}");
        let message = Entry { audience: Audience::Holders, ..entry(name, &id, "x") };
        let appended = a.appends(&message).await;
        let again = a.appends(&message).await;
        assert_eq!((again.duplicate, &again.holders), (true, &appended.holders));
        let mut nodes: Vec<_> = appended.holders.iter().map(|node| node.as_str().to_owned()).collect();
        nodes.sort_unstable();
        nodes
    };
    let connection = format!("connection:{}", made_up.connection_id);
    let session = format!("session:{}", made_up.session_id);
    for (name, expected) in [
        ("vehicle:V1", vec!["b", "c"]),
        ("session:S", vec!["a", "b"]),
        ("driver:2", vec!["b"]),
        (session.as_str(), vec!["b"]),
        (connection.as_str(), vec!["b"]),
        ("vehicle:nobody", vec![]),
        ("session:nobody", vec![]),
    ] {
        assert_eq!(holders(1, name).await, expected, "{name}");
    }
    assert_eq!(c.logged(), [], "the appender posts it");
    c.stop_renewing();
    eventually("the lease of c is over", LEASE + SOON, || async {
        a.cluster
            .log
            .append(&Entry { audience: Audience::Holders, ..entry("vehicle:V1", "id-2", "x") })
            .await
            .unwrap()
            .holders
            .len()
            == 1
    })
    .await;
    assert_eq!(holders(3, "vehicle:V1").await, ["b"]);
    assert_eq!(a.head("vehicle:nobody").await.offset, 1, "it is stored for whoever comes");
}

async fn twenty_appenders_leave_no_hole(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let empty = a.head("order:1").await;
    b.listens("order:1").await;
    let mut crowd = JoinSet::new();
    for appender in 0..20 {
        let log = Arc::clone(if appender % 2 == 0 { &a.cluster.log } else { &b.cluster.log });
        crowd.spawn(async move {
            let mut offsets = Vec::new();
            for number in 0..25 {
                let text = format!("{appender} {number}");
                let message = Entry { source: agent("service:s"), ..entry("order:1", &text, &text) };
                offsets.push((log.append(&message).await.unwrap().position.offset, text));
            }
            assert!(offsets.is_sorted(), "in the order in which they were said");
            offsets
        });
    }
    let mut told: Vec<_> = crowd.join_all().await.into_iter().flatten().collect();
    told.sort_unstable();
    assert_eq!(told.iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), (1..=500).collect::<Vec<_>>());
    assert_eq!(entries(&a.page("order:1", &empty).await), told);
    eventually("all are told", SOON, || async { b.logged().len() == 500 }).await;
    let heard: Vec<_> = b.logged().iter().map(|logged| logged.position.offset).collect();
    assert!(heard.is_sorted(), "in the order of their offsets");
}

async fn subscribing_before_reading_misses_nothing(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let empty = a.head("order:1").await;
    let (log, stop, mut appender) = (Arc::clone(&a.cluster.log), CancellationToken::new(), JoinSet::new());
    let (begun, stopped) = (Arc::new(Notify::new()), stop.clone());
    let begins = Arc::clone(&begun);
    appender.spawn(async move {
        let mut last = 0_u64;
        while !(stopped.is_cancelled() && last >= 20) {
            last += 1;
            let text = format!("m{last}");
            log.append(&entry("order:1", &text, &text)).await.unwrap();
            if last == 20 {
                begins.notify_one();
            }
            tokio::task::yield_now().await;
        }
        last
    });
    begun.notified().await;
    b.listens("order:1").await;
    let page = b.page("order:1", &empty).await;
    let read = page.bodies.len() as u64;
    b.says("order:1", 1_000_000..=1_000_000).await;
    stop.cancel();
    let last = appender.join_next().await.unwrap().unwrap() + 1;
    assert!(20 <= read && read < last, "{read} of {last}");
    eventually("the last is told", SOON, || async {
        b.logged().last().is_some_and(|logged| logged.position.offset == last)
    })
    .await;
    let heard = b.logged();
    let heard = heard.iter().map(|logged| logged.position.offset).filter(|offset| *offset > read);
    assert_eq!(heard.collect::<Vec<_>>(), (read + 1..=last).collect::<Vec<_>>(), "{read} were read");
}
