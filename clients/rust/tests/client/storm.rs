//! A client in a cluster that fails in every way, told by a seed. What must hold: everything that was sent is stored
//! once and in order, and everything that was stored is handed over once and in order, or declared missing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fastrand::Rng;
use serde_json::Value;
use signalbox_client::{Client, ClientConfig, Event, Received, RecvError, RequestError, Subscription};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::cluster::{Cluster, OWN_TOPIC};
use crate::pipes::{Pipes, config, network};

const TOPICS: [&str; 3] = ["route:1", "route:2", OWN_TOPIC];
const MESSAGES: u64 = 60;
/// The clock is paused: an hour of trying costs milliseconds.
const LONG: Duration = Duration::from_secs(3_600);

/// Says which seed it was.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed was {}", self.0);
        }
    }
}

/// Lets every client in, each to a node of its own.
async fn admit(cluster: Cluster, mut pipes: Pipes) {
    let tasks = TaskTracker::new();
    while let Some(arrival) = pipes.next_arrival().await {
        tasks.spawn(cluster.clone().serve(arrival));
    }
}

/// What a subscriber was handed, checked as it comes.
#[derive(Default)]
struct Heard {
    ids: BTreeSet<String>,
    /// For each topic the number of its last message.
    last: BTreeMap<String, u64>,
    /// Topics of which something may be missing before the next message.
    lost: BTreeSet<String>,
    losses: u64,
}

impl Heard {
    fn message(&mut self, message: &Received, cluster: &Cluster) {
        let (topic, offset) =
            (message.topic.as_ref().expect("durable").to_string(), message.offset.expect("durable"));
        assert!(self.ids.insert(message.id.clone()), "{} of {topic} came twice", message.id);
        let last = self.last.insert(topic.clone(), offset).unwrap_or_default();
        if self.lost.remove(&topic) {
            return;
        }
        assert!(offset > last, "{offset} of {topic} after {last}");
        // What lies between came through another topic.
        let state = cluster.state();
        for skipped in &state.logs[&topic].messages[last as usize..offset as usize - 1] {
            let id = skipped["id"].as_str().expect("it has an id");
            assert!(self.ids.contains(id), "{id} of {topic} is missing without a word");
        }
    }

    /// Listens until all of `last` came.
    async fn listen(&mut self, messages: &mut Subscription, cluster: &Cluster, last: &[String]) {
        while !last.iter().all(|last| self.ids.contains(last)) {
            match timeout(LONG, messages.recv()).await.expect("it comes") {
                Ok(message) => self.message(&message, cluster),
                Err(RecvError::Lost(lost)) => {
                    self.losses += 1;
                    self.lost.insert(lost.topic.to_string());
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
    /// Listens while something is sent, and until the last messages of that came.
    async fn listen_while(
        &mut self,
        messages: &mut Subscription,
        cluster: &Cluster,
        sending: impl Future<Output = Vec<String>>,
    ) {
        let never = ["none has this id".to_owned()];
        let last = tokio::select! {
            last = sending => last,
            () = self.listen(messages, cluster, &never) => unreachable!("it never comes"),
        };
        self.listen(messages, cluster, &last).await;
    }
}

fn patient() -> ClientConfig {
    config().delivery_timeout(LONG).send_timeout(LONG).event_queue(4, 1_000_000)
}

/// A client that follows all topics, and everything that it hears.
async fn follower(config: ClientConfig, cluster: &Cluster) -> (Client, Subscription) {
    let (dialer, pipes) = network(64 * 1024);
    let tasks = TaskTracker::new();
    tasks.spawn(admit(cluster.clone(), pipes));
    let messages = config.on("order:new");
    let client = Client::start_over(config, dialer);
    while client.subscribe(["route:1", "route:2"]).await.is_err() {}
    (client, messages)
}

/// Sends numbers to topics, some to two at once. Without faults of the cluster's memory nothing may be lost.
async fn send_numbers(client: &Client, rng: &mut Rng) {
    for number in 0..MESSAGES {
        let first = TOPICS[rng.usize(0..TOPICS.len())];
        let sent = match rng.u8(0..4) {
            0 => client.emit("order:new", number, ["route:1", "route:2"]).await,
            _ => client.emit("order:new", number, first).await,
        };
        sent.expect("there is room");
        sleep(Duration::from_millis(rng.u64(0..400))).await;
    }
}

/// Sends one last message to each topic, which are stored behind all others; their ids.
async fn send_last(client: &Client) -> Vec<String> {
    let mut ids = Vec::new();
    for topic in TOPICS {
        let sent = client.emit_acked_within(LONG, "order:new", MESSAGES, topic).await;
        ids.push(sent.expect("the cluster is calm").id);
    }
    ids
}

fn numbers(cluster: &Cluster, topic: &str) -> Vec<u64> {
    let state = cluster.state();
    state.logs[topic].messages.iter().filter_map(|message| message["data"].as_u64()).collect()
}

async fn weather(seed: u64) {
    let _seed = Seed(seed);
    let cluster = Cluster::new(seed, 12);
    let (client, mut messages) = follower(patient().jitter_seed(seed), &cluster).await;
    let (mut rng, mut heard) = (Rng::with_seed(seed), Heard::default());
    // It followed them from the first message on, or the checks would excuse what it missed.
    assert!(cluster.state().logs.values().all(|log| log.messages.is_empty()));
    let mut events = client.events();
    let sending = async {
        send_numbers(&client, &mut rng).await;
        cluster.calm();
        send_last(&client).await
    };
    heard.listen_while(&mut messages, &cluster, sending).await;

    assert_eq!(heard.losses, 0, "the cluster forgot nothing");
    let mut stored = BTreeSet::new();
    for topic in TOPICS {
        let numbers = numbers(&cluster, topic);
        assert!(numbers.is_sorted_by(|a, b| a < b), "{topic}: {numbers:?}");
        stored.extend(numbers);
    }
    assert_eq!(stored, (0..=MESSAGES).collect(), "everything is stored");
    assert_eq!(heard.ids.len() as u64, MESSAGES + TOPICS.len() as u64, "everything is heard");
    while let Ok(Some(event)) = timeout(Duration::ZERO, events.next()).await {
        assert!(!matches!(event, Event::Undelivered { .. } | Event::Lost(_)), "{event:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_repeated_or_out_of_order_in_bad_weather() {
    for seed in 0..100 {
        weather(seed).await;
    }
}

async fn forgetful(seed: u64) -> u64 {
    let _seed = Seed(seed);
    let cluster = Cluster::new(seed, 8);
    let (client, mut messages) = follower(patient().jitter_seed(seed), &cluster).await;
    let (mut rng, mut heard) = (Rng::with_seed(seed), Heard::default());
    let forgetting = async {
        let mut rng = Rng::with_seed(seed + 1_000);
        for _ in 0..6 {
            sleep(Duration::from_millis(rng.u64(0..4_000))).await;
            if rng.u8(0..3) == 0 { cluster.forget_all() } else { cluster.trim(TOPICS[rng.usize(0..3)]) }
        }
    };
    let sending = async {
        tokio::join!(send_numbers(&client, &mut rng), forgetting);
        cluster.calm();
        send_last(&client).await
    };
    heard.listen_while(&mut messages, &cluster, sending).await;
    heard.losses
}

#[tokio::test(start_paused = true)]
async fn what_a_cluster_forgets_is_declared_and_nothing_else() {
    let mut losses = 0;
    for seed in 0..100 {
        losses += forgetful(seed).await;
    }
    assert!(losses > 100, "{losses}: it forgets often enough to mean something");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_an_acknowledgement_is_told_the_truth() {
    let mut outcomes = [0; 3];
    for seed in 0..60 {
        let _seed = Seed(seed);
        let cluster = Cluster::new(seed, 40);
        let (client, messages) = follower(patient().jitter_seed(seed), &cluster).await;
        drop(messages);
        for number in 0..20 {
            let sent = client.emit_acked_within(Duration::from_secs(4), "order:new", number, "route:1").await;
            let told = match &sent {
                Ok(_) => 0,
                Err(RequestError::NotSent(_)) => 1,
                Err(RequestError::Unknown(_)) => 2,
                Err(error) => panic!("{error}"),
            };
            outcomes[told] += 1;
            let stored = numbers(&cluster, "route:1").contains(&number);
            assert!(told == 2 || stored == (told == 0), "{number} is stored: {stored}, told {sent:?}");
        }
        sleep(LONG).await;
        for message in &cluster.state().logs["route:1"].messages {
            assert_ne!(message["data"], Value::Null);
        }
    }
    assert!(outcomes.iter().all(|&times| times > 20), "every outcome occurs: {outcomes:?}");
}
