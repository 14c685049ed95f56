//! Fences: shown by those who hold a lock, given by a boarding, and asked for when alighting.

use signalbox_protocol::control::BoardingDenial;
use signalbox_protocol::fleet::PassengerState;
use signalbox_reservoir::Error;
use signalbox_reservoir::error::{Denied, Missing};
use signalbox_reservoir::repository::{Boarded, Boarding};

use super::boarding::denied;
use crate::on_both;
use crate::world::{Node, World, alighting, boarding};

on_both!(
    a_fence_below_one_that_was_shown_is_stale,
    a_fence_that_was_shown_counts_though_its_boarding_was_denied,
    a_boarding_gives_a_greater_fence_than_any_that_was_shown,
    whoever_shows_no_fence_is_not_measured_by_it,
    a_fence_of_one_passenger_says_nothing_about_another,
    an_old_fence_does_not_let_alight,
    fences_grow_from_boarding_to_boarding,
);

async fn board_showing(node: &Node, passenger: &str, vehicle: &str, fence: u64) -> Result<Boarded, Error> {
    let wish = Boarding { fence: Some(fence), ..boarding(passenger, vehicle) };
    node.repository.board(&node.actor(), &wish).await
}

fn is_stale(answer: Result<Boarded, Error>) {
    let state = Some(PassengerState::Waiting);
    assert_eq!(denied(answer), Denied { reason: BoardingDenial::StaleFence, state, boarded_by: None });
}

/// A vehicle without a free seat, and one with two.
async fn full_and_free(node: &Node) {
    node.push(&["SEATED", "COM_1", "COM_2"]).await;
    node.vehicle("FULL", 1).await;
    node.vehicle("FREE", 2).await;
    node.board("SEATED", "FULL").await.unwrap();
}

async fn a_fence_below_one_that_was_shown_is_stale(world: World) {
    let node = world.node().await;
    full_and_free(&node).await;
    assert_eq!(denied(board_showing(&node, "COM_1", "FULL", 11).await).reason, BoardingDenial::Full);
    is_stale(board_showing(&node, "COM_1", "FREE", 10).await);
    is_stale(board_showing(&node, "COM_1", "FULL", 10).await);
    board_showing(&node, "COM_1", "FREE", 11).await.unwrap();
}

async fn a_fence_that_was_shown_counts_though_its_boarding_was_denied(world: World) {
    let node = world.node().await;
    full_and_free(&node).await;
    let answer = board_showing(&node, "COM_1", "UNKNOWN", 20).await;
    assert!(matches!(answer, Err(Error::NotFound(Missing::Vehicle))), "{answer:?}");
    is_stale(board_showing(&node, "COM_1", "FREE", 19).await);
    // One that was refused as stale itself raises nothing.
    board_showing(&node, "COM_1", "FREE", 20).await.unwrap();
}

async fn a_boarding_gives_a_greater_fence_than_any_that_was_shown(world: World) {
    let node = world.node().await;
    full_and_free(&node).await;
    let far = (1 << 53) - 2;
    let boarded = board_showing(&node, "COM_1", "FREE", far).await.unwrap();
    assert_eq!(boarded.fence, far + 1);
    assert_eq!(node.passenger("COM_1").await.unwrap().fence, Some(far + 1));
    let other = node.board("COM_2", "FREE").await.unwrap();
    assert!(other.fence < far, "one who shows a giant drives the others nowhere");
    assert_eq!(node.on_board("FREE").await, ["COM_1", "COM_2"], "nor out of their order");
    node.alight("COM_1", far + 1).await.unwrap();
}

async fn whoever_shows_no_fence_is_not_measured_by_it(world: World) {
    let node = world.node().await;
    full_and_free(&node).await;
    assert_eq!(denied(board_showing(&node, "COM_1", "FULL", 11).await).reason, BoardingDenial::Full);
    node.board("COM_1", "FREE").await.unwrap();
}

async fn a_fence_of_one_passenger_says_nothing_about_another(world: World) {
    let node = world.node().await;
    full_and_free(&node).await;
    denied(board_showing(&node, "COM_1", "FULL", 11).await);
    board_showing(&node, "COM_2", "FREE", 3).await.unwrap();
}

async fn an_old_fence_does_not_let_alight(world: World) {
    let node = world.node().await;
    full_and_free(&node).await;
    let fence = node.board("COM_1", "FREE").await.unwrap().fence;
    for wrong in [0, 1, fence - 1, fence + 1, u64::MAX] {
        let refused = denied(node.repository.alight(&node.actor(), &alighting("COM_1", wrong)).await);
        assert_eq!(
            (refused.reason, refused.state),
            (BoardingDenial::StaleFence, Some(PassengerState::Boarded))
        );
    }
    assert_eq!(node.on_board("FREE").await, ["COM_1"]);
    node.alight("COM_1", fence).await.unwrap();
}

async fn fences_grow_from_boarding_to_boarding(world: World) {
    let node = world.node().await;
    let ids: Vec<_> = (0..200).map(|number| format!("P{number}")).collect();
    node.push(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    node.vehicle("V1", 200).await;
    let (mut last, behind) = (0, node.actor());
    for id in &ids {
        // The same instant each time: only Redis' own clock could move.
        let boarded = node.repository.board(&behind, &boarding(id, "V1")).await.unwrap();
        assert!(boarded.fence > last);
        last = boarded.fence;
    }
}
