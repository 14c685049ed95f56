//! Vehicles: written, read, and who is on board.

use signalbox_protocol::fleet::{NewVehicle, Vehicle};
use signalbox_reservoir::Error;

use crate::on_both;
use crate::world::{World, id, point, pool, tenant, vehicle};

on_both!(
    a_vehicle_is_kept_as_written,
    a_capacity_below_the_number_on_board_is_refused,
    who_is_on_board_stays_when_a_vehicle_is_written_again,
    many_may_be_on_board,
);

async fn a_vehicle_is_kept_as_written(world: World) {
    let node = world.node().await;
    assert_eq!(node.repository.vehicle(&tenant("acme"), &vehicle("V1")).await.unwrap(), None);
    assert_eq!(node.repository.manifest(&tenant("acme"), &vehicle("V1")).await.unwrap(), None);
    for (capacity, pool, position) in [
        (12, Some(pool("route:12")), Some(point(13.1, -59.6))),
        (3, None, None),
        (4, Some(pool("depot:4")), None),
    ] {
        let stands = NewVehicle { capacity, pool: pool.clone(), position };
        let put = node.repository.put_vehicle(&tenant("acme"), &vehicle("V1"), &stands).await.unwrap();
        let vehicle_id = vehicle("V1");
        let seats_left = capacity;
        let expected = Vehicle { vehicle_id, capacity, seats_left, pool, position, manifest: vec![] };
        assert_eq!(put, expected);
        let got = node.repository.vehicle(&tenant("acme"), &vehicle("V1")).await.unwrap();
        assert_eq!(got, Some(expected));
    }
}

async fn a_capacity_below_the_number_on_board_is_refused(world: World) {
    let node = world.node().await;
    node.push(&["COM_1", "COM_2"]).await;
    node.vehicle("V1", 5).await;
    node.board("COM_1", "V1").await.unwrap();
    node.board("COM_2", "V1").await.unwrap();
    let stands = NewVehicle { capacity: 1, pool: None, position: None };
    let refused = node.repository.put_vehicle(&tenant("acme"), &vehicle("V1"), &stands).await;
    assert!(matches!(refused, Err(Error::CapacityBelowOnBoard { on_board: 2 })), "{refused:?}");
    let stands = NewVehicle { capacity: 2, ..stands };
    let put = node.repository.put_vehicle(&tenant("acme"), &vehicle("V1"), &stands).await.unwrap();
    assert_eq!((put.capacity, put.seats_left), (2, 0));
    assert_eq!(put.manifest, [id("COM_1"), id("COM_2")]);
}

async fn who_is_on_board_stays_when_a_vehicle_is_written_again(world: World) {
    let node = world.node().await;
    node.push(&["B", "A"]).await;
    node.vehicle("V1", 2).await;
    node.board("B", "V1").await.unwrap();
    node.board("A", "V1").await.unwrap();
    node.vehicle("V1", 7).await;
    assert_eq!(node.on_board("V1").await, ["B", "A"], "in the order of boarding");
    let manifest = node.repository.manifest(&tenant("acme"), &vehicle("V1")).await.unwrap().unwrap();
    assert_eq!((manifest.capacity, manifest.seats_left), (7, 5));
    let ids: Vec<_> = manifest.passengers.iter().map(|passenger| passenger.passenger_id.as_str()).collect();
    assert_eq!(ids, ["B", "A"]);
}

async fn many_may_be_on_board(world: World) {
    let node = world.node().await;
    let ids: Vec<_> = (0..500).map(|number| format!("P{number:03}")).collect();
    node.push(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    node.vehicle("V1", 500).await;
    for id in &ids {
        node.board(id, "V1").await.unwrap();
    }
    assert_eq!(node.on_board("V1").await, ids);
    let manifest = node.repository.manifest(&tenant("acme"), &vehicle("V1")).await.unwrap().unwrap();
    assert_eq!((manifest.passengers.len(), manifest.seats_left), (500, 0));
}
