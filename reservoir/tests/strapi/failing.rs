//! Strapi fails, for a while or for good.

use std::time::Duration;

use signalbox_reservoir::CacheSettings;
use signalbox_testkit::eventually;

use crate::on_both;
use crate::world::{SOON, World};

async fn a_change_is_tried_until_strapi_is_back(world: World) {
    let node = world.node().await;
    node.vehicle("V1", 9).await;
    for (number, status) in [500, 502, 503, 429, 401].into_iter().enumerate() {
        let id = format!("P{number}");
        node.push(&[&id]).await.unwrap();
        let before = node.strapi.counters().retried;
        world.strapi.faults().fail_next(2, status);
        node.board(&id, "V1").await.unwrap();
        world.told(&id, "BOARDED").await;
        assert!(node.strapi.counters().retried > before, "{status}");
        node.outbox_empty().await;
    }
    assert_eq!((node.strapi.counters().written, node.strapi.counters().refused), (5, 0));
}

async fn a_lost_answer_writes_no_state_twice(world: World) {
    let node = world.node().await;
    node.vehicle("V1", 1).await;
    node.push(&["P1"]).await.unwrap();
    world.strapi.take_seen();
    world.strapi.faults().lose_answers(1);
    node.board("P1", "V1").await.unwrap();
    node.outbox_empty().await;
    assert_eq!((world.held("P1", "status"), world.written().len()), ("BOARDED".into(), 1));
}

async fn a_boarding_that_strapi_refuses_is_undone(world: World) {
    let node = world.node().await;
    node.follow("route:12").await;
    node.vehicle("V1", 1).await;
    node.vehicle("V2", 1).await;
    node.push(&["P1"]).await.unwrap();
    world.strapi.faults().refuse("V1");
    let refused = node.board("P1", "V1").await.unwrap();
    eventually("the boarding is undone", SOON, || async { node.state("P1").await == "waiting" }).await;
    let counted = || (node.strapi.counters().refused, node.strapi.counters().undone);
    eventually("it is counted", SOON, || async { counted() == (1, 1) }).await;
    let types = node.heard.types("route:12", 3).await;
    assert_eq!(types, ["commuter:spawned", "commuter:picked_up", "commuter:spawned"]);
    assert_eq!(node.near().await, ["P1"]);
    let manifest = node.reservoir.manifest(&crate::world::tenant("acme"), &crate::world::vehicle("V1")).await;
    let manifest = manifest.unwrap();
    assert_eq!((manifest.seats_left, manifest.passengers.len()), (1, 0));
    assert!(node.alight("P1", refused.fence).await.is_err(), "its fence is worth nothing");
    let boarded = node.board("P1", "V2").await.unwrap();
    assert!(boarded.fence > refused.fence);
    world.told("P1", "BOARDED").await;
    assert_eq!(world.held("P1", "vehicle_id"), "V2");
}

async fn who_is_gone_from_strapi_waits_no_longer(world: World) {
    let node = world.node().await;
    node.follow("route:12").await;
    node.vehicle("V1", 1).await;
    node.push(&["P1"]).await.unwrap();
    world.strapi.remove("P1");
    node.board("P1", "V1").await.unwrap();
    eventually("the passenger is given up", SOON, || async { node.state("P1").await == "cancelled" }).await;
    let types = node.heard.types("route:12", 4).await;
    let expected = ["commuter:spawned", "commuter:picked_up", "commuter:spawned", "commuter:cancelled"];
    assert_eq!(types, expected);
    node.outbox_empty().await;
}

async fn an_error_of_strapi_s_own_is_given_up_after_a_time(world: World) {
    let mut settings = world.settings();
    settings.give_up_after = Duration::from_millis(200);
    let node = world.node_with(settings, CacheSettings::default()).await;
    node.vehicle("V1", 1).await;
    node.push(&["P1"]).await.unwrap();
    world.strapi.faults().fail_next(usize::MAX, 500);
    node.board("P1", "V1").await.unwrap();
    eventually("the boarding is undone", SOON, || async { node.strapi.counters().undone == 1 }).await;
    assert!(node.strapi.counters().retried > 0);
    world.strapi.faults().fail_next(0, 0);
    node.outbox_empty().await;
    assert_eq!((node.state("P1").await, world.held("P1", "status")), ("waiting", "WAITING".into()));
}

async fn a_strapi_that_is_away_undoes_nothing(world: World) {
    let mut settings = world.settings();
    settings.give_up_after = Duration::from_millis(50);
    let node = world.node_with(settings, CacheSettings::default()).await;
    node.vehicle("V1", 1).await;
    node.push(&["P1"]).await.unwrap();
    world.strapi.faults().set_down(true);
    node.board("P1", "V1").await.unwrap();
    eventually("it was tried a few times", SOON, || async { node.strapi.counters().retried > 5 }).await;
    assert_eq!(node.strapi.counters().undone, 0);
    world.strapi.faults().set_down(false);
    world.told("P1", "BOARDED").await;
}

async fn one_whom_strapi_fails_at_holds_up_nobody(world: World) {
    let node = world.node().await;
    node.vehicle("V1", 9).await;
    node.push(&["P1", "P2", "P3"]).await.unwrap();
    world.strapi.faults().refuse("V1");
    node.vehicle("V2", 9).await;
    node.board("P1", "V1").await.unwrap();
    node.board("P2", "V2").await.unwrap();
    node.board("P3", "V2").await.unwrap();
    world.told("P2", "BOARDED").await;
    world.told("P3", "BOARDED").await;
}

on_both![
    a_change_is_tried_until_strapi_is_back,
    a_lost_answer_writes_no_state_twice,
    a_boarding_that_strapi_refuses_is_undone,
    who_is_gone_from_strapi_waits_no_longer,
    an_error_of_strapi_s_own_is_given_up_after_a_time,
    a_strapi_that_is_away_undoes_nothing,
    one_whom_strapi_fails_at_holds_up_nobody,
];
