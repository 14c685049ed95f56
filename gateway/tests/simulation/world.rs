//! The nodes of a run, and what they share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use signalbox_gateway::Gateway;
use signalbox_gateway::config::Config;
use signalbox_gateway::node::Node;
use signalbox_protocol::{NodeId, Tenant, Topic};
use signalbox_registry::{Log, MemoryCluster, ThisNode};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::bus::FaultyBus;
use crate::climate::Climate;
use crate::history::History;
use crate::link::{Link, mix};
use crate::shared;
use crate::weather::Weather;

/// Nodes at any time.
pub(crate) const NODES: usize = 3;
/// A node that is asked to stop does so within this.
const STOP_MAX: Duration = Duration::from_secs(60);

/// A step of the clock by which clients act.
const STEP_MS: u64 = 25;

/// A node of the run.
#[derive(Clone)]
pub(crate) struct SimNode {
    pub(crate) name: String,
    pub(crate) node: Arc<Node>,
    pub(crate) link: Arc<Link>,
    pub(crate) bus: Arc<FaultyBus>,
    /// Its process is gone: no client hears of it again.
    pub(crate) died: CancellationToken,
    stop: CancellationToken,
    ended: CancellationToken,
}

/// See the module.
pub(crate) struct World {
    pub(crate) climate: Climate,
    pub(crate) weather: Arc<Weather>,
    pub(crate) history: Arc<History>,
    pub(crate) cluster: Arc<MemoryCluster>,
    pub(crate) tasks: TaskTracker,
    /// The topic that somebody is about to join: a good moment to say something there.
    pub(crate) joining: watch::Sender<String>,
    nodes: Mutex<Nodes>,
    seed: u64,
    began: Instant,
}

#[derive(Default)]
struct Nodes {
    /// Where clients go.
    up: Vec<SimNode>,
    /// All that there ever were.
    all: Vec<SimNode>,
}

impl World {
    /// With all its nodes started.
    pub(crate) async fn start(climate: Climate, seed: u64) -> Arc<Self> {
        let world = Arc::new(Self {
            climate,
            weather: Weather::new(climate.faults),
            history: Arc::new(History::new()),
            cluster: MemoryCluster::with_log(climate.log_settings()),
            tasks: TaskTracker::new(),
            joining: watch::Sender::default(),
            nodes: Mutex::default(),
            seed,
            began: Instant::now(),
        });
        world.note_life().await;
        for _ in 0..NODES {
            world.start_node();
        }
        world
    }

    /// Records which life of the logs this is.
    pub(crate) async fn note_life(&self) {
        let nothing = (Tenant::try_new("nobody").unwrap(), Topic::try_new("no:thing").unwrap());
        let heads = Log::heads(&*self.cluster, &[nothing]).await.unwrap();
        self.history.lives(&heads[0].epoch);
    }

    fn lock(&self) -> MutexGuard<'_, Nodes> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Dice for somebody, the same in every run of this seed.
    pub(crate) fn dice(&self, of: &str) -> Rng {
        Rng::with_seed(mix(self.seed, of))
    }

    /// A pause of up to so many milliseconds. It begins at the next step of a coarse clock, so that a millisecond more or
    /// less before it makes no other story.
    pub(crate) async fn pause(&self, dice: &mut Rng, max_ms: u64) {
        let step = self.began.elapsed().as_millis() as u64 / STEP_MS + 1;
        let until = step * STEP_MS + dice.u64(0..=max_ms);
        sleep_until(self.began + Duration::from_millis(until)).await;
    }

    /// One more node, under a name that none had before.
    pub(crate) fn start_node(&self) {
        let name = format!("n{}", self.lock().all.len() + 1);
        let id = NodeId::try_new(&name).unwrap();
        let link = Link::new(id.clone(), &self.weather, mix(self.seed, &name));
        let joined = self.cluster.join(ThisNode::new(id));
        let (cluster, bus) = shared::over(&link, joined, &self.history, &self.tasks);
        let mut config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
        // Nothing that a fault has broken is to be mended behind the judge's back.
        config.redis.audit_interval = Duration::from_secs(3_600);
        // All at once: the order is that of a hash table.
        config.stop.closes_per_second = 100_000;
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        let gateway =
            Gateway::build_in(&config, cluster, TaskTracker::new(), CancellationToken::new()).unwrap();
        let node = Arc::clone(gateway.node());
        let started = SimNode { name, node, link, bus, died: CancellationToken::new(), stop, ended };
        let (asked, end) = (started.stop.clone(), started.ended.clone());
        self.tasks.spawn(async move {
            let result = gateway.run(asked.cancelled_owned()).await;
            assert!(result.is_ok(), "a node ends in order");
            end.cancel();
        });
        let mut nodes = self.lock();
        nodes.up.push(started.clone());
        nodes.all.push(started);
    }

    /// The nodes that clients know.
    pub(crate) fn up(&self) -> Vec<SimNode> {
        self.lock().up.clone()
    }

    /// Every node that there ever was.
    pub(crate) fn all(&self) -> Vec<SimNode> {
        self.lock().all.clone()
    }

    /// No more clients go there.
    pub(crate) fn forget(&self, node: &SimNode) {
        self.lock().up.retain(|other| other.name != node.name);
    }

    /// Waits until a node takes clients.
    pub(crate) async fn ready(&self, node: &SimNode) {
        let ready = async {
            while !node.node.is_ready() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        if timeout(Duration::from_secs(20), ready).await.is_err() {
            self.history.blame(format!("{} did not become ready", node.name));
        }
    }

    /// Stops a node in order, and waits for its end.
    pub(crate) async fn stop(&self, node: &SimNode) {
        node.stop.cancel();
        if timeout(STOP_MAX, node.ended.cancelled()).await.is_err() {
            self.history.blame(format!("{} did not end when it was told to stop", node.name));
        }
    }
}
