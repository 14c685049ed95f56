//! Waits that are too long, and what is forgotten.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use signalbox_protocol::control::BoardingDenial;
use signalbox_protocol::fleet::{Passenger, PassengerState};
use signalbox_protocol::timestamp::Timestamp;
use signalbox_reservoir::Error;
use signalbox_reservoir::repository::{Area, Filter, Settings};
use signalbox_testkit::eventually;

use super::boarding::denied;
use crate::on_both;
use crate::world::{Node, SOON, World, pool, tenant};

on_both!(
    whoever_waited_for_too_long_is_ended_once,
    whoever_was_boarded_is_not_ended,
    one_whose_time_is_over_is_not_boarded_and_not_found_before_the_turn,
    many_whose_time_is_over_hide_nobody,
    whoever_ended_is_forgotten_in_time,
    an_id_may_be_used_again_when_it_is_forgotten,
    a_thousand_are_ended_in_one_turn,
);

/// One whose wait ends after so many milliseconds.
fn for_ms(node: &Node, name: &str, ms: u64) -> Passenger {
    Passenger { expires_at: Some(Timestamp(node.now().0 + ms)), ..node.waiting(name, "route:12") }
}

/// Turns the clock until so many have been ended.
async fn ended(node: &Node, count: usize) {
    let mut so_far = 0;
    while so_far < count {
        eventually("a wait is over", SOON, || async {
            match node.repository.expire(node.now()).await.unwrap() {
                0 => false,
                some => {
                    assert!(some <= count);
                    true
                }
            }
        })
        .await;
        so_far = states(node, PassengerState::Expired).await.len();
    }
    assert_eq!(so_far, count);
}

async fn states(node: &Node, state: PassengerState) -> Vec<String> {
    let (mut found, mut cursor) = (vec![], None::<String>);
    loop {
        let filter = Filter { pool: None, state: Some(state) };
        let page = node.repository.list(&tenant("acme"), &filter, cursor.as_deref(), 1_000).await.unwrap();
        found.extend(page.items.iter().map(|passenger| passenger.passenger_id.to_string()));
        cursor = page.cursor;
        if cursor.is_none() {
            return found;
        }
    }
}

async fn near(node: &Node, limit: usize) -> Vec<String> {
    let center = node.waiting("x", "route:12").position;
    let area = Area { pool: pool("route:12"), center, radius_m: 100.0, limit };
    let found = node.repository.near(&tenant("acme"), &area).await.unwrap();
    found.iter().map(|waiting| waiting.passenger_id().to_owned()).collect()
}

async fn whoever_waited_for_too_long_is_ended_once(world: World) {
    let node = world.node().await;
    let list = vec![for_ms(&node, "SHORT", 200), for_ms(&node, "LONG", 3_600_000)];
    node.repository.push(&node.actor(), list).await.unwrap();
    assert_eq!(node.repository.expire(node.now()).await.unwrap(), 0);
    ended(&node, 1).await;
    assert_eq!(states(&node, PassengerState::Expired).await, ["SHORT"]);
    assert_eq!(states(&node, PassengerState::Waiting).await, ["LONG"]);
    assert_eq!(near(&node, 10).await, ["LONG"]);
    assert_eq!(node.repository.available(&tenant("acme"), &pool("route:12")).await.unwrap(), 1);
    assert_eq!(node.repository.expire(node.now()).await.unwrap(), 0);
    let refused = node.cancel("SHORT").await;
    assert!(matches!(refused, Err(Error::State(PassengerState::Expired))), "{refused:?}");
}

async fn whoever_was_boarded_is_not_ended(world: World) {
    let node = world.node().await;
    node.vehicle("V1", 2).await;
    let list =
        vec![for_ms(&node, "BOARDED", 1_000), for_ms(&node, "LEFT", 1_000), for_ms(&node, "GONE", 1_000)];
    node.repository.push(&node.actor(), list).await.unwrap();
    node.board("BOARDED", "V1").await.unwrap();
    node.cancel("GONE").await.unwrap();
    ended(&node, 1).await;
    assert_eq!(states(&node, PassengerState::Expired).await, ["LEFT"]);
    assert_eq!(states(&node, PassengerState::Boarded).await, ["BOARDED"]);
    assert_eq!(states(&node, PassengerState::Cancelled).await, ["GONE"]);
}

async fn one_whose_time_is_over_is_not_boarded_and_not_found_before_the_turn(world: World) {
    let node = world.node().await;
    node.vehicle("V1", 3).await;
    let list = vec![for_ms(&node, "LATE", 300), for_ms(&node, "GIVES_UP", 300)];
    node.repository.push(&node.actor(), list).await.unwrap();
    assert_eq!(near(&node, 10).await.len(), 2);
    eventually("it is later", SOON, || async {
        // Tells a back end without a clock how late it is.
        let _ = node.board("NOBODY", "V1").await;
        near(&node, 10).await.is_empty()
    })
    .await;
    let refused = denied(node.board("LATE", "V1").await);
    assert_eq!((refused.reason, refused.state), (BoardingDenial::State, Some(PassengerState::Expired)));
    assert_eq!(node.passenger("LATE").await.unwrap().state, PassengerState::Waiting);
    node.cancel("GIVES_UP").await.unwrap();
    ended(&node, 1).await;
}

async fn many_whose_time_is_over_hide_nobody(world: World) {
    let node = world.node().await;
    let list = (0..300).map(|number| for_ms(&node, &format!("P{number}"), 300)).collect();
    node.repository.push(&node.actor(), list).await.unwrap();
    let far = Passenger { position: crate::world::point(13.1005, -59.6), ..node.waiting("FAR", "route:12") };
    node.repository.push(&node.actor(), vec![far]).await.unwrap();
    eventually("only one is found", SOON, || async {
        let _ = node.board("NOBODY", "V1").await;
        near(&node, 2).await == ["FAR"]
    })
    .await;
}

async fn whoever_ended_is_forgotten_in_time(world: World) {
    let kept = Settings { ended_kept: Duration::from_millis(500) };
    let node = world.node_with(kept).await;
    node.push(&["STAYS", "CANCELLED", "BOARDED", "ALIGHTED"]).await;
    node.vehicle("V1", 3).await;
    node.repository.push(&node.actor(), vec![for_ms(&node, "EXPIRED", 100)]).await.unwrap();
    node.cancel("CANCELLED").await.unwrap();
    node.board("BOARDED", "V1").await.unwrap();
    let boarded = node.repository.board(&node.request("r"), &crate::world::boarding("ALIGHTED", "V1")).await;
    node.alight("ALIGHTED", boarded.unwrap().fence).await.unwrap();
    let ended = AtomicUsize::new(0);
    eventually("those who ended are forgotten", SOON + SOON, || async {
        ended.fetch_add(node.repository.expire(node.now()).await.unwrap(), Ordering::Relaxed);
        let all = node.repository.list(&tenant("acme"), &Filter::default(), None, 10).await.unwrap();
        let ids: Vec<_> = all.items.iter().map(|passenger| passenger.passenger_id.as_str()).collect();
        ids == ["BOARDED", "STAYS"]
    })
    .await;
    assert_eq!(ended.into_inner(), 1, "nobody ends twice");
    for gone in ["CANCELLED", "ALIGHTED", "EXPIRED"] {
        assert_eq!(node.passenger(gone).await, None, "{gone}");
    }
    let in_pool = Filter { pool: Some(pool("route:12")), state: None };
    let all = node.repository.list(&tenant("acme"), &in_pool, None, 10).await.unwrap();
    assert_eq!(all.items.len(), 2);
    assert_eq!(node.on_board("V1").await, ["BOARDED"]);
}

async fn an_id_may_be_used_again_when_it_is_forgotten(world: World) {
    let node = world.node_with(Settings { ended_kept: Duration::from_millis(50) }).await;
    node.push(&["COM_1"]).await;
    node.vehicle("V1", 1).await;
    let first = node.board("COM_1", "V1").await.unwrap();
    node.alight("COM_1", first.fence).await.unwrap();
    let again = node.repository.push(&node.actor(), vec![node.waiting("COM_1", "route:12")]).await;
    assert!(matches!(again, Err(Error::Exists(_))), "{again:?}");
    eventually("it is forgotten", SOON + SOON, || async {
        node.repository.expire(node.now()).await.unwrap();
        node.passenger("COM_1").await.is_none()
    })
    .await;
    node.push(&["COM_1"]).await;
    let second = node.board("COM_1", "V1").await.unwrap();
    assert!(second.fence > first.fence);
    assert!(node.alight("COM_1", first.fence).await.is_err());
}

async fn a_thousand_are_ended_in_one_turn(world: World) {
    let node = world.node().await;
    let list = (0..1_000).map(|number| for_ms(&node, &format!("P{number}"), 1_500)).collect();
    node.repository.push(&node.actor(), list).await.unwrap();
    ended(&node, 1_000).await;
}
