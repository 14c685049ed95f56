//! Taking passengers in, and finding those who wait.

use serde_json::json;
use signalbox_protocol::fleet::{Direction, Passenger};
use signalbox_protocol::timestamp::Timestamp;
use signalbox_reservoir::Error;
use signalbox_reservoir::repository::Area;

use crate::on_both;
use crate::world::{Node, World, id, object, point, pool, tenant};

on_both!(
    a_passenger_is_kept_as_pushed,
    whoever_is_found_is_told_as_the_passenger_is,
    a_list_with_somebody_who_exists_changes_nothing,
    a_pool_finds_its_nearest_and_nobody_else,
    many_at_one_place_are_all_found,
    a_wide_search_finds_the_nearest_wherever_most_are,
    the_date_line_is_no_border,
    tenants_do_not_see_each_other,
    ten_thousand_come_in_by_one_step,
    nobody_is_found_where_nobody_was_pushed,
);

fn area(center: (f64, f64), radius_m: f64, limit: usize) -> Area {
    Area { pool: pool("route:12"), center: point(center.0, center.1), radius_m, limit }
}

async fn ids_near(node: &Node, area: &Area) -> Vec<String> {
    let mut found = node.repository.near(&tenant("acme"), area).await.unwrap();
    found.retain(|waiting| waiting.position().distance_m(area.center) <= area.radius_m);
    found.sort_by(|a, b| {
        let [a_m, b_m] = [a, b].map(|waiting| waiting.position().distance_m(area.center));
        a_m.total_cmp(&b_m).then_with(|| a.passenger_id().cmp(b.passenger_id()))
    });
    found.truncate(area.limit);
    found.iter().map(|waiting| waiting.passenger_id().to_owned()).collect()
}

async fn a_passenger_is_kept_as_pushed(world: World) {
    let node = world.node().await;
    let full = Passenger {
        direction: Some(Direction::Inbound),
        destination: Some(point(13.25, -59.5)),
        priority: 9,
        max_walking_distance_m: Some(250.5),
        ..node.waiting("COM_1", "depot:4")
    };
    let bare = Passenger { expires_at: None, ..node.waiting("COM_2", "route:12") };
    node.repository.push(&node.actor(), vec![full.clone(), bare.clone()]).await.unwrap();
    assert_eq!(node.passenger("COM_1").await, Some(full.clone()));
    assert_eq!(node.passenger("COM_2").await, Some(bare));
    assert_eq!(node.passenger("COM_3").await, None);
    assert_eq!(node.repository.available(&tenant("acme"), &pool("depot:4")).await.unwrap(), 1);
    let other = world.node().await;
    assert_eq!(other.passenger("COM_1").await, Some(full));
}

async fn whoever_is_found_is_told_as_the_passenger_is(world: World) {
    let node = world.node().await;
    let full = Passenger {
        direction: Some(Direction::Outbound),
        destination: Some(point(13.25, -59.5)),
        priority: 3,
        max_walking_distance_m: Some(120.0),
        ..node.waiting("FULL", "route:12")
    };
    let bare = Passenger { expires_at: None, ..node.waiting("BARE", "route:12") };
    node.repository.push(&node.actor(), vec![full, bare, node.waiting("BACK", "route:12")]).await.unwrap();
    node.vehicle("V1", 1).await;
    let fence = node.board("BACK", "V1").await.unwrap().fence;
    assert!(node.repository.undo_board(&node.actor(), &id("BACK"), fence).await.unwrap());
    let found = node.repository.near(&tenant("acme"), &area((13.1, -59.6), 10.0, 10)).await.unwrap();
    assert_eq!(found.len(), 3);
    for waiting in found {
        let passenger = node.passenger(waiting.passenger_id()).await.unwrap();
        assert_eq!(waiting.position(), passenger.position);
        assert_eq!(object(waiting.as_passenger()), json!(passenger));
        let mut event = json!(passenger.event(node.now()));
        event.as_object_mut().unwrap().remove("timestamp");
        assert_eq!(object(waiting.as_event()), event);
    }
}

async fn a_list_with_somebody_who_exists_changes_nothing(world: World) {
    let node = world.node().await;
    node.push(&["B", "D"]).await;
    let before = node.passenger("B").await;
    let list = ["A", "B", "C", "D"].map(|id| node.waiting(id, "depot:4")).to_vec();
    let refused = node.repository.push(&node.actor(), list).await;
    assert!(matches!(&refused, Err(Error::Exists(who)) if *who == id("B")), "{refused:?}");
    assert_eq!(node.passenger("A").await, None);
    assert_eq!(node.passenger("C").await, None);
    assert_eq!(node.passenger("B").await, before);
    assert_eq!(node.repository.available(&tenant("acme"), &pool("depot:4")).await.unwrap(), 0);
    assert_eq!(node.repository.available(&tenant("acme"), &pool("route:12")).await.unwrap(), 2);
}

async fn a_pool_finds_its_nearest_and_nobody_else(world: World) {
    let node = world.node().await;
    let mut list: Vec<_> = (1..=50)
        .map(|step| Passenger {
            // 11.1 m apart, to the north and to the east in turn.
            position: match step % 2 {
                0 => point(13.0 + f64::from(step) * 1e-4, -59.0),
                _ => point(13.0, -59.0 + f64::from(step) * 1e-4),
            },
            ..node.waiting(&format!("P{step:02}"), "route:12")
        })
        .collect();
    list.push(Passenger { position: point(13.0, -59.0), ..node.waiting("OTHER", "route:13") });
    list.push(Passenger { position: point(13.0, -59.0), ..node.waiting("DEPOT", "depot:12") });
    node.repository.push(&node.actor(), list).await.unwrap();
    let nearest = ids_near(&node, &area((13.0, -59.0), 5_000.0, 4)).await;
    assert_eq!(nearest, ["P01", "P02", "P03", "P04"]);
    assert_eq!(ids_near(&node, &area((13.0, -59.0), 34.0, 100)).await, ["P01", "P02", "P03"]);
    assert_eq!(ids_near(&node, &area((13.0, -59.0), 5_000.0, 100)).await.len(), 50);
    assert!(ids_near(&node, &area((12.9, -59.0), 1_000.0, 100)).await.is_empty());
}

async fn many_at_one_place_are_all_found(world: World) {
    let node = world.node().await;
    let list = (0..3_000).map(|number| node.waiting(&format!("P{number:04}"), "route:12")).collect();
    node.repository.push(&node.actor(), list).await.unwrap();
    let all = ids_near(&node, &area((13.1, -59.6), 10.0, 5_000)).await;
    assert_eq!(all.len(), 3_000);
    assert_eq!(ids_near(&node, &area((13.1, -59.6), 10.0, 7)).await.len(), 7);
}

async fn a_wide_search_finds_the_nearest_wherever_most_are(world: World) {
    let node = world.node().await;
    let at = |id: String, lat| Passenger { position: point(lat, -59.0), ..node.waiting(&id, "route:12") };
    // A crowd 60 km away, a few people on the way there, and nobody close by.
    let mut list: Vec<_> = (0..2_000).map(|number| at(format!("CROWD{number}"), 13.54)).collect();
    list.extend((1..=20).map(|step| at(format!("P{step:02}"), 13.0 + f64::from(step) * 0.02)));
    node.repository.push(&node.actor(), list).await.unwrap();
    let nearest = |limit| area((13.0, -59.0), 90_000.0, limit);
    assert_eq!(ids_near(&node, &nearest(1)).await, ["P01"]);
    assert_eq!(ids_near(&node, &nearest(3)).await, ["P01", "P02", "P03"]);
    let fifty = ids_near(&node, &nearest(50)).await;
    assert_eq!((fifty[19].as_str(), fifty.len()), ("P20", 50));
    assert_eq!(ids_near(&node, &nearest(3_000)).await.len(), 2_020);
}

async fn the_date_line_is_no_border(world: World) {
    let node = world.node().await;
    let at = |id, lon| Passenger { position: point(-17.0, lon), ..node.waiting(id, "route:12") };
    node.repository.push(&node.actor(), vec![at("WEST", 179.9995), at("EAST", -179.9995)]).await.unwrap();
    for lon in [180.0, -180.0, 179.9999, -179.9999] {
        let found = ids_near(&node, &area((-17.0, lon), 150.0, 10)).await;
        assert_eq!(found.len(), 2, "from {lon}: {found:?}");
    }
}

async fn tenants_do_not_see_each_other(world: World) {
    let node = world.node().await;
    node.push(&["COM_1"]).await;
    let mut foreign = node.actor();
    foreign.tenant = tenant("rival");
    let mine = node.waiting("COM_1", "route:12");
    node.repository.push(&foreign, vec![mine]).await.unwrap();
    node.cancel("COM_1").await.unwrap();
    let rivals = node.repository.available(&tenant("rival"), &pool("route:12")).await.unwrap();
    assert_eq!(rivals, 1, "the same id is another passenger");
    let nobody = node.repository.passenger(&tenant("third"), &id("COM_1")).await.unwrap();
    assert_eq!(nobody, None);
}

async fn ten_thousand_come_in_by_one_step(world: World) {
    let node = world.node().await;
    let named = |number: u32| node.waiting(&format!("P{number:05}"), &format!("route:{}", number % 3));
    let mut list: Vec<_> = (0..10_000).map(named).collect();
    node.repository.push(&node.actor(), vec![list[9_000].clone()]).await.unwrap();
    let refused = node.repository.push(&node.actor(), list.clone()).await;
    assert!(matches!(&refused, Err(Error::Exists(who)) if *who == id("P09000")), "{refused:?}");
    list.remove(9_000);
    node.repository.push(&node.actor(), list).await.unwrap();
    for (of, count) in [("route:0", 3_334), ("route:1", 3_333), ("route:2", 3_333)] {
        assert_eq!(node.repository.available(&tenant("acme"), &pool(of)).await.unwrap(), count);
    }
    assert_eq!(node.passenger("P09999").await.unwrap().pool, pool("route:0"));
}

async fn nobody_is_found_where_nobody_was_pushed(world: World) {
    let node = world.node().await;
    assert!(ids_near(&node, &area((13.0, -59.0), 5_000.0, 4)).await.is_empty());
    assert_eq!(node.repository.available(&tenant("acme"), &pool("route:12")).await.unwrap(), 0);
    assert_eq!(node.repository.cancel_some(&node.actor(), &pool("route:12"), 10).await.unwrap(), 0);
    assert_eq!(node.repository.expire(Timestamp(node.now().0)).await.unwrap(), 0);
}
