//! A client that says things: durable ones until they are acknowledged, others once, some to one agent alone.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::follower::{ANSWER_WITHIN, TOPICS, at};
use crate::history::{Line, Who};
use crate::wire::Connection;
use crate::world::World;

/// Agents to whom something is said; nobody is the last one.
pub(crate) const AGENTS: [&str; 4] = ["driver:D0", "driver:D1", "driver:D2", "driver:nobody"];
/// Groups of agents.
const GROUP: &str = "agent_type:driver";

/// See the module.
pub(crate) struct Publisher {
    world: Arc<World>,
    who: Who,
    tenant: String,
    query: String,
    dice: Rng,
    connection: Option<Connection>,
    /// Counts its connections: what is said on one keeps its order.
    connections: u64,
    /// Counts all that it says.
    number: u64,
}

impl Publisher {
    pub(crate) fn new(world: &Arc<World>, tenant: &str, agent: &str) -> Self {
        let who = world.history.client(tenant, agent);
        let (kind, id) = agent.split_once(':').unwrap();
        Self {
            world: Arc::clone(world),
            who,
            tenant: tenant.to_owned(),
            query: format!("tenant={tenant}&agent_type={kind}&agent_id={id}&session_id=s{who}"),
            dice: world.dice(&format!("publisher {who}")),
            connection: None,
            connections: 0,
            number: 0,
        }
    }

    fn tell(&self, line: Line) {
        self.world.history.tell(self.who, line);
    }

    /// Says things until `calm`, and brings the last one to its end.
    pub(crate) async fn live(mut self, calm: Instant) {
        let mut joining = self.world.joining.subscribe();
        let world = Arc::clone(&self.world);
        while Instant::now() < calm {
            self.number += 1;
            let joined = tokio::select! {
                biased;
                Ok(()) = joining.changed() => Some(joining.borrow_and_update().clone()),
                () = world.pause(&mut self.dice, 700) => None,
            };
            match (joined, self.dice.u8(0..10)) {
                (Some(topic), _) => {
                    sleep(Duration::from_millis(self.dice.u64(0..8))).await;
                    self.store(&topic).await;
                }
                (None, 0..6) => {
                    let topic = self.any_topic();
                    self.store(&topic).await;
                }
                (None, 6..8) => self.hand().await,
                (None, _) => self.note().await,
            }
        }
        if let Some(connection) = self.connection.take() {
            self.tell(Line::Gone);
            connection.close().await;
        }
    }

    fn any_topic(&mut self) -> String {
        let topic = match self.dice.u8(0..4) {
            0 => AGENTS[self.dice.usize(0..AGENTS.len())],
            1 => GROUP,
            _ => TOPICS[self.dice.usize(0..TOPICS.len())],
        };
        topic.to_owned()
    }

    fn id(&self) -> String {
        format!("m{}-{}", self.who, self.number)
    }

    /// A durable message, to one topic or to two; said again until it is acknowledged.
    async fn store(&mut self, first: &str) {
        let targets = if self.dice.u8(0..8) == 0 { vec![first, "route:9"] } else { vec![first] };
        let message = json!({"type": "order:new", "id": self.id(), "target": targets, "data": {}});
        loop {
            let answer = self.ask(&message).await;
            if let Some(answer) = &answer
                && answer["type"] == "system:ack"
            {
                return self.acknowledged(&answer["data"]["positions"]);
            }
            if answer.is_some_and(|answer| !self.may_be_repeated(&answer)) {
                return;
            }
            self.world.pause(&mut self.dice, 800).await;
            if self.dice.u8(0..4) == 0 {
                self.part();
            }
        }
    }

    fn acknowledged(&self, positions: &Value) {
        for (topic, position) in positions.as_object().into_iter().flatten() {
            self.tell(Line::Acknowledged { topic: topic.clone(), at: at(position), id: self.id() });
        }
    }

    fn may_be_repeated(&self, answer: &Value) -> bool {
        let retryable = answer["data"]["retryable"] == true;
        if !retryable {
            self.world.history.blame(format!("a durable message was answered with {answer}"));
        }
        retryable
    }

    /// A passing message to one agent, of which it wants to know whether it got there.
    async fn hand(&mut self) {
        self.connected().await;
        let target = AGENTS[self.dice.usize(0..AGENTS.len())];
        let mut message = self.passing(target);
        message["metadata"] = json!({"ack": true});
        self.tell(Line::Asks { target: target.to_owned(), id: self.id() });
        let Some(answer) = self.ask(&message).await else { return };
        match (answer["type"].as_str(), answer["data"]["code"].as_str()) {
            (Some("system:ack"), _) => self.tell(Line::Answered { id: self.id(), done: true }),
            (_, Some("not_found")) => self.tell(Line::Answered { id: self.id(), done: false }),
            (_, Some("unavailable" | "outcome_unknown")) => {}
            _ => self.world.history.blame(format!("a message to {target} was answered with {answer}")),
        }
    }

    /// A passing message to anybody, of whose fate it hears nothing.
    async fn note(&mut self) {
        self.connected().await;
        let target = self.any_topic();
        let message = self.passing(&target);
        if !self.connected().await.send(&message).await {
            self.part();
        }
    }

    fn passing(&self, target: &str) -> Value {
        let sender = format!("{}-{}", self.who, self.connections);
        let data = json!({"tenant": self.tenant, "sender": sender, "number": self.number});
        json!({"type": "test:note", "id": self.id(), "target": target, "data": data})
    }

    /// Its connection; a new one to any node if it has none.
    async fn connected(&mut self) -> &mut Connection {
        while self.connection.is_none() {
            let up = self.world.up();
            let node = up[self.dice.usize(0..up.len())].clone();
            self.connection = Connection::open(&node, &self.query).await;
            match &self.connection {
                Some(_) => {
                    self.connections += 1;
                    self.tell(Line::Connected { node: node.name });
                }
                None => self.world.pause(&mut self.dice, 1_000).await,
            }
        }
        self.connection.as_mut().expect("it was just made")
    }

    fn part(&mut self) {
        if self.connection.take().is_some() {
            self.tell(Line::Gone);
        }
    }

    /// Asks; `None`: no answer came, and the connection is given up.
    async fn ask(&mut self, message: &Value) -> Option<Value> {
        let connection = self.connected().await;
        let answer = async {
            if !connection.send(message).await {
                return None;
            }
            loop {
                let heard = connection.next().await?;
                if heard["correlationId"] == message["id"] {
                    return Some(heard);
                }
            }
        };
        let answer = timeout(ANSWER_WITHIN, answer).await.ok().flatten();
        if answer.is_none() {
            self.part();
        }
        answer
    }
}
