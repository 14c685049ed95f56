//! Logs that contradict themselves, and how much is asked of the logs at once.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use signalbox_protocol::{Agent, NodeId};
use signalbox_registry::log::{Appended, Audience, Entry, Limits, Read};
use signalbox_registry::memory::MemoryCluster;
use signalbox_registry::{Cluster, ThisNode};
use tokio::time::sleep;

use super::*;
use crate::node::Node;
use crate::testing::{Client, default_settings, join, lone_node, node_over, queued, tenant, topic};

fn stored(position: Position, id: &str) -> Logged {
    let body = format!(r#"{{"id":"{id}","type":"order:new"}}"#);
    Logged { tenant: tenant("default"), topic: topic("order:1"), position, body: Bytes::from(body) }
}

/// Somebody who follows `order:1`, in which one message was said; where it stands.
async fn follower(node: &Arc<Node>) -> (Client, Client, Position) {
    let mut follower = Client::connect(node, "agent_type=dashboard").await;
    follower.send(json!({"type": "system:subscribe", "data": {"topics": ["order:1"]}})).await;
    assert_eq!(follower.next().await["type"], "system:ack");
    let mut sender = Client::connect(node, "agent_type=user").await;
    let at = say(&mut sender, "m1").await;
    assert_eq!(follower.next().await["offset"], 1);
    (follower, sender, at)
}

async fn say(sender: &mut Client, id: &str) -> Position {
    sender.send(json!({"type": "order:new", "id": id, "target": "order:1"})).await;
    let ack = sender.next().await;
    serde_json::from_value(ack["data"]["positions"]["order:1"].clone()).unwrap()
}

/// The follower is told of a break; where it goes on.
async fn told_of_a_break(follower: &mut Client) -> Position {
    let told = follower.next().await;
    assert_eq!((&told["type"], &told["correlationId"]), (&json!("system:resumed"), &Value::Null), "{told}");
    let of_topic = &told["data"]["topics"]["order:1"];
    assert_eq!((&of_topic["recovered"], &of_topic["reason"]), (&json!(false), &json!("epoch")), "{told}");
    serde_json::from_value(json!({"epoch": of_topic["epoch"], "offset": of_topic["offset"]})).unwrap()
}

/// The follower and everybody who resumes from `before` hear of another epoch, and what is said next comes.
async fn expect_another_epoch(
    node: &Arc<Node>,
    (mut follower, mut sender): (Client, Client),
    before: Position,
) {
    let at = told_of_a_break(&mut follower).await;
    assert_eq!(at.offset, before.offset);
    assert_ne!(at.epoch, before.epoch);
    assert_eq!(say(&mut sender, "next").await, Position { offset: before.offset + 1, ..at });
    assert_eq!(follower.next().await["id"], "next");
    assert_eq!(node.metrics.log.breaks.with_label_values(&["epoch"]).get(), 1);
    let mut late = Client::connect(node, "agent_type=dashboard&resume=1").await;
    late.send(json!({"type": "system:resume", "data": {"positions": {"order:1": before}}})).await;
    let told = late.next().await;
    let of_topic = &told["data"]["topics"]["order:1"];
    assert_eq!((&of_topic["recovered"], &of_topic["reason"]), (&json!(false), &json!("epoch")), "{told}");
}

#[tokio::test(start_paused = true)]
async fn another_message_under_a_used_number_begins_another_epoch() {
    let node = lone_node().await;
    let (follower, sender, at) = follower(&node).await;
    node.tails.on_logged(stored(at.clone(), "m1"));
    assert_eq!(node.metrics.log.repeated.get(), 1, "the same one merely came again");
    node.tails.on_logged(stored(at.clone(), "another"));
    expect_another_epoch(&node, (follower, sender), at).await;
}

#[tokio::test(start_paused = true)]
async fn a_message_beyond_the_end_of_its_log_begins_another_epoch() {
    let node = lone_node().await;
    let (follower, sender, at) = follower(&node).await;
    let beyond = Position { offset: at.offset + 2, ..at.clone() };
    node.tails.on_logged(stored(beyond, "from a log that is no more"));
    expect_another_epoch(&node, (follower, sender), at).await;
}

/// How many do something at once, and how many did at most.
#[derive(Debug, Default)]
struct Gauge {
    now: AtomicUsize,
    peak: AtomicUsize,
}

impl Gauge {
    /// Takes part for a while.
    async fn pass(&self) {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak.fetch_max(now, Ordering::Relaxed);
        sleep(Duration::from_millis(20)).await;
        self.now.fetch_sub(1, Ordering::Relaxed);
    }

    fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }
}

/// A log that takes its time and counts who asks.
#[derive(Debug)]
struct Counted {
    log: Arc<dyn Log>,
    heads: Gauge,
    reads: Gauge,
    /// How often it was asked where topics end.
    questions: AtomicUsize,
    /// The most topics of one question.
    batch: AtomicUsize,
    /// A topic whose log holds something else.
    unreadable: Mutex<Option<Topic>>,
}

#[async_trait]
impl Log for Counted {
    async fn append(&self, entry: &Entry) -> Result<Appended, Error> {
        self.log.append(entry).await
    }

    async fn read(&self, of: &Tenant, topic: &Topic, after: &Position, most: Limits) -> Result<Read, Error> {
        self.reads.pass().await;
        self.log.read(of, topic, after, most).await
    }

    async fn heads(&self, topics: &[(Tenant, Topic)]) -> Result<Vec<Position>, Error> {
        self.questions.fetch_add(1, Ordering::Relaxed);
        self.batch.fetch_max(topics.len(), Ordering::Relaxed);
        let unreadable = self.unreadable.lock().unwrap().clone();
        if topics.iter().any(|(_, topic)| unreadable.as_ref() == Some(topic)) {
            return Err(Error::Unreadable { what: "log" });
        }
        self.heads.pass().await;
        self.log.heads(topics).await
    }

    async fn new_epoch(&self, of: &Tenant, topic: &Topic, seen: &str) -> Result<Position, Error> {
        self.log.new_epoch(of, topic, seen).await
    }
}

async fn counted_node() -> (Arc<Counted>, Arc<Node>) {
    let cluster = MemoryCluster::new().join(ThisNode::new(NodeId::try_new("n1").unwrap()));
    let counted = Arc::new(Counted {
        log: Arc::clone(&cluster.log),
        heads: Gauge::default(),
        reads: Gauge::default(),
        questions: AtomicUsize::new(0),
        batch: AtomicUsize::new(0),
        unreadable: Mutex::new(None),
    });
    let node = node_over(Cluster { log: Arc::clone(&counted) as _, ..cluster }, default_settings()).await;
    (counted, node)
}

async fn store_untold(node: &Node, topic: &Topic) {
    let entry = Entry {
        tenant: tenant("default"),
        topic: topic.clone(),
        audience: Audience::Followers,
        source: Agent::of("user", "U").unwrap(),
        id: "m1".to_owned(),
        body: Bytes::from_static(br#"{"id":"m1","type":"order:new"}"#),
    };
    node.cluster.log.append(&entry).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_check_asks_for_256_topics_at_once_four_times_and_reads_eight_logs() {
    let (counted, node) = counted_node().await;
    let follower = join(&node, "agent_type=dashboard").await;
    queued(&follower);
    let topics: BTreeSet<Topic> = (0..10 * 256).map(|number| topic(&format!("order:{number}"))).collect();
    for topic in &topics {
        node.hub.join(&follower, topic, None);
        // Nobody is told: the check has to find it.
        if topic.id().ends_with('7') {
            store_untold(&node, topic).await;
        }
    }
    let checks = node.tails.keep_checked(Duration::from_secs(10));
    assert!(tokio::time::timeout(Duration::from_secs(60), checks).await.is_err(), "checks go on for ever");
    let got: BTreeSet<_> = queued(&follower).iter().map(|message| message["topic"].to_string()).collect();
    assert_eq!(got.len(), topics.iter().filter(|topic| topic.id().ends_with('7')).count());
    assert_eq!(counted.batch.load(Ordering::Relaxed), 256);
    assert_eq!((counted.heads.peak(), counted.reads.peak()), (4, 8));
}

#[tokio::test(start_paused = true)]
async fn those_who_ask_at_the_same_time_ask_with_one_question_and_each_gets_its_own_answer() {
    let (counted, node) = counted_node().await;
    store_untold(&node, &topic("order:7")).await;
    let asked = |number: usize| {
        let node = Arc::clone(&node);
        async move { node.tails.heads(vec![(tenant("default"), topic(&format!("order:{number}")))]).await }
    };
    let before = counted.questions.load(Ordering::Relaxed);
    let heads = futures_util::future::join_all((0..100).map(asked)).await;
    for (number, head) in heads.into_iter().enumerate() {
        assert_eq!(head.unwrap()[0].offset, u64::from(number == 7), "order:{number}");
    }
    assert_eq!(counted.questions.load(Ordering::Relaxed) - before, 1);
    assert_eq!(counted.batch.load(Ordering::Relaxed), 100);
    asked(7).await.unwrap();
    assert_eq!(counted.questions.load(Ordering::Relaxed) - before, 2, "who comes later asks anew");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_cannot_be_read_is_not_the_others_fault() {
    let (counted, node) = counted_node().await;
    counted.unreadable.lock().unwrap().replace(topic("order:7"));
    let asked =
        (0..10).map(|number| node.tails.heads(vec![(tenant("default"), topic(&format!("order:{number}")))]));
    for (number, head) in futures_util::future::join_all(asked).await.into_iter().enumerate() {
        assert_eq!(head.is_ok(), number != 7, "order:{number}");
    }
}
