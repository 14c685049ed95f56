//! Measures the Redis repository: pushes, queries, boardings, and a query against a cached answer to it.
//!
//! ```text
//! cargo run --release -p signalbox-reservoir --example measure_fleet [redis://host:port]
//! ```
//! Without a URL it starts a Redis of its own. Whoever publishes the figures pins Redis to a core. `us of Redis`
//! is the CPU time that its process took per operation.
#![expect(clippy::print_stdout, reason = "the figures are what this is for")]
#![expect(clippy::unwrap_used, reason = "a measurement that meets an error is none")]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use signalbox_protocol::fleet::{GeoPoint, NewVehicle, Passenger, PassengerState, Pool};
use signalbox_protocol::timestamp::Timestamp;
use signalbox_protocol::{Agent, NodeId, PassengerId, RequestId, Tenant, VehicleId};
use signalbox_registry::redis::{Call, RedisConfig, Scripts, connect};
use signalbox_registry::{Backing, Cluster, ThisNode};
use signalbox_reservoir::repository::{self, Alighting, Boarding};
use signalbox_reservoir::reservoir::{Query, Settings};
use signalbox_reservoir::{Actor, CacheSettings, QueryCache, Repository, Reservoir};
use signalbox_testkit::{RedisServer, eventually};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const PATIENCE: Duration = Duration::from_secs(10);
/// Services that push at once.
const SERVICES: usize = 4;
/// Passengers of one push.
const BATCH: usize = 1_000;
/// Passengers that wait while queries are made.
const WAITING: usize = 10_000;
/// Metres from the middle within which they wait.
const SPREAD_M: f64 = 5_000.0;
const QUERIES: usize = 1_000;
const RIDES: usize = 20_000;
/// Tasks that ride at once.
const CALLERS: usize = 64;

/// One node, and the Redis that it talks to.
struct Bench {
    repository: Arc<dyn Repository>,
    scripts: Scripts,
    tenant: Tenant,
    _running: (Cluster, TaskTracker),
}

#[tokio::main]
async fn main() {
    let (url, _server) = match std::env::args().nth(1) {
        Some(url) => (url, None),
        None => {
            let server = RedisServer::start().await;
            (server.url(), Some(server))
        }
    };
    let bench = Arc::new(Bench::new(&url).await);
    bench.pushes().await;
    bench.queries(200.0, 100).await;
    bench.queries(500.0, 16).await;
    bench.queries(2.0 * SPREAD_M, 100).await;
    bench.queries(2.0 * SPREAD_M, 1_000).await;
    bench.rides().await;
}

impl Bench {
    async fn new(url: &str) -> Self {
        let node = ThisNode::new(NodeId::try_new("measure").unwrap());
        let config = RedisConfig { command_timeout: PATIENCE, ..RedisConfig::new(url) };
        let tracker = TaskTracker::new();
        let cluster = connect(&config, node, &tracker, CancellationToken::new()).unwrap();
        eventually("the node is ready", PATIENCE, || async { cluster.bus.health().healthy }).await;
        let Backing::Redis(scripts) = &cluster.backing else { unreachable!("it was connected to Redis") };
        let repository = repository::of(&cluster.backing, repository::Settings::default());
        let tenant = Tenant::try_new("measure").unwrap();
        Self { repository, scripts: scripts.clone(), tenant, _running: (cluster, tracker) }
    }

    fn actor(&self) -> Actor {
        Actor {
            tenant: self.tenant.clone(),
            agent: Agent::of("service", "measure").unwrap(),
            subject: "measure".into(),
            request_id: Some(RequestId::try_new("0192f7c6-6f0e-7cc3-8f5e-8f1d4a1f9d11").unwrap()),
            now: now(),
        }
    }

    /// Microseconds of CPU that Redis has taken so far.
    async fn redis_cpu_us(&self) -> f64 {
        let info = self.scripts.read(&self.tenant, &[Call::new("INFO").arg("cpu")]).await.unwrap();
        let text: String = redis::from_redis_value(info.into_iter().next().unwrap()).unwrap();
        let seconds = |name: &str| -> f64 {
            text.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse().unwrap()
        };
        (seconds("used_cpu_user:") + seconds("used_cpu_sys:")) * 1e6
    }

    async fn pushes(self: &Arc<Self>) {
        const BATCHES: usize = 80;
        let pool = |number: usize| format!("route:push{}", number % 4);
        let lists: Vec<_> =
            (0..BATCHES).map(|batch| self.passengers(&format!("B{batch}_"), &pool(batch), BATCH)).collect();
        let (cpu, begun) = (self.redis_cpu_us().await, Instant::now());
        let mut services = JoinSet::new();
        for lists in lists.chunks(BATCHES / SERVICES) {
            let (bench, lists) = (Arc::clone(self), lists.to_vec());
            services.spawn(async move { bench.push_all(&lists).await });
        }
        services.join_all().await;
        let (took, cpu) = (begun.elapsed().as_secs_f64(), self.redis_cpu_us().await - cpu);
        let count = (BATCHES * BATCH) as f64;
        println!(
            "{SERVICES} push {BATCH} at a time: {:.0} passengers/s, {:.1} us of Redis each",
            count / took,
            cpu / count
        );
        let info = self.scripts.read(&self.tenant, &[Call::new("INFO").arg("memory")]).await.unwrap();
        let text: String = redis::from_redis_value(info.into_iter().next().unwrap()).unwrap();
        let used = text.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().trim().to_owned();
        println!("{count} passengers wait: {used} bytes of Redis");
        let list = self.passengers("W", "route:12", WAITING);
        self.repository.push(&self.actor(), list).await.unwrap();
    }

    /// One service that pushes list after list.
    async fn push_all(&self, lists: &[Vec<Passenger>]) {
        for list in lists {
            self.repository.push(&self.actor(), list.clone()).await.unwrap();
        }
    }

    fn passengers(&self, prefix: &str, pool: &str, count: usize) -> Vec<Passenger> {
        let spawned_at = now();
        let one = |number: usize| Passenger {
            passenger_id: PassengerId::try_new(&format!("{prefix}{number}")).unwrap(),
            pool: Pool::try_new(pool).unwrap(),
            direction: None,
            position: somewhere(number),
            destination: Some(somewhere(number + 7)),
            priority: 1,
            max_walking_distance_m: Some(150.0),
            state: PassengerState::Waiting,
            vehicle_id: None,
            fence: None,
            spawned_at,
            boarded_at: None,
            alighted_at: None,
            expires_at: Some(Timestamp(spawned_at.0 + 3_600_000)),
        };
        (0..count).map(one).collect()
    }

    /// Queries through the reservoir, each from another place; then through a cache, from another place each time
    /// and from the same place.
    async fn queries(&self, radius_m: f64, limit: u32) {
        let query = |number: usize| Query {
            pool: Pool::try_new("route:12").unwrap(),
            position: somewhere(number * 3),
            radius_km: radius_m / 1_000.0,
            max_results: limit,
        };
        let plain = || Reservoir::new(Arc::clone(&self.repository), Settings { waiting_max: PATIENCE });
        let cache = CacheSettings::living(PATIENCE);
        let cache = QueryCache::new(Backing::Redis(self.scripts.clone()), cache, TaskTracker::new());
        let cached = plain().with_cache(Arc::new(cache));
        println!("near, {radius_m} m, at most {limit} of {WAITING}:");
        self.ask("from Redis", &plain(), query).await;
        self.ask("cached, each from another place", &cached, query).await;
        self.ask("cached, all from one place", &cached, |_| query(0)).await;
    }

    async fn ask(&self, how: &str, reservoir: &Reservoir, query: impl Fn(usize) -> Query) {
        let (mut found, mut took) = (0, Vec::new());
        let cpu = self.redis_cpu_us().await;
        for number in 0..QUERIES {
            let begun = Instant::now();
            found += reservoir.query(&self.tenant, &query(number)).await.unwrap().found.len();
            took.push(begun.elapsed());
        }
        let cpu = (self.redis_cpu_us().await - cpu) / QUERIES as f64;
        let each = found / QUERIES;
        println!("  {how}: {each} found, {}, {cpu:.1} us of Redis", percentiles(took));
    }

    /// Boards and drops off, again and again, from many tasks.
    async fn rides(self: &Arc<Self>) {
        let list = self.passengers("R", "route:13", RIDES);
        for some in list.chunks(BATCH) {
            self.repository.push(&self.actor(), some.to_vec()).await.unwrap();
        }
        let stands = NewVehicle { capacity: 16, pool: None, position: None };
        for number in 0..CALLERS {
            let id = VehicleId::try_new(&format!("V{number}")).unwrap();
            self.repository.put_vehicle(&self.tenant, &id, &stands).await.unwrap();
        }
        let (cpu, begun, mut callers) = (self.redis_cpu_us().await, Instant::now(), JoinSet::new());
        for caller in 0..CALLERS {
            let bench = Arc::clone(self);
            callers.spawn(async move {
                let mut took = Vec::new();
                for number in (caller..RIDES).step_by(CALLERS) {
                    took.push(bench.ride(number, caller).await);
                }
                took
            });
        }
        let took = callers.join_all().await.concat();
        let (elapsed, cpu) = (begun.elapsed().as_secs_f64(), self.redis_cpu_us().await - cpu);
        let rides = RIDES as f64;
        println!(
            "board and alight: {:.0} pairs/s, boarding {}, {:.1} us of Redis a pair",
            rides / elapsed,
            percentiles(took),
            cpu / rides
        );
    }

    async fn ride(&self, number: usize, vehicle: usize) -> Duration {
        let passenger_id = PassengerId::try_new(&format!("R{number}")).unwrap();
        let vehicle_id = VehicleId::try_new(&format!("V{vehicle}")).unwrap();
        let boarding = Boarding { passenger_id: passenger_id.clone(), vehicle_id, fence: None };
        let begun = Instant::now();
        let fence = self.repository.board(&self.actor(), &boarding).await.unwrap().fence;
        let took = begun.elapsed();
        let alighting = Alighting { passenger_id, fence, vehicle_id: None };
        self.repository.alight(&self.actor(), &alighting).await.unwrap();
        took
    }
}

fn now() -> Timestamp {
    Timestamp(SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64)
}

/// A place that looks like chance and is always the same, within [`SPREAD_M`] of the middle.
fn somewhere(number: usize) -> GeoPoint {
    let fraction = |step: f64| (number as f64 * step).fract() * 2.0 - 1.0;
    let degrees = SPREAD_M / 111_000.0;
    let lat = 13.1 + degrees * fraction(0.618_033_988_7);
    GeoPoint::try_new(lat, -59.6 + degrees * fraction(0.754_877_666_2)).unwrap()
}

fn percentiles(mut took: Vec<Duration>) -> String {
    took.sort_unstable();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
    format!("p50 {:?} p99 {:?}", at(0.5), at(0.99))
}
