//! Orders: accepted once, told to everybody who follows, and seen by whoever looks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use signalbox_protocol::OrderId;
use signalbox_registry::lock::Ask;
use signalbox_registry::order::{Acceptance, AcceptanceDenied, Accepted, VIEWED, Viewers};
use signalbox_testkit::eventually;
use tokio::task::JoinSet;

use crate::lock::{ask, request_id};
use crate::log::entries;
use crate::on_both;
use crate::world::{Node, SOON, World, agent, deliver, tenant, topic};

on_both!(
    an_order_is_accepted_once,
    everybody_who_follows_is_told_once,
    an_acceptance_can_be_read_again,
    of_a_crowd_one_accepts,
    another_agents_lock_keeps_an_order_from_being_accepted,
    an_acceptance_counts_its_fence_with_the_lock,
    the_winners_retry_gets_the_same_answer,
    an_event_is_kept_until_it_is_told_to_all,
    orders_of_two_tenants_are_apart,
    viewers_come_and_go,
);

pub(crate) fn order_id(id: &str) -> OrderId {
    OrderId::try_new(id).unwrap()
}

/// A wish of the default tenant to accept order 9.
pub(crate) fn acceptance(by: &str) -> Acceptance {
    Acceptance {
        tenant: tenant("acme"),
        order_id: order_id("9"),
        by: agent(by),
        subject: by.to_owned(),
        request_id: None,
        event: [format!(r#"{{"by":"{by}","fence":"#).into(), Bytes::from_static(b"}")],
    }
}

/// The event of an acceptance, whole.
fn event(by: &str, fence: u64) -> String {
    format!(r#"{{"by":"{by}","fence":{fence}}}"#)
}

/// What a node is told that wins, or asks again: the fence, and whether it was the first time.
pub(crate) fn won(accepted: &Accepted) -> (u64, bool) {
    match accepted {
        Accepted::Accepted { fence, first, .. } => (*fence, *first),
        Accepted::Denied { .. } => panic!("{accepted:?}"),
    }
}

fn lost(reason: AcceptanceDenied, to: &str) -> Accepted {
    Accepted::Denied { reason, held_by: agent(to) }
}

impl Node {
    pub(crate) async fn accepts(&self, acceptance: &Acceptance) -> Accepted {
        self.cluster.orders.accept(acceptance).await.unwrap()
    }

    async fn views(&self, who: &str, viewing: bool) -> Viewers {
        self.cluster.orders.view(&tenant("acme"), &order_id("9"), &agent(who), viewing).await.unwrap()
    }

    pub(crate) async fn viewers(&self) -> Viewers {
        self.cluster.orders.viewers(&tenant("acme"), &order_id("9")).await.unwrap()
    }

    async fn follows(&self, name: &str) {
        self.cluster.bus.subscribe(&tenant("acme"), &topic(name)).await.unwrap();
    }

    /// The events heard so far, as text.
    fn announced(&self) -> Vec<String> {
        self.logged().iter().map(|told| String::from_utf8(told.body.to_vec()).unwrap()).collect()
    }
}

async fn an_order_is_accepted_once(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let accepted = a.accepts(&acceptance("driver:1")).await;
    let (fence, first) = won(&accepted);
    assert!(first && fence < 1 << 53);
    let event = Some(event("driver:1", fence).into());
    assert_eq!(accepted, Accepted::Accepted { by: agent("driver:1"), fence, first, event });
    for node in [&a, &b] {
        let late = node.accepts(&acceptance("driver:2")).await;
        assert_eq!(late, lost(AcceptanceDenied::Accepted, "driver:1"));
    }
}

async fn everybody_who_follows_is_told_once(world: World) {
    let (a, b, c) = (world.node("a").await, world.node("b").await, world.node("c").await);
    for node in [&a, &b] {
        node.follows("order:9").await;
    }
    c.follows("order:8").await;
    let (fence, _) = won(&a.accepts(&acceptance("driver:1")).await);
    a.accepts(&acceptance("driver:1")).await;
    b.accepts(&acceptance("driver:2")).await;
    for node in [&a, &b] {
        eventually("it is told", SOON, || async { !node.announced().is_empty() }).await;
        let heard = node.logged()[0].clone();
        assert_eq!(
            (&heard.tenant, &heard.topic, heard.position.offset),
            (&tenant("acme"), &topic("order:9"), 1)
        );
    }
    // What comes by the same way after it shows that nothing else did.
    let order = signalbox_registry::Destination::Group(tenant("acme"), topic("order:9"));
    c.cluster.bus.post_confirmed(&order, deliver("order:9", "x")).await.unwrap();
    for node in [&a, &b] {
        node.heard.hears(1).await;
        assert_eq!(node.announced(), [event("driver:1", fence)]);
    }
    assert_eq!(c.announced(), [""; 0]);
}

async fn an_acceptance_can_be_read_again(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let before = a.head("order:9").await;
    let (fence, _) = won(&a.accepts(&acceptance("driver:1")).await);
    a.accepts(&acceptance("driver:1")).await;
    b.accepts(&acceptance("driver:2")).await;
    assert_eq!(entries(&b.page("order:9", &before).await), [(1, event("driver:1", fence))]);
}

async fn of_a_crowd_one_accepts(world: World) {
    let nodes = [world.node("a").await, world.node("b").await, world.node("c").await];
    nodes[0].follows("order:9").await;
    let mut crowd = JoinSet::new();
    for number in 0..60 {
        let orders = Arc::clone(&nodes[number % 3].cluster.orders);
        let acceptance = acceptance(&format!("driver:{number}"));
        crowd.spawn(async move { (acceptance.by.clone(), orders.accept(&acceptance).await.unwrap()) });
    }
    let (winners, losers): (Vec<_>, Vec<_>) = crowd
        .join_all()
        .await
        .into_iter()
        .partition(|(_, accepted)| matches!(accepted, Accepted::Accepted { first: true, .. }));
    assert_eq!((winners.len(), losers.len()), (1, 59));
    let winner = winners[0].0.as_str();
    assert!(
        losers.iter().all(|(_, denied)| *denied == lost(AcceptanceDenied::Accepted, winner)),
        "{losers:?}"
    );
    let told = event(winner, won(&winners[0].1).0);
    eventually("it is told", SOON, || async { nodes[0].announced() == [told.clone()] }).await;
}

async fn another_agents_lock_keeps_an_order_from_being_accepted(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    a.follows("order:9").await;
    let grant = a.takes(&ask("order:9", "driver:1")).await;
    let other = b.accepts(&acceptance("driver:2")).await;
    assert_eq!(other, lost(AcceptanceDenied::Locked, "driver:1"));
    assert!(won(&b.accepts(&acceptance("driver:1")).await).1, "the holder itself may");
    a.releases("order:9", &grant.token).await;
    let order_8 = |by| Acceptance { order_id: order_id("8"), ..acceptance(by) };
    let brief = Ask { ttl: Duration::from_millis(50), ..ask("order:8", "driver:1") };
    a.takes(&brief).await;
    b.sees_it_free("order:8").await;
    assert!(won(&b.accepts(&order_8("driver:2")).await).1, "a lock that ended keeps nobody");
}

async fn an_acceptance_counts_its_fence_with_the_lock(world: World) {
    let node = world.node("a").await;
    let before = node.takes(&ask("order:9", "driver:1")).await;
    let (fence, _) = won(&node.accepts(&acceptance("driver:1")).await);
    node.releases("order:9", &before.token).await;
    let after = node.takes(&ask("order:9", "driver:2")).await;
    assert!(before.fence < fence && fence < after.fence, "{} {fence} {}", before.fence, after.fence);
}

async fn the_winners_retry_gets_the_same_answer(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let request = |by: &str, subject: &str, id: &str| Acceptance {
        subject: subject.to_owned(),
        request_id: request_id(id),
        ..acceptance(by)
    };
    let accepted = a.accepts(&request("driver:1", "ab", "c")).await;
    let (fence, _) = won(&accepted);
    for retry in [
        request("driver:1", "ab", "c"),
        request("driver:1", "ab", "d"),
        request("driver:2", "ab", "c"),
        acceptance("driver:1"),
    ] {
        let again = b.accepts(&retry).await;
        let Accepted::Accepted { by, .. } = &again else { panic!("{again:?}") };
        assert_eq!((by, won(&again)), (&agent("driver:1"), (fence, false)), "{retry:?}");
    }
    for other in [request("driver:2", "a", "bc"), request("driver:2", "ab", "d"), acceptance("driver:2")] {
        assert_eq!(b.accepts(&other).await, lost(AcceptanceDenied::Accepted, "driver:1"), "{other:?}");
    }
}

async fn an_event_is_kept_until_it_is_told_to_all(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let kept = |accepted| match accepted {
        Accepted::Accepted { event, .. } => event,
        Accepted::Denied { .. } => panic!("{accepted:?}"),
    };
    let orders = &a.cluster.orders;
    orders.announced(&tenant("acme"), &order_id("9")).await.unwrap();
    let event = kept(a.accepts(&acceptance("driver:1")).await);
    assert!(event.is_some());
    assert_eq!(kept(b.accepts(&acceptance("driver:1")).await), event, "the same, with the same fence");
    orders.announced(&tenant("acme"), &order_id("9")).await.unwrap();
    assert_eq!(kept(b.accepts(&acceptance("driver:1")).await), None);
}

async fn orders_of_two_tenants_are_apart(world: World) {
    let node = world.node("a").await;
    let theirs = Acceptance { tenant: tenant("other"), ..acceptance("driver:2") };
    assert!(won(&node.accepts(&acceptance("driver:1")).await).1);
    assert!(won(&node.accepts(&theirs).await).1);
    node.views("driver:1", true).await;
    assert_eq!(
        node.cluster.orders.viewers(&theirs.tenant, &theirs.order_id).await.unwrap(),
        Viewers::default()
    );
}

async fn viewers_come_and_go(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let seen = |names: &[&str], changed| Viewers {
        count: names.len() as u64,
        viewers: names.iter().map(|name| agent(name)).collect(),
        changed,
    };
    assert_eq!(a.viewers().await, seen(&[], false));
    assert_eq!(a.views("driver:2", true).await, seen(&["driver:2"], true));
    assert_eq!(b.views("driver:1", true).await, seen(&["driver:1", "driver:2"], true));
    assert_eq!(b.views("driver:2", true).await, seen(&["driver:1", "driver:2"], false), "seen already");
    assert_eq!(a.viewers().await, seen(&["driver:1", "driver:2"], false));
    assert_eq!(a.views("driver:1", false).await, seen(&["driver:2"], true));
    assert_eq!(a.views("driver:1", false).await, seen(&["driver:2"], false));
    match world.redis() {
        None => tokio::time::sleep(VIEWED).await,
        // Its time is over: the first of January 1970 is past.
        Some(redis) => {
            let viewers = "sb:{acme:order:9}:viewers";
            redis.cli_at(viewers, &["zadd", viewers, "xx", "1", "driver:2"]);
        }
    }
    assert_eq!(b.viewers().await, seen(&[], false));
    assert_eq!(a.views("driver:2", true).await, seen(&["driver:2"], true));
}
