//! What is told of the changes, to whom, and in which order.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use signalbox_protocol::fleet::{Direction, Passenger};
use signalbox_protocol::timestamp::{self, Timestamp};
use signalbox_reservoir::Actor;
use signalbox_testkit::eventually;
use tokio::task::JoinSet;

use crate::on_both;
use crate::world::{SOON, World, agent, boarding, id, point, pool};

on_both!(
    an_event_tells_the_passenger_as_after_the_change,
    every_node_hears_of_the_changes_in_their_order,
    a_list_is_told_per_pool_and_in_batches,
    the_namespace_gets_a_copy_that_spares_who_follows_the_pool,
    what_is_refused_or_repeated_is_not_told,
    the_end_of_a_wait_is_told_by_the_gateway,
    a_cancelled_pool_is_told_passenger_by_passenger,
);

fn told_at(now: Timestamp) -> String {
    timestamp::to_string(now.0)
}

async fn an_event_tells_the_passenger_as_after_the_change(world: World) {
    let node = world.node().await;
    node.follow("depot:4").await;
    node.vehicle("V1", 2).await;
    let spawned = Passenger {
        direction: Some(Direction::Outbound),
        destination: Some(point(13.5, -59.25)),
        priority: 3,
        max_walking_distance_m: Some(80.0),
        ..node.waiting("COM_1", "depot:4")
    };
    let crew = Actor { agent: agent("conductor:C7"), ..node.request("r\"1") };
    node.repository.push(&node.actor(), vec![spawned.clone()]).await.unwrap();
    let fence = node.repository.board(&crew, &boarding("COM_1", "V1")).await.unwrap().fence;
    node.alight("COM_1", fence).await.unwrap();
    let messages = node.heard.messages("depot:4", 3).await;
    let mut whole = json!({
        "passenger_id": "COM_1", "pool": "depot:4", "direction": "outbound",
        "position": {"lat": 13.1, "lon": -59.6}, "destination": {"lat": 13.5, "lon": -59.25},
        "priority": 3, "max_walking_distance_m": 80.0, "state": "waiting", "vehicle_id": null, "fence": null,
        "spawned_at": told_at(spawned.spawned_at), "boarded_at": null, "alighted_at": null,
        "expires_at": told_at(spawned.expires_at.unwrap()),
        "commuter_id": "COM_1", "current_location": {"lat": 13.1, "lon": -59.6},
        "latitude": 13.1, "longitude": -59.6, "depot_id": "4", "max_walking_distance": 80.0,
    });
    let after = node.passenger("COM_1").await.unwrap();
    let [boarded_at, alighted_at] = [after.boarded_at, after.alighted_at].map(|at| told_at(at.unwrap()));
    let steps = [
        ("commuter:spawned", "service:commuter", json!({})),
        (
            "commuter:picked_up",
            "conductor:C7",
            json!({"state": "boarded", "vehicle_id": "V1", "fence": fence, "boarded_at": boarded_at}),
        ),
        (
            "commuter:dropped_off",
            "service:commuter",
            json!({"state": "alighted", "alighted_at": alighted_at}),
        ),
    ];
    for (message, (kind, source, changed)) in messages.iter().zip(steps) {
        for (field, value) in changed.as_object().unwrap() {
            whole[field] = value.clone();
        }
        whole["timestamp"] = message["timestamp"].clone();
        assert_eq!(message["data"], whole, "{kind}");
        let head = [&message["type"], &message["source"], &message["target"]];
        assert_eq!(head, [&json!(kind), &json!(source), &json!("depot:4")]);
        assert_eq!((&message["correlationId"], &message["metadata"]), (&Value::Null, &json!({})));
        let id = uuid::Uuid::parse_str(message["id"].as_str().unwrap()).unwrap();
        assert_eq!(id.get_version_num(), 7);
    }
    assert_eq!(messages[1]["timestamp"], json!(boarded_at));
    assert_eq!(messages[2]["timestamp"], json!(alighted_at));
    let fields: Vec<_> = messages[1].as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields.len(), 8);
    let body = node.heard.all()[1].body.clone();
    let places =
        ["id", "type", "timestamp", "source", "data", "target", "correlationId", "metadata"].map(|field| {
            let text = std::str::from_utf8(&body).unwrap();
            let name = format!("\"{field}\":");
            if field == "timestamp" {
                text.find(&name)
            } else {
                text.rfind(&name).filter(|_| field != "id").or(text.find(&name))
            }
        });
    assert!(places.is_sorted(), "{places:?}");
}

async fn every_node_hears_of_the_changes_in_their_order(world: World) {
    let (a, b) = (world.node().await, world.node().await);
    for node in [&a, &b] {
        node.follow("route:12").await;
    }
    a.vehicle("V1", 1_000).await;
    let mut changes = JoinSet::new();
    for number in 0..60 {
        let node = if number % 2 == 0 { &a } else { &b };
        let (repository, actor) = (node.repository.clone(), node.actor());
        let passenger = node.waiting(&format!("P{number}"), "route:12");
        changes.spawn(async move {
            let id = passenger.passenger_id.clone();
            repository.push(&actor, vec![passenger]).await.unwrap();
            match number % 3 {
                0 => repository.cancel(&actor, &id).await.unwrap(),
                _ => drop(repository.board(&actor, &boarding(id.as_str(), "V1")).await.unwrap()),
            }
        });
    }
    while let Some(done) = changes.join_next().await {
        done.unwrap();
    }
    let (heard_a, heard_b) =
        (a.heard.messages("route:12", 120).await, b.heard.messages("route:12", 120).await);
    assert_eq!((heard_a.len(), &heard_a), (120, &heard_b));
    let ids: std::collections::HashSet<_> = heard_a.iter().map(|message| message["id"].to_string()).collect();
    assert_eq!(ids.len(), 120);
    // The order of the boardings is that of their fences.
    let fences: Vec<_> = heard_a.iter().filter_map(|message| message["data"]["fence"].as_u64()).collect();
    assert_eq!(fences.len(), 40);
    assert!(fences.is_sorted(), "{fences:?}");
    for number in 0..60 {
        let of_one = |message: &&Value| message["data"]["commuter_id"] == format!("P{number}");
        let kinds: Vec<_> = heard_a.iter().filter(of_one).map(|message| message["type"].clone()).collect();
        let then = if number % 3 == 0 { "commuter:cancelled" } else { "commuter:picked_up" };
        assert_eq!(kinds, ["commuter:spawned", then]);
    }
}

async fn a_list_is_told_per_pool_and_in_batches(world: World) {
    let node = world.node().await;
    for topic in ["route:12", "depot:4", "route:13"] {
        node.follow(topic).await;
    }
    let mut list: Vec<_> =
        (0..230).map(|number| node.waiting(&format!("P{number:03}"), "route:12")).collect();
    list.push(node.waiting("ALONE", "depot:4"));
    list.extend((0..100).map(|number| node.waiting(&format!("Q{number:03}"), "route:13")));
    node.repository.push(&node.actor(), list).await.unwrap();
    let batches = node.heard.messages("route:12", 3).await;
    let counts: Vec<_> = batches.iter().map(|batch| batch["data"]["count"].as_u64().unwrap()).collect();
    assert_eq!(counts, [100, 100, 30]);
    assert_eq!(
        (&batches[0]["type"], &batches[0]["data"]["pool"]),
        (&json!("commuter:spawned_batch"), &json!("route:12"))
    );
    let told: Vec<_> =
        batches.iter().flat_map(|batch| batch["data"]["commuters"].as_array().unwrap()).collect();
    let ids: Vec<_> = told.iter().map(|one| one["commuter_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids, (0..230).map(|number| format!("P{number:03}")).collect::<Vec<_>>());
    let alone = node.heard.messages("depot:4", 1).await;
    assert_eq!(
        (&alone[0]["type"], &alone[0]["data"]["commuter_id"]),
        (&json!("commuter:spawned"), &json!("ALONE"))
    );
    let hundred = node.heard.messages("route:13", 1).await;
    assert_eq!((hundred.len(), &hundred[0]["data"]["count"]), (1, &json!(100)));
}

async fn the_namespace_gets_a_copy_that_spares_who_follows_the_pool(world: World) {
    let node = world.node().await;
    let topics = ["route:12", "depot:4", "namespace:route-reservoir", "namespace:depot-reservoir"];
    for topic in topics {
        node.follow(topic).await;
    }
    node.vehicle("V1", 2).await;
    let list = vec![node.waiting("ROUTE", "route:12"), node.waiting("DEPOT", "depot:4")];
    node.repository.push(&node.actor(), list).await.unwrap();
    node.board("ROUTE", "V1").await.unwrap();
    node.cancel("DEPOT").await.unwrap();
    for (own, copy) in [(topics[0], topics[2]), (topics[1], topics[3])] {
        let messages = node.heard.messages(own, 2).await;
        assert_eq!(messages, node.heard.messages(copy, 2).await, "the same, id included");
        for announcement in node.heard.all() {
            let spared = announcement.spared.as_ref().map(signalbox_protocol::Topic::as_str);
            let topic = announcement.topic.as_str();
            assert!(topic != own || spared.is_none());
            assert!(topic != copy || spared == Some(own));
        }
    }
}

async fn what_is_refused_or_repeated_is_not_told(world: World) {
    let node = world.node().await;
    node.follow("route:12").await;
    node.push(&["COM_1", "COM_2"]).await;
    node.vehicle("V1", 1).await;
    let first = node.repository.board(&node.request("r"), &boarding("COM_1", "V1")).await.unwrap();
    node.repository.board(&node.request("r"), &boarding("COM_1", "V1")).await.unwrap();
    node.board("COM_2", "V1").await.unwrap_err();
    node.board("COM_1", "V1").await.unwrap_err();
    node.alight("COM_1", 7).await.unwrap_err();
    let list = vec![node.waiting("NEW", "route:12"), node.waiting("COM_1", "route:12")];
    node.repository.push(&node.actor(), list).await.unwrap_err();
    node.alight("COM_1", first.fence).await.unwrap();
    node.alight("COM_1", first.fence).await.unwrap();
    node.cancel("COM_2").await.unwrap();
    node.cancel("COM_2").await.unwrap();
    node.push(&["LAST"]).await;
    let messages = node.heard.messages("route:12", 5).await;
    let kinds: Vec<_> = messages.iter().map(|message| message["type"].as_str().unwrap()).collect();
    let expected = ["spawned_batch", "picked_up", "dropped_off", "cancelled", "spawned"];
    assert_eq!(kinds, expected.map(|name| format!("commuter:{name}")));
}

async fn the_end_of_a_wait_is_told_by_the_gateway(world: World) {
    let node = world.node().await;
    node.follow("route:12").await;
    let list = ["A", "B", "C"].map(|name| {
        let end = Some(Timestamp(node.now().0 + 100));
        Passenger { expires_at: end, ..node.waiting(name, "route:12") }
    });
    node.repository.push(&node.actor(), list.to_vec()).await.unwrap();
    let ended = AtomicUsize::new(0);
    eventually("three waits are over", SOON, || async {
        let now = node.repository.expire(node.now()).await.unwrap();
        ended.fetch_add(now, Ordering::Relaxed) + now == 3
    })
    .await;
    let messages = node.heard.messages("route:12", 4).await;
    for message in &messages[1..] {
        let head = (&message["type"], &message["source"], &message["data"]["state"]);
        assert_eq!(head, (&json!("commuter:expired"), &json!("service:signalbox"), &json!("expired")));
    }
    let ids: std::collections::HashSet<_> =
        messages.iter().map(|message| message["id"].to_string()).collect();
    assert_eq!(ids.len(), 4);
}

async fn a_cancelled_pool_is_told_passenger_by_passenger(world: World) {
    let node = world.node().await;
    node.follow("route:12").await;
    node.push(&["A", "B", "C"]).await;
    assert_eq!(node.repository.cancel_some(&node.actor(), &pool("route:12"), 10).await.unwrap(), 3);
    let messages = node.heard.messages("route:12", 4).await;
    let mut told: Vec<_> =
        messages[1..].iter().map(|message| id(message["data"]["passenger_id"].as_str().unwrap())).collect();
    told.sort();
    assert_eq!(told, [id("A"), id("B"), id("C")]);
    assert!(messages[1..].iter().all(|message| message["type"] == "commuter:cancelled"));
}

/// On threads: what the others run on one cannot come out of order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_memory_nobody_is_told_as_boarded_before_told_as_waiting() {
    const PASSENGERS: usize = 2_000;
    let world = World::memory();
    let node = std::sync::Arc::new(world.node().await);
    node.follow("route:12").await;
    node.vehicle("V1", 10_000).await;
    let (pushing, boarding) = (node.clone(), node.clone());
    let mut both = JoinSet::new();
    both.spawn(async move {
        for number in 0..PASSENGERS {
            pushing.push(&[&format!("P{number}")]).await;
        }
    });
    both.spawn(async move {
        for number in 0..PASSENGERS {
            while boarding.board(&format!("P{number}"), "V1").await.is_err() {
                tokio::task::yield_now().await;
            }
        }
    });
    both.join_all().await;
    let mut told = std::collections::HashSet::new();
    for message in node.heard.messages("route:12", 2 * PASSENGERS).await {
        let id = message["data"]["passenger_id"].to_string();
        assert_eq!(message["type"] == "commuter:spawned", told.insert(id), "{message}");
    }
}
