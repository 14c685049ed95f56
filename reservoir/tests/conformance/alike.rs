//! The two repositories, asked the same, answer the same and tell the same.

use std::collections::HashSet;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};
use signalbox_protocol::RequestId;
use signalbox_protocol::fleet::{NewVehicle, Passenger};
use signalbox_protocol::timestamp::Timestamp;
use signalbox_reservoir::repository::{Alighting, Area, Boarding, Filter, Settings};
use signalbox_reservoir::{Actor, Error, Waiting};
use signalbox_testkit::RedisServer;

use crate::world::{Node, World, alighting, boarding, id, object, patient, point, pool, tenant, vehicle};

const POOLS: [&str; 2] = ["route:12", "depot:4"];

/// After so many steps everything is read and compared.
const READ_EVERY: usize = 5;

/// One thing that is asked.
#[derive(Debug, Clone)]
enum Step {
    Push(Vec<New>),
    Board { passenger: u8, by: u8, subject: u8, request: Option<u8>, fence: Option<u64> },
    Alight { passenger: u8, right: bool, by: Option<u8> },
    Cancel(u8),
    CancelSome { pool: usize, limit: usize },
    PutVehicle { vehicle: u8, capacity: u32 },
    Expire,
}

#[derive(Debug, Clone)]
struct New {
    passenger: u8,
    pool: usize,
    place: u8,
    /// Whether the wait is over when it begins.
    overdue: bool,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let new = (0..12_u8, 0..2_usize, 0..6_u8, prop::bool::weighted(0.15))
        .prop_map(|(passenger, pool, place, overdue)| New { passenger, pool, place, overdue });
    let board = (0..12_u8, 0..4_u8, 0..2_u8, prop::option::of(0..3_u8), prop::option::of(0..5_u64));
    let step = prop_oneof![
        3 => prop::collection::vec(new, 1..5).prop_map(|list| {
            let mut seen = HashSet::new();
            Step::Push(list.into_iter().filter(|new| seen.insert(new.passenger)).collect())
        }),
        8 => board.prop_map(|(passenger, by, subject, request, fence)| {
            Step::Board { passenger, by, subject, request, fence }
        }),
        3 => (0..12_u8, prop::bool::weighted(0.8), prop::option::of(0..4_u8))
            .prop_map(|(passenger, right, by)| Step::Alight { passenger, right, by }),
        2 => (0..12_u8).prop_map(Step::Cancel),
        1 => (0..2_usize, 0..4_usize).prop_map(|(pool, limit)| Step::CancelSome { pool, limit }),
        2 => (0..3_u8, 0..4_u32).prop_map(|(vehicle, capacity)| Step::PutVehicle { vehicle, capacity }),
        1 => Just(Step::Expire),
    ];
    // Some are there from the beginning, so that most steps find somebody.
    let begin = || {
        let everybody = |places: std::ops::Range<u8>| {
            places.map(|passenger| New {
                passenger,
                pool: usize::from(passenger % 2),
                place: 0,
                overdue: false,
            })
        };
        let vehicles = (0..3).map(|vehicle| Step::PutVehicle { vehicle, capacity: 2 });
        std::iter::once(Step::Push(everybody(0..6).collect())).chain(vehicles)
    };
    prop::collection::vec(step, 1..60).prop_map(move |steps| begin().chain(steps).collect())
}

fn name(passenger: u8) -> String {
    format!("P{passenger:02}")
}

fn new(new: &New, now: Timestamp, node: &Node) -> Passenger {
    let end = if new.overdue { now.0 - 1_000 } else { now.0 + 3_600_000 };
    Passenger {
        position: point(13.0 + f64::from(new.place) / 1_000.0, -59.5),
        spawned_at: now,
        expires_at: Some(Timestamp(end)),
        ..node.waiting(&name(new.passenger), POOLS[new.pool])
    }
}

/// An answer as text. Fences are another back end's; whether they are right, is checked here.
async fn answer(node: &Node, step: &Step, now: Timestamp) -> String {
    let actor = Actor { now, ..node.actor() };
    let repository = &node.repository;
    match step {
        Step::Push(list) => {
            let list = list.iter().map(|one| new(one, now, node)).collect();
            format!("{:?}", repository.push(&actor, list).await)
        }
        Step::Board { passenger, by, subject, request, fence } => {
            let request_id = request.map(|number| RequestId::try_new(&number.to_string()).unwrap());
            let actor = Actor { subject: format!("subject {subject}"), request_id, ..actor };
            let wish = Boarding { fence: *fence, ..boarding(&name(*passenger), &format!("V{by}")) };
            let answer = repository.board(&actor, &wish).await;
            if let Ok(boarded) = answer {
                let record = node.passenger(&name(*passenger)).await.unwrap();
                assert_eq!(record.fence, Some(boarded.fence));
                assert!(boarded.fence > fence.unwrap_or(0));
            }
            format!("{:?}", answer.map(|boarded| boarded.seats_left))
        }
        Step::Alight { passenger, right, by } => {
            let given = node.passenger(&name(*passenger)).await.and_then(|passenger| passenger.fence);
            let fence = given.unwrap_or(1) - u64::from(!right);
            let vehicle_id = by.map(|number| vehicle(&format!("V{number}")));
            let wish = Alighting { vehicle_id, ..alighting(&name(*passenger), fence) };
            format!("{:?}", repository.alight(&actor, &wish).await)
        }
        Step::Cancel(passenger) => format!("{:?}", repository.cancel(&actor, &id(&name(*passenger))).await),
        Step::CancelSome { pool: of, limit } => {
            let all = repository.available(&actor.tenant, &pool(POOLS[*of])).await.unwrap() as usize;
            // Which of them go, is open: all, or nobody.
            let limit = if *limit == 0 { 0 } else { all };
            format!("{:?}", repository.cancel_some(&actor, &pool(POOLS[*of]), limit).await)
        }
        Step::PutVehicle { vehicle: number, capacity } => {
            let stands = NewVehicle { capacity: *capacity, pool: Some(pool(POOLS[0])), position: None };
            let of = vehicle(&format!("V{number}"));
            format!("{:?}", repository.put_vehicle(&actor.tenant, &of, &stands).await)
        }
        Step::Expire => format!("{:?}", repository.expire(now).await),
    }
}

/// Everything that can be read.
async fn all(node: &Node) -> Result<String, Error> {
    let (repository, tenant) = (&node.repository, tenant("acme"));
    let page = repository.list(&tenant, &Filter::default(), None, 1_000).await?;
    let mut text = String::new();
    for mut passenger in page.items.clone() {
        passenger.fence = passenger.fence.map(|_| 0);
        text += &format!("{passenger:?}\n");
    }
    for number in 0..3 {
        let of = vehicle(&format!("V{number}"));
        text += &format!("{:?}\n", repository.vehicle(&tenant, &of).await?);
        let manifest = repository.manifest(&tenant, &of).await?;
        text += &format!("{:?}\n", manifest.map(|manifest| (manifest.seats_left, manifest.passengers.len())));
    }
    for name in POOLS {
        let area = Area { pool: pool(name), center: point(13.001, -59.5), radius_m: 250.0, limit: 100 };
        let mut near = repository.near(&tenant, &area).await?;
        near.retain(|waiting| waiting.position().distance_m(area.center) <= area.radius_m);
        near.sort_by(|a, b| a.passenger_id().cmp(b.passenger_id()));
        let ids: Vec<_> = near.iter().map(Waiting::passenger_id).collect();
        for waiting in &near {
            let of_this = |passenger: &&Passenger| passenger.passenger_id.as_str() == waiting.passenger_id();
            let passenger = page.items.iter().find(of_this).unwrap();
            assert_eq!(object(waiting.as_passenger()), json!(passenger));
            assert_eq!(waiting, &Waiting::of(passenger));
        }
        text += &format!("{name} {} {ids:?}\n", repository.available(&tenant, &area.pool).await?);
    }
    Ok(text)
}

/// What was told of a pool, without what differs by nature.
async fn told(node: &Node, topic: &str) -> Vec<Value> {
    let mut messages = node.heard.messages(topic, 0).await;
    for message in &mut messages {
        message["id"].take();
        if !message["data"]["fence"].is_null() {
            message["data"]["fence"] = 0.into();
        }
    }
    messages
}

async fn alike(server: &RedisServer, on_redis: &Node, steps: &[Step]) -> Result<(), TestCaseError> {
    server.cli(&["flushall"]);
    let world = World::memory();
    let on_memory = world.node().await;
    let before = [told(on_redis, POOLS[0]).await.len(), told(on_redis, POOLS[1]).await.len()];
    for topic in POOLS {
        on_memory.follow(topic).await;
    }
    for (number, step) in steps.iter().enumerate() {
        let now = on_redis.now();
        let answers = (answer(&on_memory, step, now).await, answer(on_redis, step, now).await);
        prop_assert_eq!(&answers.0, &answers.1, "{:?}", step);
        if number % READ_EVERY == 0 || number + 1 == steps.len() {
            let (memory, redis) = (all(&on_memory).await.unwrap(), all(on_redis).await.unwrap());
            prop_assert_eq!(memory, redis, "after {:?}: {}", step, answers.0);
        }
    }
    for (topic, before) in POOLS.into_iter().zip(before) {
        let mut memory = told(&on_memory, topic).await;
        on_redis.heard.messages(topic, before + memory.len()).await;
        let mut redis = told(on_redis, topic).await.split_off(before);
        for messages in [&mut memory, &mut redis] {
            // The order within one cancellation of a pool, or one turn of the clock, is open.
            messages.sort_by_key(Value::to_string);
        }
        prop_assert_eq!(memory, redis);
    }
    Ok(())
}

#[test]
fn both_answer_alike_whatever_is_asked() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (server, node) = runtime.block_on(async {
        let server = RedisServer::start().await;
        let node = Node::on_redis(&patient(&server), Settings::default()).await;
        for topic in POOLS {
            node.follow(topic).await;
        }
        (server, node)
    });
    let mut runner = TestRunner::new(Config { cases: 40, failure_persistence: None, ..Config::default() });
    let result = runner.run(&steps(), |steps| runtime.block_on(alike(&server, &node, &steps)));
    if let Err(error) = result {
        panic!("{error}");
    }
}
