//! A master that sentinels watch is replaced: the node finds the other, and what may be lost is declared.

use std::time::Duration;

use signalbox_registry::log::{Limits, Read};
use signalbox_testkit::{AnyRedis, Sentinels, eventually};

use super::node_with;
use crate::world::{Node, SOON, config_of, deliver, tenant, topic};

/// From the moment in which there is another master.
const FOUND_WITHIN: Duration = Duration::from_secs(5);

async fn watched() -> (AnyRedis, Node, Node) {
    let redis = AnyRedis::watched().await;
    let config = config_of(&redis);
    let (a, b) = (node_with("a", &config).await, node_with("b", &config).await);
    (redis, a, b)
}

fn sentinels(redis: &mut AnyRedis) -> &mut Sentinels {
    match redis {
        AnyRedis::Watched(sentinels) => sentinels,
        AnyRedis::Single(_) | AnyRedis::Cluster(_) => panic!("it was started otherwise"),
    }
}

/// Everything works between two nodes: the directory, large answers, the bus.
async fn all_works(a: &Node, b: &Node, within: Duration) {
    eventually("both are whole", within, || async {
        [a, b].iter().all(|node| *node.cluster.reachable.borrow() && node.cluster.bus.health().healthy)
    })
    .await;
    let group = signalbox_registry::Destination::Group(tenant("acme"), topic("route:12"));
    eventually("a message of the group arrives", within, || async {
        let posted = a.cluster.bus.post_confirmed(&group, deliver("route:12", "x")).await;
        posted.is_ok_and(|nodes| nodes == 1)
    })
    .await;
    eventually("lists are answered", within, || async {
        a.cluster.locks.list(&tenant("acme"), None, 10).await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_died_is_replaced_and_its_logs_begin_another_epoch() {
    let (mut redis, a, b) = watched().await;
    b.cluster.bus.subscribe(&tenant("acme"), &topic("route:12")).await.unwrap();
    all_works(&a, &b, SOON).await;
    let [before] =
        a.cluster.log.heads(&[(tenant("acme"), topic("order:1"))]).await.unwrap().try_into().unwrap();
    sentinels(&mut redis).fail_over().await;
    all_works(&a, &b, FOUND_WITHIN).await;
    eventually("the break is told", SOON, || async { b.heard.reconnects() > 0 }).await;
    let limits = Limits { entries_max: 1, bytes_max: 1 };
    let read = a.cluster.log.read(&tenant("acme"), &topic("order:1"), &before, limits).await.unwrap();
    assert!(matches!(read, Read::Broken { .. }), "{read:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_is_exchanged_is_left_though_it_answers() {
    let (mut redis, a, b) = watched().await;
    b.cluster.bus.subscribe(&tenant("acme"), &topic("route:12")).await.unwrap();
    all_works(&a, &b, SOON).await;
    sentinels(&mut redis).exchange().await;
    let master = || {
        let AnyRedis::Watched(sentinels) = &redis else { panic!("it was started so") };
        sentinels.master()
    };
    eventually("both are at the other master", FOUND_WITHIN, || async {
        let clients = master().cli(&["client", "list"]);
        clients.contains("name=signalbox-a") && clients.contains("name=signalbox-b")
    })
    .await;
    all_works(&a, &b, FOUND_WITHIN).await;
    // As the sentinels will make it, and by then nobody may be left there.
    a.cluster.lease.renew(&a.card()).await.unwrap();
    assert_eq!(master().cli(&["zcard", "sb:nodes"]), "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_sentinel_is_enough_to_begin_and_none_to_go_on() {
    let mut redis = AnyRedis::watched().await;
    let config = config_of(&redis);
    sentinels(&mut redis).sentinel(0).kill();
    sentinels(&mut redis).sentinel(1).kill();
    let node = node_with("a", &config).await;
    sentinels(&mut redis).sentinel(2).kill();
    let late = Node::on_redis("b", &config);
    // What a second does who looks for another master once in it.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(*node.cluster.reachable.borrow() && node.cluster.lease.live().await.is_ok());
    assert!(!*late.cluster.reachable.borrow(), "nobody says where the master is");
    sentinels(&mut redis).sentinel(0).start_again().await;
    late.ready().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_have_a_password_of_their_own() {
    let mut redis = AnyRedis::watched().await;
    for number in 0..3 {
        sentinels(&mut redis).sentinel(number).cli(&["acl", "setuser", "default", "resetpass", ">watch"]);
    }
    let config = config_of(&redis);
    let with = |password: &str| signalbox_registry::redis::RedisConfig {
        mode: signalbox_registry::redis::Mode::Sentinel {
            service: Sentinels::SERVICE.into(),
            user: None,
            password: Some(password.into()),
        },
        ..config.clone()
    };
    let (wrong, right) = (Node::on_redis("a", &with("guess")), Node::on_redis("b", &with("watch")));
    right.ready().await;
    assert!(!*wrong.cluster.reachable.borrow());
}
