//! Boarding and alighting, and everything that can speak against it.

use signalbox_protocol::control::BoardingDenial;
use signalbox_protocol::fleet::PassengerState;
use signalbox_reservoir::Error;
use signalbox_reservoir::error::{Denied, Missing};
use signalbox_reservoir::repository::{Alighting, Boarding};

use crate::on_both;
use crate::world::{Node, World, alighting, boarding, pool, tenant, vehicle};

on_both!(
    a_boarding_writes_the_passenger_and_the_vehicle,
    an_alighting_frees_the_seat_and_is_final,
    a_vehicle_boards_from_any_pool,
    what_does_not_exist_is_named,
    a_second_vehicle_is_told_who_was_first,
    a_full_vehicle_boards_nobody,
    only_the_vehicle_that_boarded_may_let_alight,
    nothing_is_known_across_tenants,
);

/// The refusal that an answer is.
pub(crate) fn denied<T: std::fmt::Debug>(answer: Result<T, Error>) -> Denied {
    match answer {
        Err(Error::Denied(denied)) => denied,
        other => panic!("{other:?}"),
    }
}

async fn waiting_in(node: &Node, name: &str) -> u64 {
    node.repository.available(&tenant("acme"), &pool(name)).await.unwrap()
}

async fn a_boarding_writes_the_passenger_and_the_vehicle(world: World) {
    let node = world.node().await;
    node.push(&["COM_1", "COM_2"]).await;
    node.vehicle("V1", 3).await;
    let actor = node.actor();
    let boarded = node.repository.board(&actor, &boarding("COM_1", "V1")).await.unwrap();
    assert_eq!(boarded.seats_left, 2);
    let passenger = node.passenger("COM_1").await.unwrap();
    assert_eq!(passenger.state, PassengerState::Boarded);
    assert_eq!((passenger.vehicle_id, passenger.fence), (Some(vehicle("V1")), Some(boarded.fence)));
    assert_eq!((passenger.boarded_at, passenger.alighted_at), (Some(actor.now), None));
    assert_eq!(waiting_in(&node, "route:12").await, 1);
    let second = node.board("COM_2", "V1").await.unwrap();
    assert!(second.fence > boarded.fence && second.fence < 1 << 53);
    assert_eq!(node.on_board("V1").await, ["COM_1", "COM_2"]);
    let manifest = node.repository.manifest(&tenant("acme"), &vehicle("V1")).await.unwrap().unwrap();
    assert_eq!((manifest.capacity, manifest.seats_left), (3, 1));
    let fences: Vec<_> = manifest.passengers.iter().map(|passenger| passenger.fence.unwrap()).collect();
    assert_eq!(fences, [boarded.fence, second.fence]);
}

async fn an_alighting_frees_the_seat_and_is_final(world: World) {
    let node = world.node().await;
    node.push(&["COM_1", "COM_2"]).await;
    node.vehicle("V1", 1).await;
    let fence = node.board("COM_1", "V1").await.unwrap().fence;
    let actor = node.actor();
    let by = node.repository.alight(&actor, &alighting("COM_1", fence)).await.unwrap();
    assert_eq!(by, vehicle("V1"));
    let passenger = node.passenger("COM_1").await.unwrap();
    assert_eq!((passenger.state, passenger.alighted_at), (PassengerState::Alighted, Some(actor.now)));
    assert_eq!((passenger.vehicle_id, passenger.fence), (Some(vehicle("V1")), Some(fence)));
    assert!(node.on_board("V1").await.is_empty());
    assert_eq!(node.board("COM_2", "V1").await.unwrap().seats_left, 0);
    let refused = denied(node.board("COM_1", "V1").await);
    let had = Some(vehicle("V1"));
    let state = Some(PassengerState::Alighted);
    assert_eq!(refused, Denied { reason: BoardingDenial::State, state, boarded_by: had });
}

async fn a_vehicle_boards_from_any_pool(world: World) {
    let node = world.node().await;
    let list = vec![node.waiting("AT_DEPOT", "depot:4"), node.waiting("ON_ROUTE", "route:12")];
    node.repository.push(&node.actor(), list).await.unwrap();
    node.vehicle("V1", 2).await;
    node.board("AT_DEPOT", "V1").await.unwrap();
    node.board("ON_ROUTE", "V1").await.unwrap();
    assert_eq!((waiting_in(&node, "depot:4").await, waiting_in(&node, "route:12").await), (0, 0));
}

async fn what_does_not_exist_is_named(world: World) {
    let node = world.node().await;
    node.vehicle("V1", 2).await;
    let nobody = node.board("COM_1", "V1").await;
    assert!(matches!(nobody, Err(Error::NotFound(Missing::Passenger))), "{nobody:?}");
    let nothing = node.board("COM_1", "V2").await;
    assert!(matches!(nothing, Err(Error::NotFound(Missing::Passenger))), "first the passenger: {nothing:?}");
    node.push(&["COM_1"]).await;
    let nothing = node.board("COM_1", "V2").await;
    assert!(matches!(nothing, Err(Error::NotFound(Missing::Vehicle))), "{nothing:?}");
    node.board("COM_1", "V1").await.unwrap();
    let nothing = node.board("COM_1", "V2").await;
    assert!(matches!(nothing, Err(Error::NotFound(Missing::Vehicle))), "then the state: {nothing:?}");
    let nobody = node.alight("COM_2", 1).await;
    assert!(matches!(nobody, Err(Error::NotFound(Missing::Passenger))), "{nobody:?}");
    let nobody = node.cancel("COM_2").await;
    assert!(matches!(nobody, Err(Error::NotFound(Missing::Passenger))), "{nobody:?}");
}

async fn a_second_vehicle_is_told_who_was_first(world: World) {
    let node = world.node().await;
    node.push(&["COM_1"]).await;
    node.vehicle("V1", 1).await;
    node.vehicle("V2", 1).await;
    node.board("COM_1", "V1").await.unwrap();
    for again in ["V2", "V1"] {
        let refused = denied(node.board("COM_1", again).await);
        let (state, boarded_by) = (Some(PassengerState::Boarded), Some(vehicle("V1")));
        assert_eq!(refused, Denied { reason: BoardingDenial::Boarded, state, boarded_by });
    }
    assert!(node.on_board("V2").await.is_empty());
}

async fn a_full_vehicle_boards_nobody(world: World) {
    let node = world.node().await;
    node.push(&["COM_1", "COM_2"]).await;
    node.vehicle("V1", 1).await;
    assert_eq!(node.board("COM_1", "V1").await.unwrap().seats_left, 0);
    let refused = denied(node.board("COM_2", "V1").await);
    let state = Some(PassengerState::Waiting);
    assert_eq!(refused, Denied { reason: BoardingDenial::Full, state, boarded_by: None });
    assert_eq!(node.passenger("COM_2").await.unwrap().state, PassengerState::Waiting);
    assert_eq!(node.on_board("V1").await, ["COM_1"]);
    node.vehicle("V1", 2).await;
    node.board("COM_2", "V1").await.unwrap();
}

async fn only_the_vehicle_that_boarded_may_let_alight(world: World) {
    let node = world.node().await;
    node.push(&["COM_1"]).await;
    node.vehicle("V1", 1).await;
    let fence = node.board("COM_1", "V1").await.unwrap().fence;
    let by = |name| Alighting { vehicle_id: Some(vehicle(name)), ..alighting("COM_1", fence) };
    let refused = denied(node.repository.alight(&node.actor(), &by("V2")).await);
    let (state, boarded_by) = (Some(PassengerState::Boarded), Some(vehicle("V1")));
    assert_eq!(refused, Denied { reason: BoardingDenial::StaleFence, state, boarded_by });
    assert_eq!(node.repository.alight(&node.actor(), &by("V1")).await.unwrap(), vehicle("V1"));
    let late = denied(node.repository.alight(&node.actor(), &by("V2")).await);
    assert_eq!((late.reason, late.state), (BoardingDenial::State, Some(PassengerState::Alighted)));
}

async fn nothing_is_known_across_tenants(world: World) {
    let node = world.node().await;
    node.push(&["COM_1"]).await;
    node.vehicle("V1", 1).await;
    let mut foreign = node.actor();
    foreign.tenant = tenant("rival");
    let wish = Boarding { fence: Some(u64::MAX >> 12), ..boarding("COM_1", "V1") };
    let answer = node.repository.board(&foreign, &wish).await;
    assert!(matches!(answer, Err(Error::NotFound(Missing::Passenger))), "{answer:?}");
    let theirs = node.waiting("COM_9", "route:12");
    node.repository.push(&foreign, vec![theirs]).await.unwrap();
    let answer = node.repository.board(&foreign, &boarding("COM_9", "V1")).await;
    assert!(matches!(answer, Err(Error::NotFound(Missing::Vehicle))), "{answer:?}");
    assert_eq!(node.repository.vehicle(&tenant("rival"), &vehicle("V1")).await.unwrap(), None);
    assert_eq!(node.repository.manifest(&tenant("rival"), &vehicle("V1")).await.unwrap(), None);
    node.board("COM_1", "V1").await.unwrap();
}
