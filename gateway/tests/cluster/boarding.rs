//! Boarding from end to end: exactly one vehicle boards a passenger, no vehicle takes more than it has seats,
//! and everybody hears of it in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use signalbox_gateway::node::Node;
use signalbox_protocol::fleet::{GeoPoint, NewPassenger, NewVehicle, PassengerState};
use signalbox_protocol::timestamp::{Timestamp, is_rfc3339};
use signalbox_protocol::{Agent, PassengerId, Tenant, VehicleId};
use signalbox_reservoir::Actor;
use tokio_util::task::TaskTracker;

use crate::client::{Client, PATIENCE};
use crate::fixture::{TestCluster, TestNode, config};

fn tenant() -> Tenant {
    Tenant::try_new("default").unwrap()
}

fn actor() -> Actor {
    Actor {
        tenant: tenant(),
        agent: Agent::of("service", "commuter").unwrap(),
        subject: "service:commuter".to_owned(),
        request_id: None,
        now: Timestamp(signalbox_gateway::stamps::now_ms()),
    }
}

fn waiting(number: usize, pool: &str) -> NewPassenger {
    serde_json::from_value(json!({
        "passenger_id": format!("COM_{number}"),
        "pool": pool,
        "position": {"lat": 13.1, "lon": -59.6},
    }))
    .unwrap()
}

async fn push(node: &Node, passengers: Vec<NewPassenger>) {
    node.reservoir.push_batch(&actor(), passengers).await.unwrap();
}

async fn put_vehicle(node: &Node, id: &str, capacity: u32) {
    let vehicle = NewVehicle { capacity, pool: None, position: None };
    node.reservoir.put_vehicle(&tenant(), &VehicleId::try_new(id).unwrap(), &vehicle).await.unwrap();
}

fn board(passenger: &str) -> Value {
    json!({"type": "boarding:request", "data": {"passenger_id": passenger}})
}

/// Boards whoever can be boarded, beginning at a place of its own, until all were tried or the vehicle is full.
async fn ride(mut vehicle: Client, passengers: Arc<Vec<String>>, start: usize) -> Vec<(String, u64)> {
    let mut boarded = Vec::new();
    for place in 0..passengers.len() {
        let passenger = &passengers[(start + place) % passengers.len()];
        let answer = vehicle.request(board(passenger)).await;
        let data = &answer["data"];
        match (answer["type"].as_str().unwrap(), data["reason"].as_str()) {
            ("boarding:confirmed", _) => {
                boarded.push((passenger.clone(), data["fence"].as_u64().unwrap()));
            }
            ("boarding:denied", Some("boarded")) => assert!(data["boarded_by"].is_string(), "{answer}"),
            ("boarding:denied", Some("full")) => break,
            _ => panic!("{answer}"),
        }
    }
    boarded
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_vehicles_race_for_five_hundred_passengers_of_two_pools_through_three_nodes() {
    const VEHICLES: usize = 50;
    const PASSENGERS: usize = 500;
    const SEATS: usize = 11;
    let cluster = TestCluster::start(3).await;
    let node = &cluster.nodes[0].node;
    let mut dashboard = cluster.nodes[2].client("dashboard:1").await;
    dashboard.subscribe(&["route:1", "depot:1"]).await;
    for (pool, numbers) in [("route:1", 0..PASSENGERS / 2), ("depot:1", PASSENGERS / 2..PASSENGERS)] {
        push(node, numbers.map(|number| waiting(number, pool)).collect()).await;
    }
    let passengers: Arc<Vec<_>> = Arc::new((0..PASSENGERS).map(|number| format!("COM_{number}")).collect());
    let rides = TaskTracker::new();
    let mut riding = Vec::new();
    for number in 0..VEHICLES {
        put_vehicle(node, &format!("V{number}"), SEATS as u32).await;
        let vehicle = cluster.nodes[number % 3].client(&format!("vehicle:V{number}")).await;
        // Two vehicles each begin at the same passenger.
        let start = number / 2 * (PASSENGERS / VEHICLES * 2);
        riding.push(rides.spawn(ride(vehicle, Arc::clone(&passengers), start)));
    }
    let mut boardings = BTreeMap::new();
    for (number, ride) in riding.into_iter().enumerate() {
        let boarded = ride.await.unwrap();
        assert!(boarded.len() <= SEATS, "V{number} boarded {}", boarded.len());
        let id = VehicleId::try_new(&format!("V{number}")).unwrap();
        let on_board = cluster.nodes[1].node.reservoir.vehicle(&tenant(), &id).await.unwrap();
        assert_eq!(on_board.seats_left as usize, SEATS - boarded.len());
        let confirmed: BTreeSet<_> = boarded.iter().map(|(passenger, _)| passenger.as_str()).collect();
        let manifest: BTreeSet<_> = on_board.manifest.iter().map(PassengerId::as_str).collect();
        assert_eq!(confirmed, manifest, "what V{number} was told is what is kept");
        for (passenger, fence) in boarded {
            let twice = boardings.insert(passenger, (format!("V{number}"), fence));
            assert_eq!(twice, None, "boarded twice");
        }
    }
    assert_eq!(boardings.len(), PASSENGERS);
    check_events(&mut dashboard, &boardings).await;
}

/// Each passenger is told once per step, with the vehicle and fence that the vehicle was told, and fences of
/// one pool come in their order.
async fn check_events(dashboard: &mut Client, boardings: &BTreeMap<String, (String, u64)>) {
    let (mut spawned, mut picked_up) = (0, BTreeMap::new());
    let mut last_fences = BTreeMap::new();
    while picked_up.len() < boardings.len() {
        let event = dashboard.next().await;
        let data = &event["data"];
        match event["type"].as_str().unwrap() {
            "commuter:spawned_batch" => spawned += data["count"].as_u64().unwrap(),
            "commuter:picked_up" => {
                let fence = data["fence"].as_u64().unwrap();
                let passenger = data["passenger_id"].as_str().unwrap().to_owned();
                let vehicle = data["vehicle_id"].as_str().unwrap().to_owned();
                assert_eq!(data["state"], "boarded");
                let last = last_fences.insert(data["pool"].as_str().unwrap().to_owned(), fence);
                assert!(last < Some(fence), "{last:?} before {fence}");
                assert_eq!(picked_up.insert(passenger, (vehicle, fence)), None, "told twice");
            }
            _ => panic!("{event}"),
        }
    }
    assert_eq!((spawned as usize, &picked_up), (boardings.len(), boardings));
    dashboard.expect_nothing().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_who_paused_past_its_lock_is_refused_by_its_fence() {
    let cluster = TestCluster::start(2).await;
    let node = &cluster.nodes[0].node;
    push(node, vec![waiting(1, "route:1"), waiting(2, "route:1")]).await;
    put_vehicle(node, "V1", 4).await;
    put_vehicle(node, "V2", 1).await;
    let mut paused = cluster.nodes[0].client("vehicle:V1").await;
    let mut other = cluster.nodes[1].client("vehicle:V2").await;
    let lock = |ttl_ms: u64, wait_ms: u64| {
        let data = json!({"resource": "passenger:COM_1", "ttl_ms": ttl_ms, "wait_ms": wait_ms});
        json!({"type": "lock:acquire", "data": data})
    };
    let first = paused.request(lock(50, 0)).await["data"]["fence"].as_u64().unwrap();
    // The other one waits in line until that lock has ended, and shows its own fence; its vehicle is full.
    let second = other.request(lock(60_000, 10_000)).await["data"]["fence"].as_u64().unwrap();
    assert_eq!(other.request(board("COM_2")).await["type"], "boarding:confirmed");
    let with_fence =
        |fence: u64| json!({"type": "boarding:request", "data": {"passenger_id": "COM_1", "fence": fence}});
    assert_eq!(other.request(with_fence(second)).await["data"]["reason"], "full");
    let refused = paused.request(with_fence(first)).await;
    assert_eq!(
        (&refused["type"], &refused["data"]["reason"]),
        (&json!("boarding:denied"), &json!("stale_fence"))
    );
    let passenger =
        node.reservoir.passenger(&tenant(), &PassengerId::try_new("COM_1").unwrap()).await.unwrap();
    assert_eq!(passenger.state, PassengerState::Waiting, "nothing was changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_gets_the_first_answer_and_alighting_needs_the_fence() {
    let cluster = TestCluster::start(2).await;
    let node = &cluster.nodes[0].node;
    push(node, vec![waiting(1, "route:1")]).await;
    put_vehicle(node, "V1", 2).await;
    put_vehicle(node, "V2", 2).await;
    let mut vehicle = cluster.nodes[0].client("vehicle:V1").await;
    let mut other = cluster.nodes[1].client("vehicle:V2").await;
    let ask = json!({"type": "boarding:request", "data": {"passenger_id": "COM_1", "request_id": "r1"}});
    let first = vehicle.request(ask.clone()).await;
    assert_eq!((&first["type"], &first["data"]["seats_left"]), (&json!("boarding:confirmed"), &json!(1)));
    assert_eq!(vehicle.request(ask.clone()).await["data"], first["data"]);
    let lost = other.request(board("COM_1")).await;
    assert_eq!(lost["data"], json!({"passenger_id": "COM_1", "reason": "boarded", "boarded_by": "V1"}));
    let fence = first["data"]["fence"].as_u64().unwrap();
    let alight =
        |fence: u64| json!({"type": "boarding:alight", "data": {"passenger_id": "COM_1", "fence": fence}});
    assert_eq!(vehicle.request(alight(fence - 1)).await["data"]["reason"], "stale_fence");
    assert_eq!(other.request(alight(fence)).await["data"]["reason"], "stale_fence", "another's passenger");
    let done = vehicle.request(alight(fence)).await;
    assert_eq!(done["data"], json!({"passenger_id": "COM_1", "vehicle_id": "V1"}), "{done}");
    assert_eq!(vehicle.request(alight(fence)).await["data"], done["data"], "a retry");
    assert_eq!(vehicle.request(ask).await["data"], first["data"], "a late retry of the boarding");
    assert_eq!(other.request(board("COM_1")).await["data"]["reason"], "state");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_is_sent_again_with_its_id_boards_once() {
    let cluster = TestCluster::start(2).await;
    let node = &cluster.nodes[0].node;
    push(node, vec![waiting(1, "route:1")]).await;
    put_vehicle(node, "V1", 2).await;
    let ask = json!({"id": "m-1", "type": "boarding:request", "data": {"passenger_id": "COM_1"}});
    let first = cluster.nodes[0].client("vehicle:V1").await.request(ask.clone()).await;
    assert_eq!(first["type"], "boarding:confirmed", "{first}");
    let mut elsewhere = cluster.nodes[1].client("vehicle:V1").await;
    assert_eq!(elsewhere.request(ask).await["data"], first["data"]);
    assert_eq!(elsewhere.request(board("COM_1")).await["data"]["reason"], "boarded", "another message");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_t_be_asked_is_answered_with_the_right_error() {
    let cluster = TestCluster::start(1).await;
    let node = &cluster.nodes[0].node;
    push(node, vec![waiting(1, "route:1")]).await;
    put_vehicle(node, "V1", 2).await;
    let mut vehicle = cluster.nodes[0].client("vehicle:V1").await;
    let mut service = cluster.nodes[0].client("service:dispatch").await;
    let mut passenger = cluster.nodes[0].client("passenger:COM_1").await;
    let request = |data: Value| json!({"type": "boarding:request", "data": data});
    let query = |data: Value| json!({"type": "vehicle:query_commuters", "data": data});
    let place = json!({"lat": 13.1, "lon": -59.6});
    for (ask, code, field) in [
        (request(json!({})), "invalid_data", json!("passenger_id")),
        (request(json!({"passenger_id": "COM_1", "vehicle_id": "V2"})), "forbidden", Value::Null),
        (query(json!({"position": place})), "invalid_data", json!("pool")),
        (query(json!({"route_id": "1", "depot_id": "1", "position": place})), "invalid_data", json!("pool")),
        (
            query(json!({"route_id": "1", "position": {"lat": 91, "lon": 0}})),
            "invalid_data",
            json!("position"),
        ),
        (
            query(json!({"route_id": "1", "position": place, "radius_km": -1})),
            "invalid_data",
            json!("radius_km"),
        ),
        (
            query(json!({"route_id": "1", "position": place, "max_results": 0})),
            "invalid_data",
            json!("max_results"),
        ),
    ] {
        let refused = vehicle.request(ask).await;
        let data = &refused["data"];
        assert_eq!((&data["code"], &data["details"]["field"]), (&json!(code), &field), "{refused}");
    }
    for (data, reason) in [
        (json!({"passenger_id": "COM_2", "vehicle_id": "V1"}), "not_found"),
        (json!({"passenger_id": "COM_1", "vehicle_id": "V9"}), "not_found"),
    ] {
        let denied = service.request(request(data)).await;
        assert_eq!((&denied["type"], &denied["data"]["reason"]), (&json!("boarding:denied"), &json!(reason)));
    }
    assert_eq!(service.request(board("COM_1")).await["data"]["details"]["field"], "vehicle_id");
    assert_eq!(passenger.request(board("COM_1")).await["data"]["code"], "forbidden");
    let asked = passenger.request(query(json!({"route_id": "1", "position": place}))).await;
    assert_eq!(asked["data"]["code"], "forbidden");
    // Another tenant has neither the passenger nor the vehicle.
    let mut stranger = Client::connect_as(cluster.nodes[0].address, "vehicle:V1", "&tenant=other").await;
    assert_eq!(stranger.request(board("COM_1")).await["data"]["reason"], "not_found");
    assert_eq!(vehicle.request(board("COM_1")).await["type"], "boarding:confirmed", "nothing was changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_tells_the_nearest_first_under_both_names() {
    let cluster = TestCluster::start(1).await;
    let node = &cluster.nodes[0].node;
    let at = |number: usize, lat: f64| NewPassenger {
        position: GeoPoint::try_new(lat, -59.6).unwrap(),
        ..waiting(number, "route:1")
    };
    push(node, vec![at(1, 13.1010), at(2, 13.1005), at(3, 13.2), at(4, 13.1001)]).await;
    let mut vehicle = cluster.nodes[0].client("vehicle:V1").await;
    let query = json!({"type": "vehicle:query_commuters", "data": {
        "route_id": "1", "position": {"lat": 13.1, "lon": -59.6}, "max_results": 2,
    }});
    let found = vehicle.request(query).await;
    assert_eq!(
        (&found["type"], &found["data"]["cached"]),
        (&json!("vehicle:commuters_found"), &json!(false))
    );
    let commuters = found["data"]["commuters"].as_array().unwrap();
    let ids: Vec<_> = commuters.iter().map(|commuter| &commuter["commuter_id"]).collect();
    assert_eq!(ids, [&json!("COM_4"), &json!("COM_2")]);
    assert_eq!(commuters[0]["passenger_id"], "COM_4");
    assert!((commuters[0]["distance_m"].as_f64().unwrap() - 11.1).abs() < 0.5, "{found}");
    let id = PassengerId::try_new("COM_4").unwrap();
    let passenger = node.reservoir.passenger(&tenant(), &id).await.unwrap();
    let mut event = json!(passenger.event(Timestamp(0)));
    for told_now in ["timestamp", "distance_m"] {
        event[told_now] = commuters[0][told_now].clone();
    }
    assert_eq!(commuters[0], event);
    assert!(event["timestamp"].as_str().is_some_and(is_rfc3339), "{event}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_one_event_and_who_follows_the_pool_is_spared_the_copy() {
    let cluster = TestCluster::start(3).await;
    let mut of_pool = cluster.nodes[0].client("dashboard:1").await;
    of_pool.subscribe(&["route:1"]).await;
    let path = "/ws/route-reservoir?agent_type=dashboard";
    let mut of_namespace = Client::connect(cluster.nodes[1].address, path).await;
    let mut of_both = Client::connect(cluster.nodes[2].address, path).await;
    of_both.subscribe(&["route:1"]).await;
    push(&cluster.nodes[1].node, (0..100).map(|number| waiting(number, "route:1")).collect()).await;
    for client in [&mut of_pool, &mut of_namespace, &mut of_both] {
        let batch = client.expect("commuter:spawned_batch").await;
        assert_eq!((&batch["pool"], &batch["count"]), (&json!("route:1"), &json!(100)));
        assert_eq!(batch["commuters"].as_array().unwrap().len(), 100);
        client.expect_nothing().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_strapi_behind_answers_are_remembered_and_redis_decides() {
    let strapi = signalbox_testkit::Strapi::start().await;
    let redis = signalbox_testkit::RedisServer::start().await;
    let mut config = config(Some(&redis.url()));
    config.strapi.url = Some(strapi.url());
    let (first, second) = (TestNode::start(&config).await, TestNode::start(&config).await);
    push(&first.node, vec![waiting(1, "route:1"), waiting(2, "route:1")]).await;
    put_vehicle(&first.node, "V1", 2).await;
    let mut vehicle = first.client("vehicle:V1").await;
    let mut other = second.client("vehicle:V2").await;
    let query = json!({"type": "vehicle:query_commuters", "data": {
        "route_id": "1", "position": {"lat": 13.1, "lon": -59.6},
    }});
    let ids = |found: &Value| -> Vec<String> {
        let commuters = found["data"]["commuters"].as_array().unwrap();
        commuters.iter().map(|commuter| commuter["passenger_id"].as_str().unwrap().to_owned()).collect()
    };
    let loaded = vehicle.request(query.clone()).await;
    assert_eq!(
        (ids(&loaded), &loaded["data"]["cached"]),
        (vec!["COM_1".into(), "COM_2".into()], &json!(false))
    );
    let remembered = other.request(query.clone()).await;
    assert_eq!((ids(&remembered), &remembered["data"]["cached"]), (ids(&loaded), &json!(true)));
    assert_eq!(vehicle.request(board("COM_1")).await["type"], "boarding:confirmed");
    let after = other.request(query).await;
    assert_eq!((ids(&after), &after["data"]["cached"]), (vec!["COM_2".into()], &json!(false)));
    assert_eq!(other.request(board("COM_1")).await["data"]["reason"], "not_found", "V2 is no vehicle yet");
    let written = || async { strapi.records().iter().any(|record| record["status"] == "BOARDED") };
    signalbox_testkit::eventually("Strapi is told", PATIENCE, written).await;
}
