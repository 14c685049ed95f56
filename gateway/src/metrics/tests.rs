//! Whatever is not delivered to a client is counted once, with its reason, whichever way it came.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use signalbox_protocol::close::CloseCode;
use signalbox_protocol::control::Position;
use signalbox_registry::Logged;
use signalbox_registry::memory::MemoryCluster;

use super::*;
use crate::hub::{Connection, Delivery};
use crate::node::{Node, Settings};
use crate::roster;
use crate::testing::{default_settings, join, node_in, queued, tenant, topic};
use crate::ws::answer;
use crate::ws::outbox::{Bounds, Pushed};

/// Messages that wait for the vehicle at most.
const ROOM: usize = 40;

/// What happens to a vehicle that does not read.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// So many events come that replace each other.
    Positions(usize),
    /// So many events that don't.
    Events(usize),
    /// So many stored messages.
    Stored(usize),
    /// So many answers.
    Answers(usize),
    /// It is to be closed.
    Close(CloseCode),
    /// It is gone.
    Leave,
}

struct Vehicle {
    node: Arc<Node>,
    connection: Arc<Connection>,
    /// Where `order:1` stands.
    at: Position,
}

impl Vehicle {
    async fn arrive() -> Self {
        let outbox = Bounds { messages_max: ROOM, bytes_max: 1 << 20 };
        let node = node_in(&MemoryCluster::new(), "n1", Settings { outbox, ..default_settings() }).await;
        let connection = join(&node, "agent_type=vehicle&agent_id=V").await;
        queued(&connection);
        node.hub.join(&connection, &topic("order:1"), None);
        let at = node.tails.heads(vec![(tenant("default"), topic("order:1"))]).await.unwrap().remove(0);
        Self { node, connection, at }
    }

    async fn undergo(&mut self, step: Step) {
        match step {
            Step::Positions(count) => (0..count).for_each(|_| self.event(7)),
            Step::Events(count) => (0..count).for_each(|_| self.event(0)),
            Step::Stored(count) => (0..count).for_each(|_| self.stored()),
            Step::Answers(count) => (0..count).for_each(|_| {
                answer::push(&self.connection, &self.node.metrics, answer::reply("a:b", None, &json!(1)));
            }),
            Step::Close(code) => self.connection.outbox().close(code),
            Step::Leave => roster::leave(&self.node, &self.connection).await,
        }
    }

    fn event(&self, conflation: u64) {
        let (tenant, frame) = (tenant("default"), answer::reply("a:b", None, &json!(1)));
        let to = topic("vehicle:V");
        let delivery =
            Delivery { tenant: &tenant, topic: &to, conflation, frame: &frame, except: None, spared: None };
        self.node.hub.deliver(&delivery);
    }

    fn stored(&mut self) {
        self.at.offset += 1;
        let body = Bytes::from(format!(r#"{{"id":"{}","type":"order:new"}}"#, self.at.offset));
        let (tenant, topic) = (tenant("default"), topic("order:1"));
        self.node.tails.on_logged(Logged { tenant, topic, position: self.at.clone(), body });
    }

    /// Conflated, overflow, closing, and slow consumers.
    fn counted(&self) -> [u64; 4] {
        let Metrics { dropped_conflated, dropped_overflow, dropped_closing, log, .. } = &self.node.metrics;
        [dropped_conflated, dropped_overflow, dropped_closing, &log.slow_consumers]
            .map(|counter| counter.get())
    }
}

#[tokio::test(start_paused = true)]
async fn every_decision_about_a_slow_consumer_is_counted_with_its_reason() {
    use Step::{Answers, Close, Events, Leave, Positions, Stored};
    const RESTART: Step = Close(CloseCode::ServiceRestart);
    let cases: &[(&str, &[Step], [u64; 4])] = &[
        ("a moment behind", &[Positions(20), Events(5), Stored(5), Answers(2)], [0, 0, 0, 0]),
        ("positions under pressure", &[Positions(32), Positions(9)], [9, 0, 0, 0]),
        ("more events than there is room for", &[Events(ROOM + 5)], [0, 5, 0, 0]),
        ("events behind what may not be dropped", &[Answers(ROOM), Events(3)], [0, 3, 0, 0]),
        ("answers in place of events", &[Events(35), Answers(10)], [0, 5, 0, 0]),
        ("stored messages in place of events", &[Events(35), Stored(10)], [0, 5, 0, 0]),
        ("one answer too many", &[Answers(ROOM + 1)], [0, 0, 1, 1]),
        ("one stored message too many", &[Stored(ROOM + 1)], [0, 0, 1, 1]),
        ("what comes after that", &[Answers(ROOM + 1), Events(2), Stored(3), Answers(4)], [0, 0, 10, 1]),
        ("what comes after a close", &[Events(5), RESTART, Events(2), Stored(3), Answers(4)], [0, 0, 9, 0]),
        ("what nobody took", &[Events(5), Stored(2), Leave, Answers(1)], [0, 0, 8, 0]),
    ];
    for (what, steps, counted) in cases {
        let mut vehicle = Vehicle::arrive().await;
        for step in *steps {
            vehicle.undergo(*step).await;
        }
        assert_eq!(vehicle.counted(), *counted, "{what}");
    }
}

#[test]
fn a_scrape_shows_the_reasons() {
    let metrics = Metrics::new();
    metrics.count_push(Pushed::Displaced(2));
    metrics.count_push(Pushed::Closing);
    let families = metrics.registry.gather();
    let dropped = families.iter().find(|family| family.name() == "signalbox_messages_dropped_total").unwrap();
    let of_reason = |metric: &prometheus::proto::Metric| {
        (metric.get_label()[0].value().to_owned(), metric.get_counter().get_value() as u64)
    };
    let told: std::collections::BTreeMap<_, _> = dropped.get_metric().iter().map(of_reason).collect();
    let expected = [("closing", 1), ("conflated", 0), ("overflow", 2), ("unreachable", 0), ("unroutable", 0)];
    assert_eq!(told, expected.map(|(reason, count)| (reason.to_owned(), count)).into());
}
