//! A boarding that the store behind the cluster refused is undone, and only that one.

use signalbox_protocol::fleet::PassengerState;
use signalbox_reservoir::repository::Area;

use crate::on_both;
use crate::world::{World, id, point, pool, tenant};

async fn an_undone_boarding_leaves_a_passenger_who_waits(world: World) {
    let node = world.node().await;
    node.follow("route:12").await;
    node.vehicle("V1", 1).await;
    node.push(&["P1", "P2"]).await;
    let before = node.passenger("P1").await;
    let undone = node.board("P1", "V1").await.unwrap();
    assert!(node.repository.undo_board(&node.actor(), &id("P1"), undone.fence).await.unwrap());
    assert_eq!(node.passenger("P1").await, before);
    assert!(node.on_board("V1").await.is_empty());
    let area = Area { pool: pool("route:12"), center: point(13.1, -59.6), radius_m: 10.0, limit: 5 };
    assert_eq!(node.repository.near(&tenant("acme"), &area).await.unwrap().len(), 2);
    assert_eq!(node.repository.available(&tenant("acme"), &pool("route:12")).await.unwrap(), 2);
    let messages = node.heard.messages("route:12", 3).await;
    assert_eq!(messages[2]["type"], "commuter:spawned");
    assert_eq!(
        (&messages[2]["data"]["state"], &messages[2]["data"]["fence"]),
        (&"waiting".into(), &().into())
    );
    let again = node.board("P1", "V1").await.unwrap();
    assert!(again.fence > undone.fence);
    assert_eq!(node.on_board("V1").await, ["P1"]);
}

async fn no_other_boarding_is_undone(world: World) {
    let node = world.node().await;
    node.vehicle("V1", 2).await;
    node.push(&["P1"]).await;
    let undo = async |fence| node.repository.undo_board(&node.actor(), &id("P1"), fence).await.unwrap();
    assert!(!undo(0).await, "who waits");
    let first = node.board("P1", "V1").await.unwrap();
    assert!(!undo(first.fence - 1).await && !undo(first.fence + 1).await);
    assert!(undo(first.fence).await && !undo(first.fence).await);
    let second = node.board("P1", "V1").await.unwrap();
    assert!(!undo(first.fence).await, "a late one");
    node.alight("P1", second.fence).await.unwrap();
    assert!(!undo(second.fence).await, "whose ride is over");
    assert_eq!(node.passenger("P1").await.unwrap().state, PassengerState::Alighted);
    let nobody = node.repository.undo_board(&node.actor(), &id("nobody"), 1).await.unwrap();
    assert!(!nobody);
}

async fn several_are_read_in_their_order(world: World) {
    let node = world.node().await;
    node.push(&["P1", "P2"]).await;
    let ids = ["P2", "nobody", "P1", "P2"].map(id);
    let found = node.repository.passengers(&tenant("acme"), &ids).await.unwrap();
    let names: Vec<_> =
        found.iter().map(|found| found.as_ref().map(|one| one.passenger_id.as_str())).collect();
    assert_eq!(names, [Some("P2"), None, Some("P1"), Some("P2")]);
    assert_eq!(node.repository.passengers(&tenant("other"), &ids).await.unwrap(), [None, None, None, None]);
    assert!(node.repository.passengers(&tenant("acme"), &[]).await.unwrap().is_empty());
}

on_both![
    an_undone_boarding_leaves_a_passenger_who_waits,
    no_other_boarding_is_undone,
    several_are_read_in_their_order,
];
