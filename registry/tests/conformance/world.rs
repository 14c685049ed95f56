//! One cluster of either back end, nodes that take part in it, and what they hear.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use signalbox_protocol::{Agent, ConnectionId, NodeId, SessionId, Tenant, Topic};
use signalbox_registry::bus::Break;
use signalbox_registry::lease::{RENEW_EVERY, Renewal};
use signalbox_registry::log::{LogSettings, Retention};
use signalbox_registry::redis::{Mode, RedisConfig, connect};
use signalbox_registry::{
    Announcement, BusListener, Cluster, Logged, MemoryCluster, NodeCard, Parcel, Row, ThisNode,
};
use signalbox_testkit::{AnyRedis, Sentinels, eventually};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long something that needs no time limit to pass may take on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(5);

/// One cluster.
pub(crate) enum World {
    Memory(Arc<MemoryCluster>),
    Redis(Arc<AnyRedis>),
}

/// The defaults for a Redis.
pub(crate) fn config_of(redis: &AnyRedis) -> RedisConfig {
    let mode = match redis {
        AnyRedis::Single(_) => Mode::Single,
        AnyRedis::Cluster(_) => Mode::Cluster,
        AnyRedis::Watched(_) => {
            Mode::Sentinel { service: Sentinels::SERVICE.into(), user: None, password: None }
        }
    };
    RedisConfig { mode, ..RedisConfig::new(&redis.url()) }
}

impl World {
    pub(crate) fn memory() -> Self {
        Self::Memory(MemoryCluster::with_log(log_settings()))
    }

    pub(crate) async fn on_redis() -> Self {
        Self::Redis(Arc::new(AnyRedis::single().await))
    }

    /// A Redis that others used before, for what is tested now.
    pub(crate) fn again(redis: &Arc<AnyRedis>, tested: &str) -> Self {
        eprintln!("{tested}");
        redis.cli_everywhere(&["flushall"]);
        Self::Redis(Arc::clone(redis))
    }

    /// A node that holds a lease, keeps it, and hears the bus.
    pub(crate) async fn node(&self, id: &str) -> Node {
        let node = match self {
            Self::Memory(cluster) => {
                let node = ThisNode::new(NodeId::try_new(id).unwrap());
                Node::of(cluster.join(node), TaskTracker::new(), CancellationToken::new())
            }
            Self::Redis(redis) => {
                Node::on_redis(id, &RedisConfig { log: log_settings(), ..config_of(redis) })
            }
        };
        node.ready().await;
        node.take_lease().await;
        node
    }

    /// All that was said is lost, and whatever else a Redis holds.
    pub(crate) fn lose_everything(&self) {
        match self {
            Self::Memory(cluster) => cluster.lose_logs(),
            Self::Redis(redis) => drop(redis.cli_everywhere(&["flushall"])),
        }
    }

    pub(crate) fn redis(&self) -> Option<&AnyRedis> {
        match self {
            Self::Memory(_) => None,
            Self::Redis(redis) => Some(redis),
        }
    }
}

/// A node of a cluster. When it is dropped it is gone as a killed process is: without a word.
pub(crate) struct Node {
    pub(crate) cluster: Cluster,
    pub(crate) heard: Arc<Heard>,
    tracker: TaskTracker,
    stop: CancellationToken,
    keeper: Mutex<CancellationToken>,
}

impl Node {
    pub(crate) fn on_redis(id: &str, config: &RedisConfig) -> Self {
        let node = ThisNode::new(NodeId::try_new(id).unwrap());
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        Self::of(connect(config, node, &tracker, stop.clone()).unwrap(), tracker, stop)
    }

    fn of(cluster: Cluster, tracker: TaskTracker, stop: CancellationToken) -> Self {
        let heard = Arc::new(Heard::default());
        cluster.bus.attach(Arc::clone(&heard) as _);
        Self { cluster, heard, tracker, stop, keeper: Mutex::default() }
    }

    pub(crate) fn id(&self) -> &NodeId {
        self.cluster.node.id()
    }

    pub(crate) async fn ready(&self) {
        eventually("the node is ready", SOON, || async {
            *self.cluster.reachable.borrow() && self.cluster.bus.health().healthy
        })
        .await;
    }

    pub(crate) fn card(&self) -> NodeCard {
        NodeCard {
            node_id: self.id().clone(),
            generation: self.cluster.node.generation(),
            address: format!("{}.test:8080", self.id()),
            version: "1.2.3".into(),
            started_at_ms: 1_767_225_600_000,
            stats: r#"{"connections":7}"#.into(),
        }
    }

    /// Begins the next generation and keeps its lease, until [`Node::stop_renewing`].
    pub(crate) async fn take_lease(&self) {
        self.cluster.node.next_generation();
        self.cluster.lease.acquire(&self.card()).await.unwrap();
        let (lease, card, renewing) =
            (Arc::clone(&self.cluster.lease), self.card(), CancellationToken::new());
        self.stop_renewing();
        *self.keeper.lock().unwrap() = renewing.clone();
        self.tracker.spawn(renewing.run_until_cancelled_owned(async move {
            loop {
                tokio::time::sleep(RENEW_EVERY).await;
                if matches!(lease.renew(&card).await, Ok(Renewal::Lost)) {
                    return;
                }
            }
        }));
    }

    pub(crate) fn stop_renewing(&self) {
        self.keeper.lock().unwrap().cancel();
    }

    /// A row of this node, in its generation.
    pub(crate) fn row(&self, number: u64, agent: &str) -> Row {
        let connection_id = ConnectionId::of_node(self.id(), number);
        Row {
            tenant: tenant("acme"),
            agent: self::agent(agent),
            session_id: SessionId::try_new(&format!("{connection_id}~k2m9")).unwrap(),
            session_named: false,
            pillar: None,
            namespaces: Vec::new(),
            node_id: self.id().clone(),
            generation: self.cluster.node.generation(),
            connected_at_ms: 1_767_225_600_000 + number,
            last_activity_ms: 1_767_225_600_000 + number,
            connection_id,
        }
    }

    /// Registers a row for the subject that everybody is by default.
    pub(crate) async fn register(&self, row: &Row) {
        self.cluster.directory.register(row, "somebody").await.unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop_renewing();
        self.stop.cancel();
    }
}

/// Makes a row's session one that its client named.
pub(crate) fn named(row: Row, session: &str) -> Row {
    Row { session_id: SessionId::try_new(session).unwrap(), session_named: true, ..row }
}

pub(crate) fn tenant(name: &str) -> Tenant {
    Tenant::try_new(name).unwrap()
}

pub(crate) fn agent(text: &str) -> Agent {
    Agent::from_topic(topic(text))
}

pub(crate) fn topic(text: &str) -> Topic {
    Topic::try_new(text).unwrap()
}

/// Topics of these kinds keep 5 messages, 100 bytes, or what came in the last 300 ms.
pub(crate) fn log_settings() -> LogSettings {
    let others = Retention::default();
    let by_kind = [
        ("few", Retention { messages_max: 5, ..others }),
        ("small", Retention { bytes_max: 100, ..others }),
        ("brief", Retention { age: Duration::from_millis(300), ..others }),
        ("model", Retention { messages_max: 8, bytes_max: 60, ..others }),
    ];
    LogSettings { by_kind: by_kind.map(|(kind, keeps)| (kind.to_owned(), keeps)).into(), others }
}

/// A frame for a topic of the default tenant.
pub(crate) fn deliver(to: &str, frame: &str) -> Parcel {
    let frame = bytes::Bytes::copy_from_slice(frame.as_bytes());
    Parcel::Deliver { tenant: tenant("acme"), topic: topic(to), conflation: 0, frame }
}

/// What a node's listener was told.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) parcels: Mutex<Vec<(NodeId, Parcel)>>,
    pub(crate) breaks: Mutex<Vec<Break>>,
    pub(crate) announcements: Mutex<Vec<Announcement>>,
    pub(crate) logged: Mutex<Vec<Logged>>,
}

impl Heard {
    pub(crate) fn count(&self) -> usize {
        self.parcels.lock().unwrap().len()
    }

    /// The frames heard so far, as text.
    pub(crate) fn frames(&self) -> Vec<String> {
        let parcels = self.parcels.lock().unwrap();
        let frames = parcels.iter().filter_map(|(_, parcel)| match parcel {
            Parcel::Deliver { frame, .. } => Some(String::from_utf8(frame.to_vec()).unwrap()),
            Parcel::Close { .. }
            | Parcel::NotHere { .. }
            | Parcel::Logged(_)
            | Parcel::Drain
            | Parcel::Revoked => None,
        });
        frames.collect()
    }

    pub(crate) fn reconnects(&self) -> usize {
        self.breaks.lock().unwrap().iter().filter(|what| **what == Break::Reconnected).count()
    }

    pub(crate) async fn hears(&self, parcels: usize) {
        eventually(&format!("{parcels} parcels"), SOON, || async { self.count() >= parcels }).await;
    }
}

impl BusListener for Heard {
    fn on_parcel(&self, from: &NodeId, parcel: Parcel) {
        self.parcels.lock().unwrap().push((from.clone(), parcel));
    }

    fn on_announcement(&self, announcement: Announcement) {
        self.announcements.lock().unwrap().push(announcement);
    }

    fn on_logged(&self, logged: Logged) {
        self.logged.lock().unwrap().push(logged);
    }

    fn on_break(&self, what: Break) {
        self.breaks.lock().unwrap().push(what);
    }
}
