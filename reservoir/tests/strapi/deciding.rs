//! The claims decide, Strapi is written after them.

use serde_json::json;
use signalbox_protocol::control::BoardingDenial;
use signalbox_reservoir::{CacheSettings, Error, StoreError};

use crate::on_both;
use crate::world::{SOON, World, vehicle};
use signalbox_testkit::eventually;
use std::time::Duration;

async fn a_ride_is_written_state_by_state(world: World) {
    let node = world.node().await;
    node.follow("route:12").await;
    node.push(&["P1"]).await.unwrap();
    node.vehicle("V1", 1).await;
    world.strapi.faults().set_down(true);
    let boarded = node.board("P1", "V1").await.unwrap();
    assert_eq!(node.state("P1").await, "boarded", "decided without strapi");
    node.alight("P1", boarded.fence).await.unwrap();
    assert_eq!(world.held("P1", "status"), "WAITING");
    world.strapi.take_seen();
    world.strapi.faults().set_down(false);
    world.told("P1", "ALIGHTED").await;
    assert_eq!(world.written(), ["BOARDED", "ALIGHTED"], "each state, in its order");
    assert_eq!(world.held("P1", "vehicle_id"), "V1");
    assert!(world.held("P1", "boarded_at").is_string() && world.held("P1", "alighted_at").is_string());
    node.outbox_empty().await;
    let types = node.heard.types("route:12", 3).await;
    assert_eq!(types, ["commuter:spawned", "commuter:picked_up", "commuter:dropped_off"]);
}

async fn one_of_many_nodes_boards_while_strapi_is_slow(world: World) {
    world.strapi.faults().set_delay(Duration::from_millis(100));
    let nodes = [world.node().await, world.node().await, world.node().await];
    nodes[0].push(&["P1"]).await.unwrap();
    for name in ["V0", "V1", "V2"] {
        nodes[0].vehicle(name, 1).await;
    }
    let (a, b, c) =
        tokio::join!(nodes[0].board("P1", "V0"), nodes[1].board("P1", "V1"), nodes[2].board("P1", "V2"));
    let outcomes = [a, b, c];
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let winner = outcomes.iter().position(Result::is_ok).unwrap();
    for denied in outcomes.into_iter().filter_map(Result::err) {
        let Error::Denied(denied) = denied else { panic!("{denied}") };
        let expected = (BoardingDenial::Boarded, Some(vehicle(&format!("V{winner}"))));
        assert_eq!((denied.reason, denied.boarded_by), expected);
    }
    world.told("P1", "BOARDED").await;
    assert_eq!(world.held("P1", "vehicle_id"), format!("V{winner}"));
}

async fn who_gives_up_or_waits_too_long_is_written_too(world: World) {
    let node = world.node().await;
    node.push(&["P1", "P2"]).await.unwrap();
    node.cancel("P1").await.unwrap();
    world.told("P1", "CANCELLED").await;
    assert!(world.held("P1", "vehicle_id").is_null());
    let mut later = crate::world::actor().now;
    later.0 += 4_000_000;
    if matches!(world.back_end, crate::world::BackEnd::Memory(_)) {
        // Redis has a clock of its own, which does not jump.
        assert_eq!(node.reservoir.expire(later).await.unwrap(), 1);
        world.told("P2", "EXPIRED").await;
    }
    assert_eq!(node.cancel("P1").await.ok(), Some(()), "again");
}

async fn whom_others_put_into_strapi_boards_as_well(world: World) {
    let node = world.node().await;
    node.follow("route:12").await;
    node.vehicle("V1", 2).await;
    let other = |id: &str, status: &str| json!({"passenger_id": id, "route_id": "12", "latitude": 13.1, "longitude": -59.6, "status": status});
    world.strapi.insert(&other("S1", "WAITING"));
    world.strapi.insert(&other("S2", "BOARDED"));
    assert_eq!(node.near().await, ["S1"]);
    node.board("S1", "V1").await.unwrap();
    world.told("S1", "BOARDED").await;
    assert_eq!(node.heard.types("route:12", 2).await, ["commuter:spawned", "commuter:picked_up"]);
    assert!(matches!(node.board("S1", "V1").await, Err(Error::Denied(_))));
    let Err(Error::Denied(denied)) = node.board("S2", "V1").await else { panic!("boarded twice") };
    assert_eq!(denied.reason, BoardingDenial::Boarded);
    assert!(matches!(node.board("S3", "V1").await, Err(Error::NotFound(_))));
    world.strapi.insert(&other("S4", "WAITING"));
    assert_eq!(
        node.reservoir.cancel_pool(&crate::world::actor(), &crate::world::pool("route:12")).await.unwrap(),
        1
    );
    world.told("S4", "CANCELLED").await;
}

async fn a_full_outbox_refuses_until_strapi_has_caught_up(world: World) {
    let mut settings = world.settings();
    settings.outbox_max = 2;
    let node = world.node_with(settings, CacheSettings::default()).await;
    node.vehicle("V1", 9).await;
    node.push(&["P1", "P2", "P3"]).await.unwrap();
    world.strapi.faults().set_down(true);
    node.board("P1", "V1").await.unwrap();
    node.board("P2", "V1").await.unwrap();
    let full = |outcome: Result<(), Error>| {
        matches!(outcome, Err(Error::Store(StoreError::OutboxFull { waiting: 2 })))
    };
    assert!(full(node.board("P3", "V1").await.map(|_| ())));
    assert!(full(node.push(&["P4"]).await));
    assert!(full(node.cancel("P3").await));
    world.strapi.faults().set_down(false);
    node.outbox_empty().await;
    node.board("P3", "V1").await.unwrap();
    world.told("P3", "BOARDED").await;
}

async fn another_node_goes_on_when_the_one_that_wrote_is_gone(world: World) {
    let mut settings = world.settings();
    settings.request_timeout = Duration::from_millis(200);
    let node = world.node_with(settings.clone(), CacheSettings::default()).await;
    node.vehicle("V1", 1).await;
    node.push(&["P1"]).await.unwrap();
    world.strapi.faults().set_down(true);
    node.board("P1", "V1").await.unwrap();
    drop(node);
    world.strapi.faults().set_down(false);
    let _other = world.node_with(settings, CacheSettings::default()).await;
    world.told("P1", "BOARDED").await;
}

async fn a_line_that_was_lost_is_written_again_at_the_next_look(world: World) {
    let node = world.node().await;
    node.vehicle("V1", 1).await;
    node.push(&["P1"]).await.unwrap();
    node.board("P1", "V1").await.unwrap();
    world.told("P1", "BOARDED").await;
    node.outbox_empty().await;
    // As if Redis had lost the line before Strapi was written.
    world.strapi.remove("P1");
    let record = json!({"passenger_id": "P1", "route_id": "12", "latitude": 13.1, "longitude": -59.6, "status": "WAITING"});
    world.strapi.insert(&record);
    assert!(node.near().await.is_empty(), "the claims know better");
    world.told("P1", "BOARDED").await;
}

async fn nobody_is_forgotten_before_strapi_knows_of_their_end(mut world: World) {
    world.claims.ended_kept = Duration::from_millis(1);
    let node = world.node().await;
    node.vehicle("V1", 1).await;
    node.push(&["P1", "P2"]).await.unwrap();
    node.cancel("P2").await.unwrap();
    node.outbox_empty().await;
    world.strapi.faults().set_down(true);
    let boarded = node.board("P1", "V1").await.unwrap();
    node.alight("P1", boarded.fence).await.unwrap();
    eventually("P2, of whom strapi knows, is forgotten", SOON, || async {
        let mut later = crate::world::actor().now;
        later.0 += 60_000;
        node.reservoir.expire(later).await.unwrap();
        match &world.back_end {
            crate::world::BackEnd::Redis(server) => server.cli(&["exists", "sb:{acme:fleet}:p:P2"]) == "0",
            crate::world::BackEnd::Memory(_) => true,
        }
    })
    .await;
    assert_eq!(node.state("P1").await, "alighted");
    world.strapi.faults().set_down(false);
    world.told("P1", "ALIGHTED").await;
}

async fn other_tenants_stay_with_the_claims(world: World) {
    let node = world.node().await;
    let mut other = crate::world::actor();
    other.tenant = crate::world::tenant("other");
    node.reservoir.push(&other, crate::world::new("P1")).await.unwrap();
    let found = node.reservoir.query(&other.tenant, &crate::world::query()).await.unwrap();
    assert_eq!(crate::world::names(&found), ["P1"]);
    assert!(world.strapi.records().is_empty() && node.near().await.is_empty());
    node.reservoir.cancel(&other, &crate::world::id("P1")).await.unwrap();
    eventually("no line is left", SOON, || async { node.strapi.waiting().await.unwrap() == 0 }).await;
    let seen = world.strapi.take_seen();
    assert!(seen.iter().all(|seen| seen.method == "GET" && seen.target.contains("route_id")), "{seen:?}");
}

on_both![
    a_ride_is_written_state_by_state,
    one_of_many_nodes_boards_while_strapi_is_slow,
    who_gives_up_or_waits_too_long_is_written_too,
    whom_others_put_into_strapi_boards_as_well,
    a_full_outbox_refuses_until_strapi_has_caught_up,
    another_node_goes_on_when_the_one_that_wrote_is_gone,
    a_line_that_was_lost_is_written_again_at_the_next_look,
    nobody_is_forgotten_before_strapi_knows_of_their_end,
    other_tenants_stay_with_the_claims,
];
