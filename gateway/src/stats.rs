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
    /// The node's numbers, now.
    pub fn of(node: &Node) -> Self {
        let census = node.hub.census();
        let by_agent_type = census.by_agent_type().into_iter().map(|(name, count)| (name.into(), count));
        Self {
            connections: node.hub.len() as u64,
            by_agent_type: by_agent_type.collect(),
            by_pillar: largest(census.by_pillar(), PILLARS_MAX),
            messages_in: node.metrics.messages_received.messages(),
            messages_out: node.metrics.messages_sent.messages(),
            phase: node.phase.borrow().as_str().to_owned(),
        }
    }
}

/// The labels with most connections one by one, the rest as `other`.
fn largest(mut counts: Vec<(Box<str>, u64)>, labels_max: usize) -> BTreeMap<String, u64> {
    counts.sort_unstable_by(|(one, few), (other, many)| many.cmp(few).then_with(|| one.cmp(other)));
    let rest = counts.split_off(labels_max.min(counts.len()));
    let mut told: BTreeMap<String, u64> =
        counts.into_iter().map(|(label, count)| (label.into(), count)).collect();
    if !rest.is_empty() {
        *told.entry("other".to_owned()).or_default() += rest.iter().map(|(_, count)| count).sum::<u64>();
    }
    told
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
    use crate::roster;
    use crate::testing::{join, lone_node};

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
    fn of_too_many_labels_the_largest_are_told() {
        let counts = |numbers: std::ops::Range<u64>| -> Vec<(Box<str>, u64)> {
            numbers.map(|number| (format!("p{number}").into(), number)).collect()
        };
        let told = largest(counts(1..151), PILLARS_MAX);
        assert_eq!(told.len(), PILLARS_MAX + 1);
        assert_eq!((told["p150"], told["p51"], told.get("p50")), (150, 51, None));
        assert_eq!(told["other"], (1..51).sum::<u64>());
        assert_eq!(largest(counts(1..101), PILLARS_MAX).len(), PILLARS_MAX);
    }

    #[tokio::test]
    async fn counts_follow_who_comes_and_goes() {
        let node = lone_node().await;
        let all = [
            join(&node, "agent_type=vehicle&agent_id=1&pillar=a").await,
            join(&node, "agent_type=vehicle&agent_id=2").await,
            join(&node, "agent_type=driver&agent_id=1&pillar=a").await,
        ];
        let told = |node: &Node| {
            let stats = CardStats::of(node);
            (stats.connections, stats.by_agent_type, stats.by_pillar)
        };
        let labels =
            |of: &[(&str, u64)]| of.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        assert_eq!(told(&node), (3, labels(&[("driver", 1), ("vehicle", 2)]), labels(&[("a", 2)])));
        roster::leave(&node, &all[0]).await;
        node.hub.remove(&all[0]);
        assert_eq!(told(&node), (2, labels(&[("driver", 1), ("vehicle", 1)]), labels(&[("a", 1)])), "once");
        roster::leave(&node, &all[2]).await;
        assert_eq!(told(&node), (1, labels(&[("vehicle", 1)]), labels(&[])));
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
