//! What is read of Strapi: every page, no stranger, nobody whom the claims know better.

use serde_json::json;
use signalbox_protocol::fleet::{Direction, PassengerState};
use signalbox_reservoir::repository::{Area, Filter};
use signalbox_reservoir::{CacheSettings, Error, StoreError, Waiting};

use crate::on_both;
use crate::world::{SOON, World, actor, names, new, new_at, point, pool, query, tenant};
use signalbox_testkit::eventually;

async fn a_passenger_reads_back_as_it_was_pushed(world: World) {
    let node = world.node().await;
    let mut whole = new_at("P+1@x", -33.5, 179.5);
    whole.direction = Some(Direction::Inbound);
    whole.destination = Some(point(-33.6, -179.9));
    (whole.priority, whole.max_walking_distance_m) = (7, Some(250.5));
    let mut of_depot = new("P2");
    (of_depot.pool, of_depot.depot_id) = (None, Some("4".to_owned()));
    for passenger in [whole, of_depot] {
        let pushed = node.reservoir.push(&actor(), passenger).await.unwrap();
        let area = Area { pool: pushed.pool.clone(), center: pushed.position, radius_m: 1.0, limit: 5 };
        let found = node.strapi.repository().near(&tenant("acme"), &area).await.unwrap();
        assert_eq!(found, [Waiting::of(&pushed)]);
    }
    let record = &world.strapi.records_of("P+1@x")[0];
    assert_eq!((&record["route_id"], &record["depot_id"]), (&json!("12"), &json!(null)));
    assert_eq!((&record["direction"], &record["destination_lon"]), (&json!("inbound"), &json!(-179.9)));
    assert_eq!(world.held("P2", "depot_id"), "4");
}

async fn every_page_is_read(world: World) {
    let mut settings = world.settings();
    settings.page_size = 7;
    let node = world.node_with(settings, CacheSettings::default()).await;
    let ids: Vec<_> = (0..40).map(|number| format!("P{number:02}")).collect();
    node.push(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(node.near().await, ids);
    let (mut listed, mut cursor) = (Vec::new(), None);
    loop {
        let filter = Filter { pool: Some(pool("route:12")), state: None };
        let page = node.reservoir.list(&tenant("acme"), &filter, cursor.as_deref(), 9).await.unwrap();
        listed.extend(page.items.iter().map(|passenger| passenger.passenger_id.to_string()));
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(listed, ids);
}

async fn only_the_circle_of_the_pool_is_answered(world: World) {
    let node = world.node().await;
    for (name, lat, lon) in [("near", 13.1, -59.6), ("corner", 13.1044, -59.5956), ("far", 13.2, -59.6)] {
        node.reservoir.push(&actor(), new_at(name, lat, lon)).await.unwrap();
    }
    let mut other = new("other");
    other.pool = Some(pool("depot:12"));
    node.reservoir.push(&actor(), other).await.unwrap();
    assert_eq!(node.near().await, ["near"]);
    let mut wide = query();
    wide.radius_km = 100.0;
    let found = node.reservoir.query(&tenant("acme"), &wide).await.unwrap();
    assert_eq!(names(&found), ["near", "corner", "far"]);
    node.reservoir.push(&actor(), new_at("west", 0.0, 179.999)).await.unwrap();
    node.reservoir.push(&actor(), new_at("east", 0.0, -179.999)).await.unwrap();
    let mut line = query();
    line.position = point(0.0, 180.0);
    let found = node.reservoir.query(&tenant("acme"), &line).await.unwrap();
    assert_eq!(names(&found), ["east", "west"], "on both sides of the date line");
}

async fn a_list_by_state_goes_by_the_claims(world: World) {
    let node = world.node().await;
    node.vehicle("V1", 9).await;
    node.push(&["P1", "P2", "P3"]).await.unwrap();
    world.strapi.faults().fail_next(0, 0);
    node.board("P2", "V1").await.unwrap();
    node.cancel("P3").await.unwrap();
    for (state, expected) in
        [(PassengerState::Waiting, "P1"), (PassengerState::Boarded, "P2"), (PassengerState::Cancelled, "P3")]
    {
        let filter = Filter { pool: None, state: Some(state) };
        let page = node.reservoir.list(&tenant("acme"), &filter, None, 10).await.unwrap();
        let listed: Vec<_> = page.items.iter().map(|passenger| passenger.passenger_id.as_str()).collect();
        assert_eq!(listed, [expected], "{state:?}");
    }
    let wait = node.reservoir.available(&tenant("acme"), &pool("route:12")).await.unwrap();
    assert_eq!(wait, 1, "whoever has boarded is not counted, written or not");
}

async fn a_change_that_is_being_written_is_counted_once(world: World) {
    let node = world.node().await;
    node.vehicle("V1", 40).await;
    let ids: Vec<_> = (0..40).map(|number| format!("P{number:02}")).collect();
    node.push(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await.unwrap();
    for (boarded, id) in ids.iter().enumerate() {
        node.board(id, "V1").await.unwrap();
        // The worker writes this boarding at the same time.
        let wait = node.reservoir.available(&tenant("acme"), &pool("route:12")).await.unwrap();
        assert_eq!(wait as usize, ids.len() - 1 - boarded);
    }
}

async fn a_crowd_is_never_cut_short(world: World) {
    let mut settings = world.settings();
    settings.records_max = 40;
    (settings.retry_first, settings.retry_longest) = (SOON * 10, SOON * 10);
    let node = world.node_with(settings, CacheSettings::default()).await;
    let spread = |number: usize| new_at(&format!("P{number:02}"), 13.1 + 0.0001 * number as f64, -59.6);
    node.reservoir.push_batch(&actor(), (0..60).map(spread).collect()).await.unwrap();
    let repository = node.strapi.repository();
    let area = |limit| Area { pool: pool("route:12"), center: point(13.1, -59.6), radius_m: 2_000.0, limit };
    let found = repository.near(&tenant("acme"), &area(10)).await.unwrap();
    for number in 0..10 {
        let id = format!("P{number:02}");
        assert!(found.iter().any(|waiting| waiting.passenger_id() == id), "{id} is among the nearest");
    }
    let crowded = async |limit| {
        let found = repository.near(&tenant("acme"), &area(limit)).await;
        matches!(found, Err(Error::Store(StoreError::Crowded { most: 40 })))
    };
    assert!(crowded(30).await, "a circle of which strapi can tell holds 23");
    // Strapi does not hear of these: it has them among the 23 nearest.
    assert!(!crowded(20).await);
    node.vehicle("V1", 9).await;
    world.strapi.faults().set_down(true);
    for number in 0..8 {
        node.board(&format!("P{number:02}"), "V1").await.unwrap();
    }
    eventually("the worker waits", SOON, || async { node.strapi.counters().retried > 0 }).await;
    world.strapi.faults().set_down(false);
    assert!(!crowded(15).await && crowded(16).await);
}

async fn records_that_nobody_can_read_are_left_out(world: World) {
    let node = world.node().await;
    node.push(&["P1"]).await.unwrap();
    for (id, lat) in [("bad id!", 13.1), ("P3", 89.9)] {
        let record = json!({"passenger_id": id, "route_id": "12", "latitude": lat, "longitude": -59.6, "status": "WAITING"});
        world.strapi.insert(&record);
    }
    assert_eq!(node.near().await, ["P1"]);
}

on_both![
    a_passenger_reads_back_as_it_was_pushed,
    every_page_is_read,
    only_the_circle_of_the_pool_is_answered,
    a_list_by_state_goes_by_the_claims,
    a_change_that_is_being_written_is_counted_once,
    a_crowd_is_never_cut_short,
    records_that_nobody_can_read_are_left_out,
];
