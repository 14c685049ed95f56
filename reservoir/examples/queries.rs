//! Five vehicles that ask every two seconds who waits near them, with Strapi as the store: how many answers
//! are remembered ones, and how much faster those are. Starts a Redis and a server that behaves like Strapi
//! of its own.
//!
//! ```text
//! cargo run --release -p signalbox-reservoir --example queries -- [SECONDS [MILLISECONDS [PASSENGERS]]]
//! ```
//!
//! Strapi takes so many milliseconds for an answer (100). First the vehicles stand at one stop, then each at
//! its own, then at one stop while somebody boards every four seconds.

#![expect(clippy::print_stdout, reason = "the figures are what it is run for")]

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use signalbox_protocol::fleet::{GeoPoint, NewPassenger, NewVehicle, Pool};
use signalbox_protocol::timestamp::Timestamp;
use signalbox_protocol::{Agent, NodeId, PassengerId, Tenant, VehicleId};
use signalbox_registry::ThisNode;
use signalbox_registry::redis::{RedisConfig, connect};
use signalbox_reservoir::repository::{self, Boarding};
use signalbox_reservoir::reservoir::{Query, Settings, Source};
use signalbox_reservoir::strapi::{Strapi, StrapiSettings};
use signalbox_reservoir::{Actor, CacheSettings, Reservoir};
use signalbox_testkit::{RedisServer, Strapi as Server, eventually};
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const VEHICLES: usize = 5;
const EVERY: Duration = Duration::from_secs(2);
const BOARDS_EVERY: Duration = Duration::from_secs(4);
/// Where the first vehicle stands.
const STOP: (f64, f64) = (13.1, -59.6);
/// Degrees from stop to stop.
const APART: f64 = 0.002;

type Took = Arc<Mutex<Vec<(Source, Duration)>>>;

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u64>().expect("numbers"));
    let seconds = Duration::from_secs(args.next().unwrap_or(60));
    let delay = Duration::from_millis(args.next().unwrap_or(100));
    let passengers = args.next().unwrap_or(200) as usize;
    let (redis, strapi) = (RedisServer::start().await, Server::start().await);
    let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
    let reservoir = reservoir(&redis, &strapi, (&tracker, stop.clone())).await;
    fill(&reservoir, passengers).await;
    strapi.faults().set_delay(delay);
    println!(
        "{VEHICLES} vehicles every {EVERY:?} for {seconds:?}; {passengers} wait; strapi takes {delay:?}"
    );
    for (name, apart, boards) in [
        ("at one stop", 0.0, false),
        ("each at its own stop", APART, false),
        ("at one stop, boarding", 0.0, true),
    ] {
        let took = Took::default();
        run(&reservoir, (&took, seconds), apart, boards).await;
        report(name, &took.lock().expect("nobody panicked"));
    }
    stop.cancel();
}

async fn reservoir(
    redis: &RedisServer,
    strapi: &Server,
    tasks: (&TaskTracker, CancellationToken),
) -> Reservoir {
    let this = ThisNode::new(NodeId::try_new("n1").expect("a constant id"));
    let cluster = connect(&RedisConfig::new(&redis.url()), this, tasks.0, tasks.1.clone()).expect("its URL");
    eventually("redis is there", Duration::from_secs(10), || async { *cluster.reachable.borrow() }).await;
    let settings = StrapiSettings::new(tenant(), &strapi.url());
    let strapi = Strapi::open(settings, repository::Settings::default(), &cluster.backing, tasks);
    let settings = Settings { waiting_max: Duration::from_secs(3_600) };
    strapi.expect("settings that can be used").reservoir(settings, CacheSettings::default())
}

/// Passengers around the stops, and the vehicle that boards.
async fn fill(reservoir: &Reservoir, count: usize) {
    let place = |number: usize| {
        let off = |steps: usize| (number * steps % 1_000) as f64 / 1_000.0 * APART;
        place(STOP.0 + off(379), STOP.1 + off(617))
    };
    let new = |number: usize| NewPassenger {
        passenger_id: PassengerId::try_new(&format!("P{number}")).expect("letters and digits"),
        pool: Some(pool()),
        route_id: None,
        depot_id: None,
        direction: None,
        position: place(number),
        destination: None,
        priority: 0,
        max_walking_distance_m: None,
        expires_at: None,
    };
    reservoir.push_batch(&actor(), (0..count).map(new).collect()).await.expect("strapi takes them");
    let stands = NewVehicle { capacity: 1_000, pool: None, position: None };
    reservoir.put_vehicle(&tenant(), &vehicle(), &stands).await.expect("redis takes it");
}

async fn run(reservoir: &Reservoir, (took, seconds): (&Took, Duration), apart: f64, boards: bool) {
    let tasks = TaskTracker::new();
    for number in 0..VEHICLES {
        let position = place(STOP.0 + apart * number as f64, STOP.1);
        let polling = poll(reservoir.clone(), Arc::clone(took), position);
        // They did not start their engines at the same moment.
        let begins = EVERY / VEHICLES as u32 * number as u32;
        tasks.spawn(timeout(seconds, async move {
            sleep(begins).await;
            polling.await;
        }));
    }
    if boards {
        let reservoir = reservoir.clone();
        tasks.spawn(timeout(seconds, async move { board(reservoir).await }));
    }
    tasks.close();
    tasks.wait().await;
}

async fn poll(reservoir: Reservoir, took: Took, position: GeoPoint) {
    let mut ticks = interval(EVERY);
    loop {
        ticks.tick().await;
        let query = Query { pool: pool(), position, radius_km: 0.2, max_results: 20 };
        let begun = Instant::now();
        let answer = reservoir.query(&tenant(), &query).await.expect("redis and strapi answer");
        took.lock().expect("nobody panicked").push((answer.source, begun.elapsed()));
    }
}

async fn board(reservoir: Reservoir) {
    let mut ticks = interval(BOARDS_EVERY);
    for number in 0.. {
        ticks.tick().await;
        let passenger_id = PassengerId::try_new(&format!("P{number}")).expect("letters and digits");
        let boarding = Boarding { passenger_id, vehicle_id: vehicle(), fence: None };
        reservoir.mark_picked_up(&actor(), &boarding).await.expect("nobody else boards");
    }
}

fn report(name: &str, took: &[(Source, Duration)]) {
    let of = |source| {
        let mut times: Vec<_> = took.iter().filter(|(of, _)| *of == source).map(|(_, time)| *time).collect();
        times.sort();
        times
    };
    let (hits, misses) = (of(Source::Hit), of(Source::Miss));
    let [mean_hit, mean_miss] = [&hits, &misses].map(|times| mean(times));
    println!("{name}: {} queries, {:.1} % hits", took.len(), 100.0 * hits.len() as f64 / took.len() as f64);
    for (what, times, mean) in [("hit", &hits, mean_hit), ("miss", &misses, mean_miss)] {
        let at = |share: f64| times.get((times.len() as f64 * share) as usize).or(times.last()).copied();
        println!(
            "  {what:<4} mean {mean:?}, p50 {:?}, p99 {:?}",
            at(0.5).unwrap_or_default(),
            at(0.99).unwrap_or_default()
        );
    }
    println!("  a hit is {:.0} times faster", mean_miss.as_secs_f64() / mean_hit.as_secs_f64());
}

fn mean(times: &[Duration]) -> Duration {
    times.iter().sum::<Duration>() / times.len().max(1) as u32
}

fn actor() -> Actor {
    let since_1970 = SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970");
    let agent = Agent::of("service", "queries").expect("a constant agent");
    let now = Timestamp(since_1970.as_millis() as u64);
    Actor { tenant: tenant(), subject: agent.to_string(), agent, request_id: None, now }
}

fn tenant() -> Tenant {
    Tenant::try_new("default").expect("a constant tenant")
}

fn vehicle() -> VehicleId {
    VehicleId::try_new("V1").expect("a constant id")
}

fn pool() -> Pool {
    Pool::try_new("route:12").expect("a constant pool")
}

fn place(lat: f64, lon: f64) -> GeoPoint {
    GeoPoint::try_new(lat, lon).expect("a place on the map")
}
