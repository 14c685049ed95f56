//! Nodes in memory that keep durable logs and speak the wire to the letter, and that fail as a seed tells them to:
//! they cut, close, refuse, skip, repeat, forget, and lose answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use fastrand::Rng;
use serde_json::{Map, Value, json};
use tokio::io::DuplexStream;
use tokio::sync::watch;

use crate::fake_node::{Peer, welcome};
use crate::pipes::Arrival;

pub(crate) const OWN_TOPIC: &str = "vehicle:V1";

/// Close codes after which a client comes back.
const PASSING: [u16; 7] = [1001, 1011, 1012, 1013, 4408, 4413, 4429];

/// What all nodes share.
#[derive(Clone)]
pub(crate) struct Cluster {
    state: Arc<Mutex<State>>,
    changed: watch::Sender<u64>,
}

pub(crate) struct State {
    pub(crate) logs: BTreeMap<String, Log>,
    rng: Rng,
    /// In per cent of all that a node does.
    faults: u32,
}

#[derive(Default)]
pub(crate) struct Log {
    pub(crate) epoch: u64,
    /// The messages up to this number are no longer kept.
    pub(crate) trimmed: u64,
    /// Number 1 and what follows it.
    pub(crate) messages: Vec<Value>,
}

/// The connection is over.
struct Over;

impl Log {
    pub(crate) fn top(&self) -> u64 {
        self.messages.len() as u64
    }

    fn position(&self, offset: u64) -> Value {
        json!({"epoch": self.epoch.to_string(), "offset": offset})
    }

    /// How it goes on behind a position, and from which number.
    fn resume(&self, position: &Value) -> (Value, u64) {
        let offset = position["offset"].as_u64().expect("a number");
        let (recovered, reason, from) = if position["epoch"].as_str() != Some(&self.epoch.to_string()) {
            (false, json!("epoch"), self.top())
        } else if offset < self.trimmed {
            (false, json!("trimmed"), self.trimmed)
        } else {
            (true, Value::Null, offset)
        };
        let told = json!({"recovered": recovered, "reason": reason, "epoch": self.epoch.to_string(),
            "offset": from, "replayed": self.top() - from});
        (told, from)
    }
}

impl Cluster {
    pub(crate) fn new(seed: u64, faults: u32) -> Self {
        let state = State { logs: BTreeMap::new(), rng: Rng::with_seed(seed), faults };
        Self { state: Arc::new(Mutex::new(state)), changed: watch::Sender::new(0) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with it")
    }

    /// No more faults.
    pub(crate) fn calm(&self) {
        self.state().faults = 0;
    }

    /// Forgets all but the newest message of a topic.
    pub(crate) fn trim(&self, topic: &str) {
        let mut state = self.state();
        let log = state.logs.entry(topic.to_owned()).or_default();
        log.trimmed = log.top().saturating_sub(1);
    }

    /// Forgets everything, as a Redis that is restarted without its data does.
    pub(crate) fn forget_all(&self) {
        for log in self.state().logs.values_mut() {
            *log = Log { epoch: log.epoch + 1, ..Log::default() };
        }
        self.changed.send_modify(|version| *version += 1);
    }

    /// One client comes to one node.
    pub(crate) async fn serve(self, arrival: Arrival) {
        if self.fails() {
            return arrival.refuse("503 Service Unavailable\r\nRetry-After: 1").await;
        }
        let (mut peer, asked) = arrival.accept().await;
        let resumes = asked.query.contains("resume=1");
        let mut node = Node { cluster: self, cursors: BTreeMap::new() };
        let top = node.cluster.state().logs.entry(OWN_TOPIC.to_owned()).or_default().top();
        let position = node.cluster.state().logs[OWN_TOPIC].position(top);
        let mut greeting = welcome();
        greeting["data"]["positions"] = json!({OWN_TOPIC: position});
        peer.send(greeting).await;
        if !resumes {
            node.follow(OWN_TOPIC, top);
        }
        let Err(Over) = node.run(&mut peer).await;
    }

    fn fails(&self) -> bool {
        let mut state = self.state();
        let faults = state.faults;
        state.rng.u32(0..100) < faults
    }

    fn roll(&self, sides: usize) -> usize {
        self.state().rng.usize(0..sides)
    }
}

/// One connection.
struct Node {
    cluster: Cluster,
    /// For each topic that the client follows: the life of its log, and the number of the last message sent.
    cursors: BTreeMap<String, (u64, u64)>,
}

impl Node {
    fn follow(&mut self, topic: &str, from: u64) {
        let epoch = self.cluster.state().logs.entry(topic.to_owned()).or_default().epoch;
        self.cursors.insert(topic.to_owned(), (epoch, from));
    }

    async fn run(&mut self, peer: &mut Peer<DuplexStream>) -> Result<std::convert::Infallible, Over> {
        let mut changed = self.cluster.changed.subscribe();
        loop {
            tokio::select! {
                message = peer.hear() => self.answer(peer, message.ok_or(Over)?).await?,
                _ = changed.changed() => {}
            }
            self.deliver(peer).await?;
        }
    }

    /// Sends what the client does not have, or part of it.
    async fn deliver(&mut self, peer: &mut Peer<DuplexStream>) -> Result<(), Over> {
        for (topic, (epoch, cursor)) in &mut self.cursors {
            loop {
                let (told, next) = {
                    let state = self.cluster.state();
                    let log = &state.logs[topic];
                    let declared =
                        (log.epoch != *epoch).then(|| log.resume(&json!({"epoch": "?", "offset": 0})));
                    *epoch = log.epoch;
                    (declared, log.messages.get(*cursor as usize).cloned())
                };
                if let Some((told, from)) = told {
                    peer.tell(json!({"type": "system:resumed", "data": {"topics": {topic.as_str(): told}}}))
                        .await?;
                    *cursor = from;
                    continue;
                }
                let Some(mut message) = next else { break };
                *cursor += 1;
                message["topic"] = json!(topic);
                message["offset"] = json!(*cursor);
                let copies = if self.cluster.fails() { self.cluster.roll(4) } else { 1 };
                for _ in 0..copies {
                    peer.tell(message.clone()).await?;
                }
                if copies == 3 {
                    return end(&self.cluster, peer).await;
                }
            }
        }
        Ok(())
    }

    async fn answer(&mut self, peer: &mut Peer<DuplexStream>, message: Value) -> Result<(), Over> {
        let id = message["correlationId"].as_str().or(message["id"].as_str()).unwrap_or_default().to_owned();
        let reply = |kind: &str, data: Value| json!({"type": kind, "correlationId": id, "data": data});
        let fails = self.cluster.fails();
        match message["type"].as_str().unwrap_or_default() {
            "system:resume" if fails => match self.cluster.roll(3) {
                0 => end(&self.cluster, peer).await,
                1 => Ok(()),
                _ => peer.tell(reply("system:error", fault("unavailable"))).await,
            },
            "system:resume" => {
                let topics = self.resume(&message["data"]["positions"]);
                peer.tell(reply("system:resumed", json!({"topics": topics}))).await
            }
            "system:subscribe" if fails => end(&self.cluster, peer).await,
            "system:subscribe" => {
                let topics = self.subscribe(&message["data"]["topics"]);
                peer.tell(reply("system:ack", json!({"topics": topics}))).await
            }
            "order:new" => {
                let whim = if fails { self.cluster.roll(6) } else { 6 };
                if matches!(whim, 1 | 3 | 6) {
                    self.store(&message);
                }
                match whim {
                    0 | 1 => end(&self.cluster, peer).await,
                    2 | 3 => peer.tell(reply("system:error", fault("outcome_unknown"))).await,
                    4 => peer.tell(reply("system:error", fault("unavailable"))).await,
                    5 => peer.tell(reply("system:error", fault("rate_limited"))).await,
                    _ => peer.tell(reply("system:ack", json!({"id": message["id"], "positions": {}}))).await,
                }
            }
            other => panic!("no client sends {other}"),
        }
    }

    fn resume(&mut self, positions: &Value) -> Map<String, Value> {
        let mut topics = Map::new();
        for (topic, position) in positions.as_object().expect("they are an object") {
            let (told, from) = self.cluster.state().logs.entry(topic.clone()).or_default().resume(position);
            self.follow(topic, from);
            topics.insert(topic.clone(), told);
        }
        topics
    }

    fn subscribe(&mut self, named: &Value) -> Map<String, Value> {
        let mut topics = Map::new();
        for topic in named.as_array().expect("they are a list").iter().filter_map(Value::as_str) {
            let (position, top) = {
                let mut state = self.cluster.state();
                let log = state.logs.entry(topic.to_owned()).or_default();
                (log.position(log.top()), log.top())
            };
            self.follow(topic, top);
            topics.insert(topic.to_owned(), position);
        }
        topics
    }

    /// Appends to every target's log, once for each id.
    fn store(&self, message: &Value) {
        let one = std::slice::from_ref(&message["target"]);
        let targets = message["target"].as_array().map_or(one, Vec::as_slice);
        for topic in targets.iter().filter_map(Value::as_str) {
            let mut state = self.cluster.state();
            let log = state.logs.entry(topic.to_owned()).or_default();
            if !log.messages.iter().any(|stored| stored["id"] == message["id"]) {
                let mut stored = message.clone();
                stored["source"] = json!("vehicle:V1");
                log.messages.push(stored);
            }
        }
        self.cluster.changed.send_modify(|version| *version += 1);
    }
}

fn fault(code: &str) -> Value {
    json!({"code": code, "message": "not now", "retryable": true, "details": null})
}

/// Ends the connection, in one of the ways in which a client comes back.
async fn end(cluster: &Cluster, peer: &mut Peer<DuplexStream>) -> Result<(), Over> {
    if let Some(code) = PASSING.get(cluster.roll(2 * PASSING.len())) {
        peer.shut(*code).await;
    }
    Err(Over)
}

impl Peer<DuplexStream> {
    /// As [`Peer::send`], to a client that may have gone.
    async fn tell(&mut self, message: Value) -> Result<(), Over> {
        self.try_send(message).await.then_some(()).ok_or(Over)
    }
}
