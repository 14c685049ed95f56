//! One cluster of either back end, nodes that take part in it, and what they hear.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use signalbox_protocol::fleet::{GeoPoint, NewVehicle, Passenger, PassengerState, Pool};
use signalbox_protocol::timestamp::Timestamp;
use signalbox_protocol::{Agent, NodeId, PassengerId, RequestId, Tenant, Topic, VehicleId};
use signalbox_registry::bus::Break;
use signalbox_registry::log::{LogSettings, Retention};
use signalbox_registry::redis::{Mode, RedisConfig, connect};
use signalbox_registry::{Announcement, BusListener, Cluster, Logged, MemoryCluster, Parcel, ThisNode};
use signalbox_reservoir::repository::{self, Alighting, Boarded, Boarding, Settings};
use signalbox_reservoir::{Actor, Error, Repository};
use signalbox_testkit::{AnyRedis, RedisServer, Sentinels, eventually};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long something that needs no time limit to pass may take on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(10);

/// How long passengers of these tests wait unless they say otherwise.
const WAIT: u64 = 3_600_000;

/// One cluster.
pub(crate) struct World {
    back_end: BackEnd,
    clock: Clock,
}

enum BackEnd {
    Memory(Arc<MemoryCluster>),
    Redis(Arc<AnyRedis>),
}

/// What nodes take the time from: under a paused clock it moves with that.
#[derive(Clone, Copy)]
struct Clock {
    begun_ms: u64,
    begun: Instant,
}

impl Clock {
    fn new() -> Self {
        let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        Self { begun_ms: since_1970.as_millis() as u64, begun: Instant::now() }
    }

    fn now(self) -> Timestamp {
        Timestamp(self.begun_ms + self.begun.elapsed().as_millis() as u64)
    }
}

impl World {
    pub(crate) fn memory() -> Self {
        Self { back_end: BackEnd::Memory(MemoryCluster::with_log(log_settings())), clock: Clock::new() }
    }

    pub(crate) async fn redis() -> Self {
        Self { back_end: BackEnd::Redis(Arc::new(AnyRedis::single().await)), clock: Clock::new() }
    }

    /// A Redis that others used before, for what is tested now.
    pub(crate) fn again(redis: &Arc<AnyRedis>, tested: &str) -> Self {
        eprintln!("{tested}");
        redis.cli_everywhere(&["flushall"]);
        Self { back_end: BackEnd::Redis(Arc::clone(redis)), clock: Clock::new() }
    }

    /// A node with the default settings.
    pub(crate) async fn node(&self) -> Node {
        self.node_with(Settings::default()).await
    }

    pub(crate) async fn node_with(&self, settings: Settings) -> Node {
        match &self.back_end {
            BackEnd::Memory(cluster) => {
                let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
                Node::of(cluster.join(this_node()), settings, self.clock, (tracker, stop)).await
            }
            BackEnd::Redis(redis) => {
                let mode = match &**redis {
                    AnyRedis::Single(_) => Mode::Single,
                    AnyRedis::Cluster(_) => Mode::Cluster,
                    AnyRedis::Watched(_) => {
                        Mode::Sentinel { service: Sentinels::SERVICE.into(), user: None, password: None }
                    }
                };
                Node::on_redis(&RedisConfig { mode, ..patient_at(&redis.url()) }, settings).await
            }
        }
    }
}

/// A configuration under which nothing is late, however busy the machine is.
pub(crate) fn patient(server: &RedisServer) -> RedisConfig {
    patient_at(&server.url())
}

fn patient_at(url: &str) -> RedisConfig {
    RedisConfig { command_timeout: SOON, log: log_settings(), ..RedisConfig::new(url) }
}

/// The logs of depots keep three messages.
fn log_settings() -> LogSettings {
    let others = Retention::default();
    let depots = Retention { messages_max: 3, ..others };
    LogSettings { by_kind: [("depot".to_owned(), depots)].into(), others }
}

fn this_node() -> Arc<ThisNode> {
    ThisNode::new(NodeId::try_new(&uuid::Uuid::now_v7().simple().to_string()).unwrap())
}

/// A node of a cluster, as far as reservoirs need one.
pub(crate) struct Node {
    pub(crate) repository: Arc<dyn Repository>,
    pub(crate) cluster: Cluster,
    pub(crate) heard: Arc<Heard>,
    clock: Clock,
    _tracker: TaskTracker,
    stop: CancellationToken,
}

impl Node {
    pub(crate) async fn on_redis(config: &RedisConfig, settings: Settings) -> Self {
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        let cluster = connect(config, this_node(), &tracker, stop.clone()).unwrap();
        Self::of(cluster, settings, Clock::new(), (tracker, stop)).await
    }

    async fn of(
        cluster: Cluster,
        settings: Settings,
        clock: Clock,
        (tracker, stop): (TaskTracker, CancellationToken),
    ) -> Self {
        let heard = Arc::new(Heard::default());
        cluster.bus.attach(Arc::clone(&heard) as _);
        let repository = repository::of(&cluster.backing, settings);
        let node = Self { repository, cluster, heard, clock, _tracker: tracker, stop };
        node.ready().await;
        node
    }

    pub(crate) async fn ready(&self) {
        eventually("the node is ready", SOON, || async {
            *self.cluster.reachable.borrow() && self.cluster.bus.health().healthy
        })
        .await;
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The actor of most tests, without a request id.
    pub(crate) fn actor(&self) -> Actor {
        Actor {
            tenant: tenant("acme"),
            agent: agent("service:commuter"),
            subject: "somebody".into(),
            request_id: None,
            now: self.now(),
        }
    }

    /// The same with a request id.
    pub(crate) fn request(&self, id: &str) -> Actor {
        Actor { request_id: Some(RequestId::try_new(id).unwrap()), ..self.actor() }
    }

    /// One who begins to wait now.
    pub(crate) fn waiting(&self, id: &str, pool: &str) -> Passenger {
        Passenger {
            passenger_id: PassengerId::try_new(id).unwrap(),
            pool: Pool::try_new(pool).unwrap(),
            direction: None,
            position: point(13.1, -59.6),
            destination: None,
            priority: 0,
            max_walking_distance_m: None,
            state: PassengerState::Waiting,
            vehicle_id: None,
            fence: None,
            spawned_at: self.now(),
            boarded_at: None,
            alighted_at: None,
            expires_at: Some(Timestamp(self.now().0 + WAIT)),
        }
    }

    /// Takes in passengers of these ids at `route:12`.
    pub(crate) async fn push(&self, ids: &[&str]) {
        let passengers = ids.iter().map(|id| self.waiting(id, "route:12")).collect();
        self.repository.push(&self.actor(), passengers).await.unwrap();
    }

    /// Writes a vehicle with so many seats.
    pub(crate) async fn vehicle(&self, id: &str, capacity: u32) {
        let stands = NewVehicle { capacity, pool: None, position: None };
        self.repository.put_vehicle(&tenant("acme"), &vehicle(id), &stands).await.unwrap();
    }

    pub(crate) async fn board(&self, passenger: &str, vehicle: &str) -> Result<Boarded, Error> {
        self.repository.board(&self.actor(), &boarding(passenger, vehicle)).await
    }

    pub(crate) async fn alight(&self, passenger: &str, fence: u64) -> Result<VehicleId, Error> {
        self.repository.alight(&self.actor(), &alighting(passenger, fence)).await
    }

    pub(crate) async fn cancel(&self, passenger: &str) -> Result<(), Error> {
        self.repository.cancel(&self.actor(), &id(passenger)).await
    }

    pub(crate) async fn passenger(&self, passenger: &str) -> Option<Passenger> {
        self.repository.passenger(&tenant("acme"), &id(passenger)).await.unwrap()
    }

    /// Who is on board a vehicle.
    pub(crate) async fn on_board(&self, of: &str) -> Vec<String> {
        let found = self.repository.vehicle(&tenant("acme"), &vehicle(of)).await.unwrap().unwrap();
        found.manifest.iter().map(ToString::to_string).collect()
    }

    /// Follows a topic.
    pub(crate) async fn follow(&self, topic: &str) {
        let topic = Topic::try_new(topic).unwrap();
        self.cluster.bus.subscribe(&tenant("acme"), &topic).await.unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What begins so, as a JSON object.
pub(crate) fn object(beginning: &str) -> Value {
    serde_json::from_str(&format!("{beginning}}}")).unwrap()
}

pub(crate) fn tenant(name: &str) -> Tenant {
    Tenant::try_new(name).unwrap()
}

pub(crate) fn agent(text: &str) -> Agent {
    Agent::from_topic(Topic::try_new(text).unwrap())
}

pub(crate) fn id(text: &str) -> PassengerId {
    PassengerId::try_new(text).unwrap()
}

pub(crate) fn vehicle(text: &str) -> VehicleId {
    VehicleId::try_new(text).unwrap()
}

pub(crate) fn pool(text: &str) -> Pool {
    Pool::try_new(text).unwrap()
}

pub(crate) fn point(lat: f64, lon: f64) -> GeoPoint {
    GeoPoint::try_new(lat, lon).unwrap()
}

pub(crate) fn boarding(passenger: &str, by: &str) -> Boarding {
    Boarding { passenger_id: id(passenger), vehicle_id: vehicle(by), fence: None }
}

pub(crate) fn alighting(passenger: &str, fence: u64) -> Alighting {
    Alighting { passenger_id: id(passenger), fence, vehicle_id: None }
}

/// What a node's listener was told.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<Vec<Announcement>>);

impl Heard {
    pub(crate) fn all(&self) -> Vec<Announcement> {
        self.0.lock().unwrap().clone()
    }

    /// The messages of a topic, once there are so many.
    pub(crate) async fn messages(&self, topic: &str, count: usize) -> Vec<Value> {
        let of_topic = || {
            let heard = self.all().into_iter().filter(|announcement| announcement.topic.as_str() == topic);
            heard.map(|heard| serde_json::from_slice(&heard.body).unwrap()).collect::<Vec<Value>>()
        };
        eventually(&format!("{count} messages of {topic}"), SOON, || async { of_topic().len() >= count })
            .await;
        of_topic()
    }
}

impl BusListener for Heard {
    fn on_parcel(&self, _: &NodeId, _: Parcel) {}

    fn on_announcement(&self, announcement: Announcement) {
        self.0.lock().unwrap().push(announcement);
    }

    fn on_logged(&self, logged: Logged) {
        let Logged { tenant, topic, body, .. } = logged;
        self.0.lock().unwrap().push(Announcement { tenant, topic, spared: None, body });
    }

    fn on_break(&self, _: Break) {}
}
