//! What an outbox keeps, in memory and in Redis.

use std::sync::Arc;

use signalbox_protocol::fleet::{GeoPoint, NewPassenger, NewVehicle, Pool};
use signalbox_protocol::{Agent, NodeId, VehicleId};
use signalbox_registry::redis::{RedisConfig, connect};
use signalbox_registry::{Cluster, MemoryCluster, ThisNode};
use signalbox_testkit::{RedisServer, eventually};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::*;
use crate::repository::{self, Alighting, Boarding};
use crate::{Actor, Repository};

const SOON: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(60);
/// From the first line, as many as there are.
const ALL: (u64, usize) = (0, 100);

struct World {
    outbox: Outbox,
    claims: Arc<dyn Repository>,
    _ends: (Option<RedisServer>, DropGuard),
}

impl World {
    async fn memory() -> Self {
        let cluster = MemoryCluster::new().join(this_node());
        Self::of(&cluster, (None, CancellationToken::new().drop_guard()))
    }

    async fn redis() -> Self {
        let (server, stop) = (RedisServer::start().await, CancellationToken::new());
        let config = RedisConfig::new(&server.url());
        let cluster = connect(&config, this_node(), &TaskTracker::new(), stop.clone()).unwrap();
        eventually("redis is there", SOON, || async { *cluster.reachable.borrow() }).await;
        Self::of(&cluster, (Some(server), stop.drop_guard()))
    }

    fn of(cluster: &Cluster, ends: (Option<RedisServer>, DropGuard)) -> Self {
        let settings = repository::Settings::default();
        let claims = repository::deciding_for(&cluster.backing, settings, tenant());
        Self { outbox: Outbox::new(&cluster.backing, tenant(), 5), claims, _ends: ends }
    }

    async fn lines(&self) -> Vec<Line> {
        self.outbox.work("worker", LONG, ALL).await.unwrap().unwrap().lines
    }
}

fn this_node() -> Arc<ThisNode> {
    ThisNode::new(NodeId::try_new("n1").unwrap())
}

fn tenant() -> Tenant {
    Tenant::try_new("acme").unwrap()
}

fn id(text: &str) -> PassengerId {
    PassengerId::try_new(text).unwrap()
}

fn actor() -> Actor {
    let since_1970 = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let (agent, now) = (Agent::of("service", "s").unwrap(), Timestamp(since_1970.as_millis() as u64));
    Actor { tenant: tenant(), agent, subject: "s".to_owned(), request_id: None, now }
}

fn waiting(text: &str) -> Passenger {
    let new = NewPassenger {
        passenger_id: id(text),
        pool: Some(Pool::try_new("route:12").unwrap()),
        route_id: None,
        depot_id: None,
        direction: None,
        position: GeoPoint::try_new(1.0, 2.0).unwrap(),
        destination: None,
        priority: 0,
        max_walking_distance_m: None,
        expires_at: None,
    };
    let now = actor().now;
    new.waiting(now, Timestamp(now.0 + 3_600_000)).unwrap()
}

async fn a_newer_change_keeps_its_line(world: World) {
    let vehicle_id = VehicleId::try_new("V1").unwrap();
    let stands = NewVehicle { capacity: 2, pool: None, position: None };
    world.claims.put_vehicle(&tenant(), &vehicle_id, &stands).await.unwrap();
    world.claims.push(&actor(), vec![waiting("P1"), waiting("P2")]).await.unwrap();
    assert!(world.lines().await.is_empty(), "strapi had them first");
    let boarding = Boarding { passenger_id: id("P1"), vehicle_id, fence: None };
    let fence = world.claims.board(&actor(), &boarding).await.unwrap().fence;
    let [boarded] = &world.lines().await[..] else { panic!("one line") };
    world.claims.cancel(&actor(), &id("P2")).await.unwrap();
    let alighting = Alighting { passenger_id: id("P1"), fence, vehicle_id: None };
    world.claims.alight(&actor(), &alighting).await.unwrap();
    assert!(!world.outbox.strike(boarded).await.unwrap(), "there is a newer one");
    let lines = world.lines().await;
    let names: Vec<_> = lines.iter().map(|line| line.passenger_id.as_str()).collect();
    assert_eq!(names, ["P2", "P1"], "in the order of the latest changes");
    let behind = (lines[0].number, 100);
    assert_eq!(world.outbox.work("worker", LONG, behind).await.unwrap().unwrap().lines, lines[1..]);
    world.outbox.note(&[id("P1"), id("P3")]).await.unwrap();
    assert_eq!(world.lines().await[..2], lines, "a line that is there stays as it is");
    assert!(world.outbox.strike(&lines[1]).await.unwrap() && !world.outbox.strike(&lines[1]).await.unwrap());
    assert_eq!(world.outbox.waiting().await.unwrap(), 2);
}

async fn one_node_at_a_time_works(world: World) {
    let outbox = &world.outbox;
    let lease = Duration::from_millis(300);
    assert!(outbox.work("a", lease, ALL).await.unwrap().is_some());
    assert!(outbox.work("b", lease, ALL).await.unwrap().is_none());
    assert!(outbox.work("a", lease, ALL).await.unwrap().is_some());
    eventually("the lease ends", SOON, || async { outbox.work("b", LONG, ALL).await.unwrap().is_some() })
        .await;
    assert!(outbox.work("a", lease, ALL).await.unwrap().is_none());
}

async fn a_push_stands_as_a_whole_until_it_ends(world: World) {
    let outbox = &world.outbox;
    let three = [waiting("P1"), waiting("P2"), waiting("P3")];
    assert_eq!(outbox.begin(&three, LONG).await.unwrap(), Begun::Yes);
    let other = [waiting("P4"), waiting("P2")];
    assert_eq!(outbox.begin(&other, LONG).await.unwrap(), Begun::Busy(id("P2")));
    assert_eq!(outbox.pushing(&[id("P4"), id("P1")]).await.unwrap(), HashSet::from([id("P1")]));
    let many = [waiting("P5"), waiting("P6"), waiting("P7")];
    assert_eq!(outbox.begin(&many, LONG).await.unwrap(), Begun::Full(3));
    assert!(outbox.work("worker", LONG, ALL).await.unwrap().unwrap().pushes.is_empty());
    outbox.over_in(&[id("P2"), id("P9")], Duration::ZERO).await.unwrap();
    let over = Pushed { passenger_id: id("P2"), spawned_at: three[1].spawned_at };
    eventually("it is over", SOON, || async {
        outbox.work("worker", LONG, ALL).await.unwrap().unwrap().pushes == std::slice::from_ref(&over)
    })
    .await;
    outbox.end(&[id("P1"), id("P2"), id("P3")]).await.unwrap();
    assert_eq!(outbox.waiting().await.unwrap(), 0);
    let long: Vec<_> = (0..9).map(|number| waiting(&format!("Q{number}"))).collect();
    assert_eq!(
        outbox.begin(&long, LONG).await.unwrap(),
        Begun::Yes,
        "longer than all that may wait, but alone"
    );
    assert_eq!(outbox.named().await.unwrap().len(), 9);
    assert_eq!(outbox.full().await.unwrap(), Some(9));
}

macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod on_memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::World::memory().await).await;
            })*
        }

        mod on_redis {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::World::redis().await).await;
            })*
        }
    };
}

on_both![a_newer_change_keeps_its_line, one_node_at_a_time_works, a_push_stands_as_a_whole_until_it_ends];
