//! Asking again: the same request gets its first answer, another one does not.

use signalbox_protocol::control::BoardingDenial;
use signalbox_reservoir::Actor;

use super::boarding::denied;
use crate::on_both;
use crate::world::{World, boarding, vehicle};

on_both!(
    a_retry_gets_the_first_answer_and_changes_nothing,
    a_retry_gets_the_first_answer_even_after_alighting,
    the_same_words_of_another_subject_are_another_request,
    the_same_words_for_another_passenger_are_another_request,
    the_same_words_for_another_vehicle_are_another_request,
    a_denied_request_may_succeed_later,
    without_a_request_id_there_is_no_retry,
    a_retry_of_an_alighting_gets_the_first_answer,
);

async fn a_retry_gets_the_first_answer_and_changes_nothing(world: World) {
    let node = world.node().await;
    node.push(&["COM_1", "COM_2"]).await;
    node.vehicle("V1", 3).await;
    let first = node.repository.board(&node.request("r"), &boarding("COM_1", "V1")).await.unwrap();
    node.board("COM_2", "V1").await.unwrap();
    let other = world.node().await;
    for node in [&node, &other] {
        let again = node.repository.board(&node.request("r"), &boarding("COM_1", "V1")).await.unwrap();
        assert_eq!((again, again.seats_left), (first, 2), "as it was told then");
    }
    assert_eq!(node.on_board("V1").await, ["COM_1", "COM_2"]);
}

async fn a_retry_gets_the_first_answer_even_after_alighting(world: World) {
    let node = world.node().await;
    node.push(&["COM_1"]).await;
    node.vehicle("V1", 1).await;
    let first = node.repository.board(&node.request("r"), &boarding("COM_1", "V1")).await.unwrap();
    node.alight("COM_1", first.fence).await.unwrap();
    let again = node.repository.board(&node.request("r"), &boarding("COM_1", "V1")).await.unwrap();
    assert_eq!(again, first);
    assert!(node.on_board("V1").await.is_empty(), "the passenger does not come back for it");
}

async fn the_same_words_of_another_subject_are_another_request(world: World) {
    let node = world.node().await;
    node.push(&["COM_1"]).await;
    node.vehicle("V1", 1).await;
    node.repository.board(&node.request("r"), &boarding("COM_1", "V1")).await.unwrap();
    let other = Actor { subject: "somebody\nelse".into(), ..node.request("r") };
    let refused = denied(node.repository.board(&other, &boarding("COM_1", "V1")).await);
    assert_eq!((refused.reason, refused.boarded_by), (BoardingDenial::Boarded, Some(vehicle("V1"))));
}

async fn the_same_words_for_another_passenger_are_another_request(world: World) {
    let node = world.node().await;
    node.push(&["COM_1", "COM_2"]).await;
    node.vehicle("V1", 2).await;
    let first = node.repository.board(&node.request("r"), &boarding("COM_1", "V1")).await.unwrap();
    let second = node.repository.board(&node.request("r"), &boarding("COM_2", "V1")).await.unwrap();
    assert!(second.fence > first.fence);
    for (passenger, answer) in [("COM_1", first), ("COM_2", second)] {
        let again = node.repository.board(&node.request("r"), &boarding(passenger, "V1")).await.unwrap();
        assert_eq!(again, answer);
    }
}

async fn the_same_words_for_another_vehicle_are_another_request(world: World) {
    let node = world.node().await;
    node.push(&["COM_1"]).await;
    node.vehicle("V1", 1).await;
    node.vehicle("V2", 1).await;
    node.repository.board(&node.request("r"), &boarding("COM_1", "V1")).await.unwrap();
    let refused = denied(node.repository.board(&node.request("r"), &boarding("COM_1", "V2")).await);
    assert_eq!((refused.reason, refused.boarded_by), (BoardingDenial::Boarded, Some(vehicle("V1"))));
}

async fn a_denied_request_may_succeed_later(world: World) {
    let node = world.node().await;
    node.push(&["COM_1", "COM_2"]).await;
    node.vehicle("V1", 1).await;
    let seat = node.board("COM_1", "V1").await.unwrap();
    let refused = denied(node.repository.board(&node.request("r"), &boarding("COM_2", "V1")).await);
    assert_eq!(refused.reason, BoardingDenial::Full);
    node.alight("COM_1", seat.fence).await.unwrap();
    node.repository.board(&node.request("r"), &boarding("COM_2", "V1")).await.unwrap();
}

async fn without_a_request_id_there_is_no_retry(world: World) {
    let node = world.node().await;
    node.push(&["COM_1"]).await;
    node.vehicle("V1", 1).await;
    node.board("COM_1", "V1").await.unwrap();
    assert_eq!(denied(node.board("COM_1", "V1").await).reason, BoardingDenial::Boarded);
}

async fn a_retry_of_an_alighting_gets_the_first_answer(world: World) {
    let node = world.node().await;
    node.push(&["COM_1"]).await;
    node.vehicle("V1", 1).await;
    let fence = node.board("COM_1", "V1").await.unwrap().fence;
    let first = node.alight("COM_1", fence).await.unwrap();
    let when = node.passenger("COM_1").await.unwrap().alighted_at;
    assert_eq!(node.alight("COM_1", fence).await.unwrap(), first);
    assert_eq!(node.passenger("COM_1").await.unwrap().alighted_at, when);
    assert_eq!(denied(node.alight("COM_1", fence - 1).await).reason, BoardingDenial::State);
}
