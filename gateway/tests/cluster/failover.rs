//! The master of Redis is replaced under load, or a slot moves: nothing that was acknowledged is lost without a word, and
//! traffic flows again within seconds, stored and live.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::json;
use signalbox_testkit::{AnyRedis, RedisCluster, Sentinels, eventually};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::client::{Client, PATIENCE};
use crate::durable::order;
use crate::fixture::{TestCluster, config};

/// From the moment in which there is another master.
const FLOWS_WITHIN: Duration = Duration::from_secs(5);
/// So many messages are some.
const SOME: u64 = 50;
/// So many refusals are enough to say that what is asked for meanwhile is refused.
const REFUSED: u64 = 10;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

/// Somebody who sends durable messages one after the other, each until it is acknowledged, and a live one behind each.
#[derive(Default)]
pub(crate) struct Load {
    stored: AtomicU64,
    /// So often something was to be sent again.
    refused: AtomicU64,
    over: AtomicBool,
}

impl Load {
    /// Sends by `sender`. The last message is called `last`.
    pub(crate) fn start(mut sender: Client) -> Arc<Self> {
        let load = Arc::new(Self::default());
        let sends = Arc::clone(&load);
        TaskTracker::new().spawn(async move {
            while !sends.over.load(Ordering::Acquire) {
                let number = sends.stored.load(Ordering::Acquire);
                sends.store(&mut sender, &number.to_string()).await;
                // It may be lost, and is then not sent again.
                sender.emit("demo:tick", "order:1", json!(number)).await;
                sends.stored.fetch_add(1, Ordering::AcqRel);
            }
            sends.store(&mut sender, "last").await;
        });
        load
    }

    async fn store(&self, sender: &mut Client, id: &str) {
        let asked = Instant::now();
        loop {
            let answer = order(sender, id, json!("order:1"), json!(id)).await;
            if answer["type"] == "system:ack" {
                return;
            }
            assert_eq!(answer["data"]["retryable"], true, "{answer}");
            assert!(asked.elapsed() < PATIENCE, "{id} was never stored");
            self.refused.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Waits until some of what is sent from now on was refused.
    async fn is_refused(&self) {
        let goal = self.refused.load(Ordering::Acquire) + REFUSED;
        let is_refused = || async { self.refused.load(Ordering::Acquire) >= goal };
        eventually("messages are refused", PATIENCE, is_refused).await;
    }

    fn stored(&self) -> u64 {
        self.stored.load(Ordering::Acquire)
    }

    /// Waits until some of what is sent from now on are acknowledged and have come, stored ones and live ones; how many
    /// are by then.
    pub(crate) async fn flows(&self, told: &Told, within: Duration) -> u64 {
        let goal = self.stored() + SOME;
        let has_come = || {
            let heard = lock(&told.0);
            heard.numbers.last().is_some_and(|number| *number >= goal) && heard.live >= goal
        };
        let took = eventually("messages flow", within, || async { has_come() }).await;
        eprintln!("{SOME} messages, stored and live, after {took:?}");
        self.stored()
    }

    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::Release);
    }
}

/// What a follower was told.
#[derive(Default)]
pub(crate) struct Told(Mutex<Heard>);

#[derive(Default)]
struct Heard {
    numbers: BTreeSet<u64>,
    /// The newest live message.
    live: u64,
    /// That messages may be missing.
    breaks: usize,
}

impl Told {
    /// Reads until the last message.
    pub(crate) async fn read(self: Arc<Self>, mut follower: Client) {
        loop {
            let message = follower.next().await;
            if message["type"] == "system:resumed" {
                let is_broken = message["data"]["topics"]["order:1"]["recovered"] == false;
                lock(&self.0).breaks += usize::from(is_broken);
                continue;
            }
            if message["type"] == "demo:tick" {
                lock(&self.0).live = message["data"].as_u64().unwrap();
                continue;
            }
            match message["data"].as_str().unwrap().parse() {
                Ok(number) => drop(lock(&self.0).numbers.insert(number)),
                Err(_) => return,
            }
        }
    }

    fn breaks(&self) -> usize {
        lock(&self.0).breaks
    }

    /// All of the first `stored` came, or it was told that some may be missing; of those since `whole` none is.
    pub(crate) fn check(&self, whole: u64, stored: u64) {
        let heard = lock(&self.0);
        let missing: Vec<_> = (0..stored).filter(|number| !heard.numbers.contains(number)).collect();
        assert!(missing.is_empty() || heard.breaks > 0, "lost without a word: {missing:?}");
        assert!(missing.iter().all(|number| *number < whole), "lost after the repair: {missing:?}");
    }
}

async fn nothing_is_lost_without_a_word(redis: AnyRedis, replace: impl AsyncFnOnce(&mut AnyRedis, &Load)) {
    let mut cluster = TestCluster::start_on(redis, 2, config(None)).await;
    let mut follower = cluster.nodes[1].client("dashboard:D").await;
    follower.subscribe(&["order:1"]).await;
    let told = Arc::new(Told::default());
    let reading = TaskTracker::new().spawn(Arc::clone(&told).read(follower));
    let load = Load::start(cluster.nodes[0].client("user:U").await);
    load.flows(&told, PATIENCE).await;
    replace(&mut cluster.redis, &load).await;
    // Until then both nodes may still be at a master that is none any more.
    let took = eventually("the follower is told", FLOWS_WITHIN, || async { told.breaks() > 0 }).await;
    eprintln!("told after {took:?}");
    let whole = load.flows(&told, FLOWS_WITHIN.saturating_sub(took)).await;
    let stored = load.flows(&told, PATIENCE).await;
    load.end();
    reading.await.unwrap();
    told.check(whole, stored);
}

/// The slot of the topic that the load goes to.
const TOPIC: &str = "sb:{default:order:1}";

fn sentinels(redis: &mut AnyRedis) -> &mut Sentinels {
    match redis {
        AnyRedis::Watched(sentinels) => sentinels,
        AnyRedis::Single(_) | AnyRedis::Cluster(_) => unreachable!("it was started otherwise"),
    }
}

fn servers(redis: &mut AnyRedis) -> &mut RedisCluster {
    match redis {
        AnyRedis::Cluster(cluster) => cluster,
        AnyRedis::Single(_) | AnyRedis::Watched(_) => unreachable!("it was started otherwise"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_crashes_under_load_is_replaced_and_nothing_is_lost_without_a_word() {
    let crash = async |redis: &mut AnyRedis, _: &Load| sentinels(redis).fail_over().await;
    nothing_is_lost_without_a_word(AnyRedis::watched().await, crash).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_is_exchanged_while_it_is_well_is_left_and_nothing_is_lost_without_a_word() {
    let exchange = async |redis: &mut AnyRedis, _: &Load| sentinels(redis).exchange().await;
    nothing_is_lost_without_a_word(AnyRedis::watched().await, exchange).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_of_a_cluster_moves_under_load_and_nothing_is_lost_without_a_word() {
    let moves = async |redis: &mut AnyRedis, load: &Load| {
        let cluster = servers(redis);
        let slot = cluster.slot(TOPIC);
        let ends = cluster.open_move(slot);
        load.is_refused().await;
        cluster.finish_move(slot, ends);
    };
    nothing_is_lost_without_a_word(AnyRedis::cluster().await, moves).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_of_a_cluster_crashes_under_load_and_nothing_is_lost_without_a_word() {
    let crash = async |redis: &mut AnyRedis, _: &Load| {
        let cluster = servers(redis);
        let port = cluster.master_of(cluster.slot(TOPIC)).port();
        cluster.fail_over(port).await;
    };
    let redis = AnyRedis::Cluster(RedisCluster::start_with_replicas().await);
    nothing_is_lost_without_a_word(redis, crash).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_follows_a_topic_in_which_nobody_spoke_is_told_when_its_server_is_replaced_and_no_other_is() {
    let redis = AnyRedis::Cluster(RedisCluster::start_with_replicas().await);
    let mut cluster = TestCluster::start_on(redis, 1, config(None)).await;
    let servers = servers(&mut cluster.redis);
    let port_of = |id: u32| servers.master_of(servers.slot(&format!("sb:{{default:order:{id}}}"))).port();
    let lost = port_of(0);
    let other = (1..).find(|id| port_of(*id) != lost).unwrap();
    let kept = format!("order:{other}");
    let mut follower = cluster.nodes[0].client("dashboard:D").await;
    follower.subscribe(&["order:0", &kept]).await;
    servers.fail_over(lost).await;
    loop {
        // What a client follows without having asked for it may be there as well.
        let told = follower.next().await;
        if told["type"] == "system:health_check" {
            return;
        }
        let topics = told["data"]["topics"].as_object().unwrap();
        assert!(!topics.contains_key(&kept), "{told}");
        if let Some(topic) = topics.get("order:0") {
            assert_eq!(topic["recovered"], false, "{told}");
            // Others would be told at the same time: before this is answered.
            follower.send(json!({"type": "system:health_check"})).await;
        }
    }
}
