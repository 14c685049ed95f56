//! Live numbers of this node and of the cluster, derived from the sockets and the nodes' cards.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use signalbox_identity::Verb;
use signalbox_protocol::control::{ClusterStats, LockStats, NodeStats};
use signalbox_registry::NodeCard;
use signalbox_registry::lock::LockCounters;
use tokio::time::Instant;

use crate::node::Node;
use crate::rights::{NODES, Rights};

/// Pillars are free labels: at most this many are told one by one, the rest as `other`.
const PILLARS_MAX: usize = 100;

/// What a node writes on its card for the others: the summable part of its numbers.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct CardStats {
    /// Open connections.
    pub connections: u64,
    /// The same by agent type.
    pub by_agent_type: BTreeMap<String, u64>,
    /// The same by pillar.
    pub by_pillar: BTreeMap<String, u64>,
    /// Messages read from sockets since the start.
    pub messages_in: u64,
    /// Messages written to sockets since the start.
    pub messages_out: u64,
    /// How far its stop has got; empty from nodes that do not tell.
    #[serde(default)]
    pub phase: String,
}

impl CardStats {
    /// Counts the node's connections. Walks all of them: for the card and for people, not for each message.
    pub fn of(node: &Node) -> Self {
        let mut stats = Self {
            messages_in: node.metrics.messages_received.messages(),
            messages_out: node.metrics.messages_sent.messages(),
            phase: node.phase.borrow().as_str().to_owned(),
            ..Self::default()
        };
        node.hub.for_each(|connection| {
            stats.connections += 1;
            let profile = connection.profile();
            add(&mut stats.by_agent_type, profile.agent.agent_type(), usize::MAX);
            if let Some(pillar) = profile.pillar.as_deref() {
                add(&mut stats.by_pillar, pillar, PILLARS_MAX);
            }
        });
        stats
    }
}

fn add(counts: &mut BTreeMap<String, u64>, label: &str, labels_max: usize) {
    if let Some(count) = counts.get_mut(label) {
        *count += 1;
    } else if counts.len() < labels_max {
        counts.insert(label.to_owned(), 1);
    } else {
        *counts.entry("other".to_owned()).or_default() += 1;
    }
}

/// Messages per second between the last two renewals of the lease.
#[derive(Debug, Default)]
pub struct Rates(Mutex<Option<Measured>>);

#[derive(Debug, Clone, Copy)]
struct Measured {
    at: Instant,
    messages_in: u64,
    messages_out: u64,
    in_per_second: f64,
    out_per_second: f64,
}

impl Rates {
    /// Takes new totals.
    pub fn measure(&self, messages_in: u64, messages_out: u64) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = Instant::now();
        let (in_per_second, out_per_second) = last.map_or((0.0, 0.0), |last| {
            let seconds = (at - last.at).as_secs_f64().max(0.001);
            let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
            (rate(messages_in, last.messages_in), rate(messages_out, last.messages_out))
        });
        *last = Some(Measured { at, messages_in, messages_out, in_per_second, out_per_second });
    }

    fn get(&self) -> (f64, f64) {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.map_or((0.0, 0.0), |last| (last.in_per_second, last.out_per_second))
    }
}

/// The numbers of this node and of the cluster for somebody with these rights. Pillars are the tenants' own words: only
/// whoever looks after all tenants sees them.
pub fn shown_to(node: &Node, rights: &Rights) -> (NodeStats, ClusterStats) {
    let (mut of_node, mut of_cluster) = (of_node(node), of_cluster(node));
    if !rights.cover(Verb::Admin, NODES) {
        of_node.connections_by_pillar.clear();
        of_cluster.connections_by_pillar.clear();
    }
    (of_node, of_cluster)
}

/// This node's numbers, now.
pub fn of_node(node: &Node) -> NodeStats {
    let counts = CardStats::of(node);
    let (messages_in_per_second, messages_out_per_second) = node.rates.get();
    NodeStats {
        node_id: node.cluster.node.id().clone(),
        connections: counts.connections,
        connections_by_agent_type: counts.by_agent_type,
        connections_by_pillar: counts.by_pillar,
        messages_in: counts.messages_in,
        messages_out: counts.messages_out,
        messages_in_per_second,
        messages_out_per_second,
        locks: locks(&node.cluster.locks.counters()),
        uptime_seconds: node.uptime.seconds().into(),
    }
}

fn locks(counters: &LockCounters) -> LockStats {
    LockStats { granted: counters.grants, denied: counters.denials, waiting: counters.waiting }
}

/// The cluster's numbers, from the cards of the live nodes; at most a renewal (1.5 s) old.
pub fn of_cluster(node: &Node) -> ClusterStats {
    sum(&node.peers.load())
}

fn sum(cards: &[NodeCard]) -> ClusterStats {
    let mut total = ClusterStats { nodes: cards.len() as u64, ..ClusterStats::default() };
    for card in cards {
        // A node of another version may write what we can't read; its connections are then not counted.
        let stats: CardStats = serde_json::from_str(&card.stats).unwrap_or_default();
        total.connections += stats.connections;
        total.messages_in += stats.messages_in;
        total.messages_out += stats.messages_out;
        merge(&mut total.connections_by_agent_type, stats.by_agent_type);
        merge(&mut total.connections_by_pillar, stats.by_pillar);
    }
    total
}

fn merge(into: &mut BTreeMap<String, u64>, from: BTreeMap<String, u64>) {
    for (label, count) in from {
        *into.entry(label).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use signalbox_protocol::NodeId;

    use super::*;

    fn card(stats: &str) -> NodeCard {
        NodeCard {
            node_id: NodeId::try_new("n").unwrap(),
            generation: 1,
            address: String::new(),
            version: String::new(),
            started_at_ms: 0,
            stats: stats.to_owned(),
        }
    }

    #[test]
    fn the_cluster_is_the_sum_of_its_cards() {
        let one = r#"{"connections":2,"by_agent_type":{"driver":2},"by_pillar":{"a":1},"messages_in":5,"messages_out":6}"#;
        let two = r#"{"connections":1,"by_agent_type":{"driver":1},"by_pillar":{},"messages_in":1,"messages_out":1}"#;
        let total = sum(&[card(one), card(two), card("not ours")]);
        assert_eq!((total.nodes, total.connections, total.messages_in, total.messages_out), (3, 3, 6, 7));
        assert_eq!(total.connections_by_agent_type, BTreeMap::from([("driver".to_owned(), 3)]));
        assert_eq!(total.connections_by_pillar, BTreeMap::from([("a".to_owned(), 1)]));
    }

    #[test]
    fn free_labels_are_bounded() {
        let mut counts = BTreeMap::new();
        (0..150).for_each(|number| add(&mut counts, &format!("p{number}"), PILLARS_MAX));
        assert_eq!(counts.len(), PILLARS_MAX + 1);
        assert_eq!(counts["other"], 50);
    }

    #[tokio::test(start_paused = true)]
    async fn rates_are_per_second_between_two_looks() {
        let rates = Rates::default();
        rates.measure(100, 10);
        tokio::time::advance(std::time::Duration::from_secs(2)).await;
        rates.measure(300, 10);
        assert_eq!(rates.get(), (100.0, 0.0));
    }
}
