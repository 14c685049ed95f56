//! A client that follows topics, leaves and comes back, and goes on where it was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::history::{At, Line, Who};
use crate::wire::Connection;
use crate::world::World;

/// Topics that may be joined.
pub(crate) const TOPICS: [&str; 3] = ["order:1", "order:2", "route:1"];
/// An answer that takes longer is given up, and the connection with it.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// See the module.
pub(crate) struct Follower {
    world: Arc<World>,
    who: Who,
    query: String,
    dice: Rng,
    /// Where it is in each topic that it follows, its own among them; as a client remembers it.
    places: BTreeMap<String, Value>,
    /// The topics that it joined.
    joined: BTreeSet<String>,
    /// Topics of which stored messages don't count yet, since it has not gone on there.
    held: BTreeSet<String>,
    requests: u64,
}

/// Why a follower stops to listen.
enum Whim {
    Over,
    Fancy,
    End,
}

impl Follower {
    pub(crate) fn new(world: &Arc<World>, tenant: &str, agent: &str) -> Self {
        let who = world.history.client(tenant, agent);
        let (kind, id) = agent.split_once(':').unwrap();
        let query = format!("tenant={tenant}&agent_type={kind}&agent_id={id}&session_id=s{who}");
        let dice = world.dice(&format!("follower {who}"));
        Self {
            world: Arc::clone(world),
            who,
            query,
            dice,
            places: BTreeMap::new(),
            joined: BTreeSet::new(),
            held: BTreeSet::new(),
            requests: 0,
        }
    }

    fn tell(&self, line: Line) {
        self.world.history.tell(self.who, line);
    }

    /// Until `end`; moves about until `calm`. Answers the connection that it has then.
    pub(crate) async fn live(mut self, calm: Instant, end: CancellationToken) -> (Who, Connection) {
        loop {
            let mut connection = self.come().await;
            if self.go_on(&mut connection).await && self.stay(&mut connection, calm, &end).await {
                return (self.who, connection);
            }
            self.tell(Line::Gone);
            if self.dice.bool() {
                connection.close().await;
            } else {
                drop(connection);
            }
            self.world.pause(&mut self.dice, 1_500).await;
        }
    }

    /// Connects to any node.
    async fn come(&mut self) -> Connection {
        if self.dice.u8(0..10) == 0 {
            // It was started anew, and remembers nothing.
            self.places.clear();
            self.joined.clear();
            self.tell(Line::Forgets);
        }
        loop {
            let up = self.world.up();
            let node = up[self.dice.usize(0..up.len())].clone();
            let resume = if self.places.is_empty() { "" } else { "&resume=1" };
            if let Some(connection) = Connection::open(&node, &format!("{}{resume}", self.query)).await {
                self.tell(Line::Connected { node: node.name });
                self.welcomed(&connection.welcome);
                return connection;
            }
            self.world.pause(&mut self.dice, 1_000).await;
        }
    }

    /// Own topics that it does not know yet start where the welcome says.
    fn welcomed(&mut self, welcome: &Value) {
        self.held = self.places.keys().cloned().collect();
        for (topic, position) in welcome["positions"].as_object().into_iter().flatten() {
            if !self.places.contains_key(topic) {
                self.start(topic, position);
            }
        }
    }

    fn start(&mut self, topic: &str, position: &Value) {
        self.tell(Line::Starts { topic: topic.to_owned(), at: at(position) });
        self.places.insert(topic.to_owned(), position.clone());
    }

    /// Resumes what it followed; the first time it joins something. False: it is no use.
    async fn go_on(&mut self, connection: &mut Connection) -> bool {
        if self.held.is_empty() {
            return self.join(connection).await;
        }
        let positions: BTreeMap<_, _> = self.held.iter().map(|topic| (topic, &self.places[topic])).collect();
        let request = json!({"type": "system:resume", "data": {"positions": positions}});
        let Some(answer) = self.ask(connection, request).await else { return false };
        if answer["type"] != "system:resumed" {
            return self.refused(&answer);
        }
        self.held.clear();
        self.resumed(&answer);
        true
    }

    /// Something could not be done; whether that may be.
    fn refused(&self, answer: &Value) -> bool {
        if answer["data"]["retryable"] != true {
            self.world.history.blame(format!("client {} was told {answer}", self.who));
        }
        false
    }

    async fn join(&mut self, connection: &mut Connection) -> bool {
        let topic = match self.dice.u8(0..3) {
            // One in which nobody has said anything.
            0 => format!("route:{}-{}", self.who, self.requests),
            _ => TOPICS[self.dice.usize(0..TOPICS.len())].to_owned(),
        };
        self.world.joining.send_replace(topic.clone());
        let request = json!({"type": "system:subscribe", "data": {"topics": [topic]}});
        let Some(answer) = self.ask(connection, request).await else { return false };
        if answer["type"] != "system:ack" {
            return self.refused(&answer);
        }
        if self.joined.insert(topic.clone()) {
            self.start(&topic, &answer["data"]["topics"][&topic]);
        }
        true
    }

    async fn leave(&mut self, connection: &mut Connection) -> bool {
        let Some(topic) = self.joined.pop_first() else { return true };
        let request = json!({"type": "system:unsubscribe", "data": {"topics": [topic]}});
        let answer = self.ask(connection, request).await;
        self.places.remove(&topic);
        self.tell(Line::Leaves { topic });
        answer.is_some_and(|answer| answer["type"] == "system:ack" || self.refused(&answer))
    }

    /// Listens, and does this and that; true at the end, false when the connection is over.
    async fn stay(&mut self, connection: &mut Connection, calm: Instant, end: &CancellationToken) -> bool {
        loop {
            let patience = Duration::from_millis(self.dice.u64(500..6_000));
            match self.listen(connection, patience, end).await {
                Whim::End => return true,
                Whim::Over => return false,
                Whim::Fancy if Instant::now() >= calm => {}
                Whim::Fancy => {
                    let stays = match self.dice.u8(0..4) {
                        0 => false,
                        1 => self.leave(connection).await,
                        _ => self.join(connection).await,
                    };
                    if !stays {
                        return false;
                    }
                }
            }
        }
    }

    async fn listen(
        &mut self,
        connection: &mut Connection,
        patience: Duration,
        end: &CancellationToken,
    ) -> Whim {
        let fancy = Instant::now() + patience;
        loop {
            tokio::select! {
                biased;
                message = connection.next() => match message {
                    Some(message) => self.hear(&message),
                    None => return Whim::Over,
                },
                () = end.cancelled() => return Whim::End,
                () = sleep_until(fancy) => return Whim::Fancy,
            }
        }
    }

    /// Asks, and hears what comes meanwhile; `None`: the connection is over, or of no use.
    async fn ask(&mut self, connection: &mut Connection, mut request: Value) -> Option<Value> {
        self.requests += 1;
        let id = format!("r{}-{}", self.who, self.requests);
        request["id"] = json!(id);
        if !connection.send(&request).await {
            return None;
        }
        let answer = async {
            loop {
                let message = connection.next().await?;
                if message["correlationId"] == *id {
                    return Some(message);
                }
                self.hear(&message);
            }
        };
        timeout(ANSWER_WITHIN, answer).await.ok()?
    }

    fn hear(&mut self, message: &Value) {
        let text = |field: &str| message[field].as_str().unwrap_or_default().to_owned();
        if message["type"] == "system:resumed" {
            return self.resumed(message);
        }
        if let Some(offset) = message["offset"].as_u64() {
            let topic = text("topic");
            if !self.held.contains(&topic) {
                self.tell(Line::Got { topic: topic.clone(), offset, id: text("id") });
                if let Some(place) = self.places.get_mut(&topic) {
                    place["offset"] = json!(offset);
                }
            }
        } else if message["type"] == "test:note" {
            let data = |field: &str| message["data"][field].as_str().unwrap_or_default().to_owned();
            let number = message["data"]["number"].as_u64().unwrap_or_default();
            let (topic, id) = (text("target"), text("id"));
            self.tell(Line::Heard { topic, tenant: data("tenant"), sender: data("sender"), number, id });
        }
    }

    fn resumed(&mut self, message: &Value) {
        for (topic, told) in message["data"]["topics"].as_object().into_iter().flatten() {
            if self.held.contains(topic) {
                continue;
            }
            let recovered = told["recovered"] == true;
            self.tell(Line::Resumed { topic: topic.clone(), recovered, at: at(told) });
            self.places.insert(topic.clone(), json!({"epoch": told["epoch"], "offset": told["offset"]}));
        }
    }
}

pub(crate) fn at(position: &Value) -> At {
    At::new(position["epoch"].as_str().unwrap_or_default(), position["offset"].as_u64().unwrap_or_default())
}
