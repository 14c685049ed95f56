//! Redis is away: Strapi is asked, and nothing is decided.

use signalbox_protocol::error::ErrorCode;
use signalbox_reservoir::Error;
use signalbox_reservoir::reservoir::Source;
use signalbox_testkit::eventually;

use crate::world::{SOON, World, names, query, tenant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn queries_go_to_strapi_and_boardings_are_refused() {
    let mut world = World::redis().await;
    let node = world.node().await;
    node.vehicle("V1", 1).await;
    node.push(&["P1"]).await.unwrap();
    world.redis_server().kill();
    eventually("the node has noticed", SOON, || async { !*node.cluster.reachable.borrow() }).await;
    let answer = node.reservoir.query(&tenant("acme"), &query()).await.unwrap();
    assert_eq!((names(&answer), answer.source), (vec!["P1".to_owned()], Source::Bypass));
    assert_eq!(node.reservoir.cache().unwrap().counters().bypasses, 1);
    for refused in
        [node.board("P1", "V1").await.map(|_| ()), node.cancel("P1").await, node.push(&["P2"]).await]
    {
        assert!(
            matches!(refused, Err(Error::Registry(signalbox_registry::Error::Unavailable(_)))),
            "{refused:?}"
        );
    }
    assert!(world.strapi.records_of("P2").is_empty());
    assert_eq!(node.state("P1").await, "waiting");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_comes_back_empty_learns_from_strapi_who_has_boarded() {
    let mut world = World::redis().await;
    let node = world.node().await;
    node.vehicle("V1", 1).await;
    node.push(&["P1", "P2"]).await.unwrap();
    node.board("P1", "V1").await.unwrap();
    world.told("P1", "BOARDED").await;
    world.redis_server().restart_empty().await;
    let cut = eventually("the node is back", SOON, || async {
        node.reservoir
            .vehicle(&tenant("acme"), &crate::world::vehicle("V1"))
            .await
            .is_err_and(|error| matches!(error, Error::NotFound(_)))
    });
    cut.await;
    node.ready().await;
    node.vehicle("V2", 1).await;
    let Err(Error::Denied(denied)) = node.board("P1", "V2").await else { panic!("boarded twice") };
    assert_eq!(denied.boarded_by, Some(crate::world::vehicle("V1")));
    node.board("P2", "V2").await.unwrap();
    world.told("P2", "BOARDED").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_both_a_query_says_so() {
    let mut world = World::redis().await;
    let node = world.node().await;
    world.redis_server().kill();
    world.strapi.faults().set_down(true);
    eventually("the node has noticed", SOON, || async { !*node.cluster.reachable.borrow() }).await;
    let refused = node.reservoir.query(&tenant("acme"), &query()).await;
    let Err(Error::Store(error)) = refused else { panic!("{refused:?}") };
    assert_eq!(error.code(), ErrorCode::Unavailable);
}
