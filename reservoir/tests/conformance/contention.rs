//! Many at once.

use std::collections::HashMap;
use std::sync::Arc;

use signalbox_protocol::control::BoardingDenial;
use signalbox_reservoir::Error;
use tokio::task::JoinSet;

use super::boarding::denied;
use crate::on_both;
use crate::world::{Node, World, boarding, vehicle};

on_both!(
    one_vehicle_wanted_by_many_is_filled_and_not_over_filled,
    one_passenger_wanted_by_many_vehicles_is_boarded_by_one,
    vehicles_race_for_passengers_from_two_nodes,
);

async fn nodes(world: &World) -> [Arc<Node>; 2] {
    [Arc::new(world.node().await), Arc::new(world.node().await)]
}

async fn one_vehicle_wanted_by_many_is_filled_and_not_over_filled(world: World) {
    let nodes = nodes(&world).await;
    let ids: Vec<_> = (0..100).map(|number| format!("P{number}")).collect();
    nodes[0].push(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    nodes[0].vehicle("V1", 16).await;
    let mut tries = JoinSet::new();
    for (number, id) in ids.into_iter().enumerate() {
        let node = Arc::clone(&nodes[number % 2]);
        tries.spawn(async move { node.board(&id, "V1").await });
    }
    let mut seats = Vec::new();
    for answer in tries.join_all().await {
        match answer {
            Ok(boarded) => seats.push(boarded.seats_left),
            refused => assert_eq!(denied(refused).reason, BoardingDenial::Full),
        }
    }
    seats.sort_unstable();
    assert_eq!(seats, (0..16).collect::<Vec<_>>());
    assert_eq!(nodes[1].on_board("V1").await.len(), 16);
}

async fn one_passenger_wanted_by_many_vehicles_is_boarded_by_one(world: World) {
    let nodes = nodes(&world).await;
    nodes[0].push(&["COM_1"]).await;
    for number in 0..50 {
        nodes[0].vehicle(&format!("V{number}"), 4).await;
    }
    let mut tries = JoinSet::new();
    for number in 0..50 {
        let node = Arc::clone(&nodes[number % 2]);
        let by = format!("V{number}");
        tries.spawn(async move { (by.clone(), node.board("COM_1", &by).await) });
    }
    let (mut winners, mut told) = (Vec::new(), Vec::new());
    for (by, answer) in tries.join_all().await {
        match answer {
            Ok(_) => winners.push(vehicle(&by)),
            refused => told.push(denied(refused)),
        }
    }
    assert_eq!((winners.len(), told.len()), (1, 49));
    assert!(told.iter().all(|denied| denied.reason == BoardingDenial::Boarded));
    assert!(told.iter().all(|denied| denied.boarded_by.as_ref() == winners.first()));
    let on_board = nodes[1].on_board(winners[0].as_str()).await;
    assert_eq!(on_board, ["COM_1"]);
}

async fn vehicles_race_for_passengers_from_two_nodes(world: World) {
    const VEHICLES: usize = 10;
    const PASSENGERS: usize = 60;
    const SEATS: u32 = 4;
    let nodes = nodes(&world).await;
    let pool_of = |number: usize| if number.is_multiple_of(2) { "route:12" } else { "depot:4" };
    let list =
        (0..PASSENGERS).map(|number| nodes[0].waiting(&format!("P{number}"), pool_of(number))).collect();
    nodes[0].repository.push(&nodes[0].actor(), list).await.unwrap();
    let mut tries = JoinSet::new();
    for number in 0..VEHICLES {
        let (node, by) = (Arc::clone(&nodes[number % 2]), format!("V{number}"));
        node.vehicle(&by, SEATS).await;
        tries.spawn(async move {
            let mut got = Vec::new();
            for passenger in (0..PASSENGERS).map(|step| format!("P{}", (step * 7) % PASSENGERS)) {
                match node.repository.board(&node.actor(), &boarding(&passenger, &by)).await {
                    Ok(boarded) => got.push((passenger, by.clone(), boarded.fence)),
                    Err(Error::Denied(_)) => {}
                    other => panic!("{other:?}"),
                }
            }
            got
        });
    }
    let got: Vec<_> = tries.join_all().await.concat();
    let by_passenger: HashMap<_, _> =
        got.iter().map(|(passenger, by, fence)| (passenger, (by, fence))).collect();
    assert_eq!(by_passenger.len(), got.len(), "nobody was boarded twice");
    assert_eq!(got.len(), VEHICLES * SEATS as usize, "every seat was taken, and no more");
    for number in 0..VEHICLES {
        let by = format!("V{number}");
        for passenger in nodes[0].on_board(&by).await {
            assert_eq!(*by_passenger[&passenger].0, by);
        }
    }
}
