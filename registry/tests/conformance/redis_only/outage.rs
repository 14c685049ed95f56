//! Redis away, silent, emptied, or slow: what the directory and the leases answer, and that all comes back.

use std::time::Duration;

use signalbox_registry::directory::Unregistered;
use signalbox_registry::lease::{Renewal, Swept};
use signalbox_registry::redis::RedisConfig;
use signalbox_registry::{Error, Row};
use signalbox_testkit::{Forwarder, RedisServer, eventually};
use tokio::time::{Instant, sleep};

use super::node_at;
use crate::world::{Node, SOON, agent, named, tenant, topic};

/// Within this a node has to be whole again.
const HEALS_WITHIN: Duration = Duration::from_secs(3);
/// The default time limit of a call, and what a busy machine adds.
const CALL_MAX: Duration = Duration::from_millis(900);

pub(super) async fn whole_again(node: &Node) {
    eventually("the node is whole again", HEALS_WITHIN, || async {
        *node.cluster.reachable.borrow() && node.cluster.bus.health().healthy
    })
    .await;
}

/// What every kind of call answers now, and the longest that one took.
async fn ask_everything(node: &Node, row: &Row) -> (Vec<Error>, Duration) {
    let (cluster, group) = (&node.cluster, topic("pillar:p"));
    let mut errors = Vec::new();
    let mut longest = Duration::ZERO;
    macro_rules! ask {
        ($($call:expr),* $(,)?) => {$(
            let begun = Instant::now();
            errors.push($call.await.expect_err(stringify!($call)));
            longest = longest.max(begun.elapsed());
        )*};
    }
    ask!(
        cluster.directory.get(&row.tenant, &row.connection_id),
        cluster.directory.by_agent(&row.tenant, &row.agent),
        cluster.directory.nodes_of(&row.tenant, row.agent.topic()),
        cluster.presence.members(&row.tenant, &group, None, 10),
        cluster.presence.connections(&row.tenant, std::slice::from_ref(&group)),
        cluster.lease.live(),
        cluster.bus.subscribe(&row.tenant, &group),
    );
    (errors, longest)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_calls_fail_at_once_and_when_it_is_back_all_works() {
    let mut server = RedisServer::start().await;
    let node = node_at("a", &server.url()).await;
    let row = node.row(1, "vehicle:V17");
    node.register(&row).await;
    server.kill();
    eventually("it is noticed", Duration::from_secs(1), || async { !*node.cluster.reachable.borrow() }).await;
    let (errors, longest) = ask_everything(&node, &row).await;
    assert!(errors.iter().all(|error| matches!(error, Error::Unavailable(_))), "{errors:?}");
    // A question about leases waits for the view, and a large answer for the pool; all others fail at once.
    assert!(longest < CALL_MAX + CALL_MAX, "{longest:?}");
    let begun = Instant::now();
    let refused = node.cluster.directory.register(&node.row(2, "vehicle:V18"), "s").await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    assert!(begun.elapsed() < Duration::from_millis(50), "{:?}", begun.elapsed());
    assert!(matches!(node.cluster.lease.renew(&node.card()).await, Err(Error::Unavailable(_))));
    server.start_again().await;
    whole_again(&node).await;
    assert_eq!(node.cluster.lease.renew(&node.card()).await.unwrap(), Renewal::Lost, "it came back empty");
    node.take_lease().await;
    let row = Row { generation: 2, ..row };
    node.cluster.directory.refresh(std::slice::from_ref(&row)).await.unwrap();
    assert_eq!(node.cluster.directory.get(&row.tenant, &row.connection_id).await.unwrap(), Some(row));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_starts_before_its_redis_and_joins_when_that_comes() {
    let mut server = RedisServer::not_started();
    let node = Node::on_redis("a", &RedisConfig::new(&server.url()));
    let refused = node.cluster.lease.acquire(&node.card()).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    assert!(!*node.cluster.reachable.borrow());
    server.start_again().await;
    whole_again(&node).await;
    node.take_lease().await;
    assert_eq!(node.heard.reconnects(), 0, "there was nothing that could have been missed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_a_state_and_no_crash() {
    let server = RedisServer::start().await;
    server.cli(&["config", "set", "requirepass", "secret"]);
    let wrong =
        Node::on_redis("a", &RedisConfig::new(&format!("redis://:guess@127.0.0.1:{}/", server.port())));
    let right =
        Node::on_redis("b", &RedisConfig::new(&format!("redis://:secret@127.0.0.1:{}/", server.port())));
    right.ready().await;
    assert!(!*wrong.cluster.reachable.borrow());
    assert!(matches!(wrong.cluster.lease.live().await, Err(Error::Unavailable(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_black_hole_calls_end_at_their_deadline_and_afterwards_all_works() {
    let server = RedisServer::start().await;
    let path = Forwarder::start(server.port()).await;
    let node = node_at("a", &path.url()).await;
    let row = Row { pillar: Some("p".into()), ..named(node.row(1, "vehicle:V17"), "S") };
    node.register(&row).await;
    path.black_hole();
    let doubtful = node.row(2, "vehicle:V18");
    let begun = Instant::now();
    let unknown = node.cluster.directory.register(&doubtful, "s").await;
    assert!(matches!(unknown, Err(Error::OutcomeUnknown(_))), "{unknown:?}");
    assert!(begun.elapsed() < CALL_MAX, "{:?}", begun.elapsed());
    let (errors, longest) = ask_everything(&node, &row).await;
    assert!(errors.iter().all(|error| matches!(error, Error::Unavailable(_))), "{errors:?}");
    assert!(longest < 2 * CALL_MAX, "{longest:?}");
    eventually("it is noticed", Duration::from_secs(4), || async { !*node.cluster.reachable.borrow() }).await;
    path.heal();
    whole_again(&node).await;
    assert_eq!(node.cluster.directory.get(&row.tenant, &row.connection_id).await.unwrap(), Some(row));
    node.cluster.directory.unregister(&doubtful).await.unwrap();
    assert_eq!(server.cli(&["keys", "*V18*"]), "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frozen_connections_are_replaced() {
    let server = RedisServer::start().await;
    let path = Forwarder::start(server.port()).await;
    let (a, b) = (node_at("a", &path.url()).await, node_at("b", &server.url()).await);
    a.cluster.bus.subscribe(&tenant("acme"), &topic("route:12")).await.unwrap();
    path.freeze();
    eventually("it tells its connections of then from those of now", SOON, || async {
        a.heard.reconnects() == 1
    })
    .await;
    whole_again(&a).await;
    let route = signalbox_registry::Destination::Group(tenant("acme"), topic("route:12"));
    let got = b.cluster.bus.post_confirmed(&route, crate::world::deliver("route:12", "x")).await;
    assert_eq!(got.unwrap(), 1, "the frozen subscription is gone, the new one stands");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_that_lost_its_answer_is_undone_by_the_removal_after_it() {
    let server = RedisServer::start().await;
    let node = node_at("a", &server.url()).await;
    let rows: Vec<_> = (0..20).map(|number| named(node.row(number, "vehicle:V17"), "S")).collect();
    for rest_of_the_pause in [Duration::ZERO, Duration::from_secs(3)] {
        server.pause();
        for row in &rows[..4] {
            let lost = node.cluster.directory.register(row, "s").await;
            assert!(matches!(lost, Err(Error::OutcomeUnknown(_) | Error::Unavailable(_))), "{lost:?}");
            // Carried out later or never, but after the registration.
            let _ = node.cluster.directory.unregister(row).await;
        }
        // In the longer pause the links give their connections up, with these commands in them.
        sleep(rest_of_the_pause).await;
        server.resume();
        whole_again(&node).await;
        for row in &rows[..4] {
            node.cluster.directory.unregister(row).await.unwrap();
        }
        let left = server.cli(&["--scan"]);
        assert!(
            !left.contains("V17") && !left.contains("session:S}:conns") && !left.contains("{a}:conns"),
            "{left}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_was_asked_for_long_ago_is_not_given() {
    let server = RedisServer::start().await;
    let node = Node::on_redis("a", &RedisConfig::new(&server.url()));
    node.ready().await;
    node.cluster.lease.live().await.unwrap();
    server.pause();
    let unknown = node.cluster.lease.acquire(&node.card()).await;
    assert!(matches!(unknown, Err(Error::OutcomeUnknown(_))), "{unknown:?}");
    sleep(Duration::from_secs(1)).await;
    server.resume();
    eventually("the command has run", SOON, || async {
        server.cli(&["info", "commandstats"]).contains("cmdstat_evalsha")
    })
    .await;
    assert_eq!(server.cli(&["zcard", "sb:nodes"]), "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_forgot_its_scripts_is_told_them_again() {
    let server = RedisServer::start().await;
    let node = node_at("a", &server.url()).await;
    let row = named(node.row(1, "service:x"), "S");
    for _ in 0..2 {
        server.cli(&["script", "flush"]);
        node.register(&row).await;
        server.cli(&["script", "flush"]);
        let removed = node.cluster.directory.unregister(&row).await.unwrap();
        assert_eq!(removed, Unregistered { removed: true, last_of_agent: true });
    }
    node.register(&row).await;
    node.cluster.lease.release(node.id(), 1).await.unwrap();
    node.take_lease().await;
    server.cli(&["script", "flush"]);
    let swept = node.cluster.lease.sweep().await.unwrap();
    assert_eq!(swept.departed_services, [(tenant("acme"), agent("service:x"))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_link_comes_back() {
    let server = RedisServer::start().await;
    let node = node_at("a", &server.url()).await;
    for _ in 0..3 {
        server.cli(&["client", "kill", "type", "normal"]);
        eventually("it works again", HEALS_WITHIN, || async { node.cluster.lease.live().await.is_ok() })
            .await;
        whole_again(&node).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_somebody_sweeps_nobody_else_does_and_a_dead_sweeper_is_replaced() {
    let server = RedisServer::start().await;
    let (a, b) = (node_at("a", &server.url()).await, node_at("b", &server.url()).await);
    a.register(&a.row(1, "vehicle:V17")).await;
    a.cluster.lease.release(a.id(), 1).await.unwrap();
    server.cli(&["set", "sb:nodes:sweeper", "somebody", "px", "700"]);
    assert_eq!(b.cluster.lease.sweep().await.unwrap(), Swept::default());
    eventually("the lock of the dead sweeper ends", SOON, || async {
        b.cluster.lease.sweep().await.unwrap() == Swept { leases: 1, rows: 1, ..Swept::default() }
    })
    .await;
    assert_eq!(server.cli(&["exists", "sb:nodes:sweeper"]), "0", "the lock was released");
}
