//! One cluster, one Strapi, and nodes that take part.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use signalbox_protocol::fleet::{GeoPoint, NewPassenger, NewVehicle, Pool};
use signalbox_protocol::timestamp::Timestamp;
use signalbox_protocol::{Agent, NodeId, PassengerId, Tenant, Topic, VehicleId};
use signalbox_registry::bus::Break;
use signalbox_registry::redis::{RedisConfig, connect};
use signalbox_registry::{Announcement, BusListener, Cluster, Logged, MemoryCluster, Parcel, ThisNode};
use signalbox_reservoir::repository::{self, Alighting, Boarded, Boarding};
use signalbox_reservoir::reservoir::{Answer, Query, Settings};
use signalbox_reservoir::strapi::{Strapi, StrapiSettings};
use signalbox_reservoir::{Actor, CacheSettings, Error, Reservoir};
use signalbox_testkit::{RedisServer, Strapi as Server, eventually};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long something that needs no time limit to pass may take on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// One cluster and its Strapi.
pub(crate) struct World {
    pub(crate) strapi: Server,
    pub(crate) back_end: BackEnd,
    pub(crate) claims: repository::Settings,
}

pub(crate) enum BackEnd {
    Memory(Arc<MemoryCluster>),
    Redis(RedisServer),
}

impl World {
    pub(crate) async fn memory() -> Self {
        Self::over(BackEnd::Memory(MemoryCluster::new())).await
    }

    pub(crate) async fn redis() -> Self {
        Self::over(BackEnd::Redis(RedisServer::start().await)).await
    }

    async fn over(back_end: BackEnd) -> Self {
        Self { strapi: Server::start().await, back_end, claims: repository::Settings::default() }
    }

    /// Settings under which a test need not wait.
    pub(crate) fn settings(&self) -> StrapiSettings {
        StrapiSettings {
            retry_first: Duration::from_millis(20),
            retry_longest: Duration::from_millis(100),
            ..StrapiSettings::new(tenant("acme"), &self.strapi.url())
        }
    }

    /// A node whose entries live long.
    pub(crate) async fn node(&self) -> Node {
        self.node_with(self.settings(), CacheSettings::living(SOON)).await
    }

    pub(crate) async fn node_with(&self, settings: StrapiSettings, cache: CacheSettings) -> Node {
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        let name = NodeId::try_new(&uuid::Uuid::now_v7().simple().to_string()).unwrap();
        let this = ThisNode::new(name);
        let cluster = match &self.back_end {
            BackEnd::Memory(cluster) => cluster.join(this),
            BackEnd::Redis(server) => {
                connect(&RedisConfig::new(&server.url()), this, &tracker, stop.clone()).unwrap()
            }
        };
        let heard = Arc::new(Heard::default());
        cluster.bus.attach(Arc::clone(&heard) as _);
        let tasks = (&tracker, stop.clone());
        let strapi = Strapi::open(settings, self.claims, &cluster.backing, tasks).unwrap();
        let reservoir = strapi.reservoir(Settings { waiting_max: Duration::from_secs(3_600) }, cache);
        let node = Node { reservoir, strapi, cluster, heard, _tracker: tracker, stop };
        node.ready().await;
        node
    }

    pub(crate) fn redis_server(&mut self) -> &mut RedisServer {
        match &mut self.back_end {
            BackEnd::Redis(server) => server,
            BackEnd::Memory(_) => panic!("this test is for Redis"),
        }
    }

    /// What Strapi holds of a passenger in one attribute; null if it holds nobody.
    pub(crate) fn held(&self, passenger: &str, attribute: &str) -> Value {
        let records = self.strapi.records_of(passenger);
        assert!(records.len() <= 1, "{records:?}");
        records.first().map_or(Value::Null, |record| record[attribute].clone())
    }

    /// Waits until Strapi holds a passenger in this status.
    pub(crate) async fn told(&self, passenger: &str, status: &str) {
        let what = format!("strapi has {passenger} as {status}");
        eventually(&what, SOON, || async { self.held(passenger, "status") == status }).await;
    }

    /// The statuses that were written, in their order, by whoever writes them.
    pub(crate) fn written(&self) -> Vec<String> {
        let puts = self.strapi.take_seen().into_iter().filter(|seen| seen.method == "PUT");
        puts.filter_map(|seen| seen.data["status"].as_str().map(str::to_owned)).collect()
    }
}

/// A node, as far as reservoirs need one.
pub(crate) struct Node {
    pub(crate) reservoir: Reservoir,
    pub(crate) strapi: Strapi,
    pub(crate) cluster: Cluster,
    pub(crate) heard: Arc<Heard>,
    _tracker: TaskTracker,
    stop: CancellationToken,
}

impl Node {
    pub(crate) async fn ready(&self) {
        eventually("the node is ready", SOON, || async {
            *self.cluster.reachable.borrow() && self.cluster.bus.health().healthy
        })
        .await;
    }

    pub(crate) async fn push(&self, ids: &[&str]) -> Result<(), Error> {
        let passengers = ids.iter().map(|id| new(id)).collect();
        self.reservoir.push_batch(&actor(), passengers).await.map(|_| ())
    }

    pub(crate) async fn vehicle(&self, id: &str, capacity: u32) {
        let stands = NewVehicle { capacity, pool: None, position: None };
        self.reservoir.put_vehicle(&tenant("acme"), &vehicle(id), &stands).await.unwrap();
    }

    pub(crate) async fn board(&self, passenger: &str, by: &str) -> Result<Boarded, Error> {
        let boarding = Boarding { passenger_id: self::id(passenger), vehicle_id: vehicle(by), fence: None };
        self.reservoir.mark_picked_up(&actor(), &boarding).await
    }

    pub(crate) async fn alight(&self, passenger: &str, fence: u64) -> Result<VehicleId, Error> {
        let alighting = Alighting { passenger_id: id(passenger), fence, vehicle_id: None };
        self.reservoir.mark_dropped_off(&actor(), &alighting).await
    }

    pub(crate) async fn cancel(&self, passenger: &str) -> Result<(), Error> {
        self.reservoir.cancel(&actor(), &id(passenger)).await
    }

    pub(crate) async fn state(&self, passenger: &str) -> &'static str {
        self.reservoir.passenger(&tenant("acme"), &id(passenger)).await.unwrap().state.as_str()
    }

    /// Who waits within 500 m of where everybody waits.
    pub(crate) async fn query(&self) -> Answer {
        self.reservoir.query(&tenant("acme"), &query()).await.unwrap()
    }

    pub(crate) async fn near(&self) -> Vec<String> {
        names(&self.query().await)
    }

    /// Waits until nothing waits for Strapi.
    pub(crate) async fn outbox_empty(&self) {
        eventually("the outbox is empty", SOON, || async { self.strapi.waiting().await.unwrap() == 0 }).await;
    }

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

pub(crate) fn names(answer: &Answer) -> Vec<String> {
    answer.found.iter().map(|(waiting, _)| waiting.passenger_id().to_owned()).collect()
}

pub(crate) fn query() -> Query {
    Query { pool: pool("route:12"), position: point(13.1, -59.6), radius_km: 0.5, max_results: 100 }
}

/// One who begins to wait where everybody waits.
pub(crate) fn new(id: &str) -> NewPassenger {
    new_at(id, 13.1, -59.6)
}

pub(crate) fn new_at(id: &str, lat: f64, lon: f64) -> NewPassenger {
    NewPassenger {
        passenger_id: self::id(id),
        pool: Some(pool("route:12")),
        route_id: None,
        depot_id: None,
        direction: None,
        position: point(lat, lon),
        destination: None,
        priority: 0,
        max_walking_distance_m: None,
        expires_at: None,
    }
}

pub(crate) fn actor() -> Actor {
    let since_1970 = SystemTime::UNIX_EPOCH.elapsed().unwrap();
    Actor {
        tenant: tenant("acme"),
        agent: Agent::of("service", "commuter").unwrap(),
        subject: "somebody".into(),
        request_id: None,
        now: Timestamp(since_1970.as_millis() as u64),
    }
}

pub(crate) fn tenant(name: &str) -> Tenant {
    Tenant::try_new(name).unwrap()
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

/// What a node's listener was told.
#[derive(Debug, Default)]
pub(crate) struct Heard(Mutex<Vec<Announcement>>);

impl Heard {
    /// The types of the messages of a topic, once there are so many.
    pub(crate) async fn types(&self, topic: &str, count: usize) -> Vec<String> {
        let of_topic = || {
            let heard = self.0.lock().unwrap();
            let bodies = heard.iter().filter(|heard| heard.topic.as_str() == topic).map(|heard| &heard.body);
            let of = |body: &bytes::Bytes| serde_json::from_slice::<Value>(body).unwrap()["type"].to_string();
            bodies.map(|body| of(body).trim_matches('"').to_owned()).collect::<Vec<_>>()
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
