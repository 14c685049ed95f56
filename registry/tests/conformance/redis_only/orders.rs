//! Orders when commands come late, and how long Redis keeps what it is told.

use std::time::Duration;

use signalbox_protocol::Agent;
use signalbox_registry::Error;
use signalbox_registry::order::Acceptance;
use signalbox_testkit::{RedisServer, eventually};
use tokio::time::sleep;

use super::{calls, node_at, without_a_lease};
use crate::lock::ask;
use crate::order::{acceptance, order_id, won};
use crate::world::{SOON, tenant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acceptance_that_arrives_late_accepts_nothing() {
    let server = RedisServer::start().await;
    let node = without_a_lease("a", &server.url()).await;
    let orders = &node.cluster.orders;
    node.accepts(&Acceptance { order_id: order_id("8"), ..acceptance("driver:1") }).await;
    let before = calls(&server, "evalsha");
    server.pause();
    let (wish, driver) = (acceptance("driver:1"), Agent::of("driver", "1").unwrap());
    let (accepted, viewed) =
        tokio::join!(orders.accept(&wish), orders.view(&wish.tenant, &wish.order_id, &driver, true));
    assert!(matches!(accepted, Err(Error::OutcomeUnknown(_))), "{accepted:?}");
    assert!(matches!(viewed, Err(Error::OutcomeUnknown(_))), "{viewed:?}");
    sleep(Duration::from_millis(300)).await;
    server.resume();
    eventually("both have run", SOON, || async { calls(&server, "evalsha") == before + 2 }).await;
    assert_eq!(server.cli(&["exists", "sb:{acme:order:9}:accepted", "sb:{acme:order:9}:viewers"]), "0");
    assert!(won(&node.accepts(&acceptance("driver:2")).await).1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_is_kept_for_its_time() {
    let server = RedisServer::start().await;
    let node = node_at("a", &server.url()).await;
    node.accepts(&acceptance("driver:1")).await;
    let driver = Agent::of("driver", "1").unwrap();
    node.cluster.orders.view(&tenant("acme"), &order_id("9"), &driver, true).await.unwrap();
    node.takes(&ask("order:9", "driver:1")).await;
    for (key, seconds) in [("accepted", 86_400), ("viewers", 300), ("lock", 86_400)] {
        let left: i64 = server.cli(&["ttl", &format!("sb:{{acme:order:9}}:{key}")]).parse().unwrap();
        assert!(left <= seconds && left > seconds - 10, "{key}: {left}");
    }
}
