//! Who leaves a node that goes on because it has more connections than the others: the excess over its share, so that a
//! node that was added gets its own soon.
//!
//! Looked at by the heartbeat's task once a second, in the counts that nodes write on their cards anyway. Nodes must not
//! throw clients to and fro. So an excess has to last for a while, which each node draws anew; only the least that it was
//! meanwhile goes, so that clients who are on their way move nobody else; and where they come back, as a balancer that
//! sends each to the same node makes them, the next look waits twice as long.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use signalbox_protocol::control::DrainReason;
use signalbox_registry::NodeCard;
use tokio::time::Instant;

use super::StopPhase;
use super::drain::tell;
use super::turnover::{TOLD_A_LOOK, is_served};
use crate::hub::Connection;
use crate::node::Node;

/// The longest that a node waits whose clients come back.
const PATIENCE_MAX: Duration = Duration::from_secs(3_600);

/// How many connections are a node's share.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    /// So much more than the mean of the nodes; zero: whatever it has is its share.
    pub over_mean_percent: u32,
    /// How long it has to have more, before some go; up to half as long again, as the dice fall.
    pub lasting: Duration,
}

impl Share {
    /// Of so many connections that so many nodes have together.
    fn of(self, connections: u64, nodes: u64) -> u64 {
        (connections * (100 + u64::from(self.over_mean_percent))).div_ceil(100 * nodes.max(1))
    }
}

/// What the looks at one node have shown.
#[derive(Debug)]
pub struct Balance {
    share: Share,
    excess: Option<Excess>,
    patience: Duration,
    sent: Option<Sent>,
}

/// What has been too much for a while.
#[derive(Debug)]
struct Excess {
    least: u64,
    counts_from: Instant,
}

/// Some were sent away.
#[derive(Debug)]
struct Sent {
    at: Instant,
    /// If more than this is too much the next time, they came back.
    hoped_for: u64,
}

impl Balance {
    /// Nothing was seen yet.
    pub fn new(share: Share) -> Self {
        Self { share, excess: None, patience: share.lasting, sent: None }
    }

    /// Looks once, and sends away who is too much.
    pub fn look(&mut self, node: &Node) {
        if self.share.over_mean_percent == 0 {
            return;
        }
        if let Some(excess) = self.weigh(excess(node, self.share), Instant::now()) {
            send_away(node, usize::try_from(excess).unwrap_or(usize::MAX));
        }
    }

    /// How many have to go now, of those who are too many.
    fn weigh(&mut self, excess: u64, now: Instant) -> Option<u64> {
        if excess == 0 {
            self.excess = None;
            return None;
        }
        let patience = self.patience;
        let counts_from = || now + patience.mul_f64(1.0 + fastrand::f64() / 2.0);
        let seen = self.excess.get_or_insert_with(|| Excess { least: excess, counts_from: counts_from() });
        seen.least = seen.least.min(excess);
        if now < seen.counts_from {
            return None;
        }
        let go = seen.least.min(TOLD_A_LOOK as u64);
        self.excess = None;
        self.patience = if self.came_back(excess, now) { self.longer() } else { self.share.lasting };
        self.sent = Some(Sent { at: now, hoped_for: excess - go / 4 });
        Some(go)
    }

    /// Whether more than three of four who were sent away the last time are too much again.
    fn came_back(&self, excess: u64, now: Instant) -> bool {
        self.sent.as_ref().is_some_and(|sent| now - sent.at < 4 * self.patience && excess > sent.hoped_for)
    }

    fn longer(&self) -> Duration {
        (self.patience * 2).min(PATIENCE_MAX.max(self.share.lasting))
    }
}

/// How many this node has beyond its share, without those who leave already. A node that stops has no share.
fn excess(node: &Node, share: Share) -> u64 {
    if !is_served(node) {
        return 0;
    }
    let here = node.hub.len() as u64;
    let others: Vec<u64> = node
        .peers
        .load()
        .iter()
        .filter(|card| card.node_id != *node.cluster.node.id())
        .filter_map(connections_of)
        .collect();
    if others.is_empty() {
        return 0;
    }
    let all = here + others.iter().sum::<u64>();
    let stay = here.saturating_sub(node.departures.placed() as u64);
    stay.saturating_sub(share.of(all, others.len() as u64 + 1))
}

/// How many a node has that will keep them; `None` if it stops, or writes what we can't read.
fn connections_of(card: &NodeCard) -> Option<u64> {
    #[derive(Deserialize)]
    struct Told {
        connections: u64,
        #[serde(default)]
        phase: String,
    }
    let told: Told = serde_json::from_str(&card.stats).ok()?;
    let serves = told.phase.is_empty() || told.phase == StopPhase::Serving.as_str();
    serves.then_some(told.connections)
}

/// Tells so many of those who have been here for longest, so that nobody goes twice before all have gone once.
fn send_away(node: &Node, many: usize) {
    let mut all: Vec<Arc<Connection>> = Vec::new();
    node.hub.for_each(|connection| {
        if connection.outbox().closing().is_none() && !node.departures.has(connection) {
            all.push(Arc::clone(connection));
        }
    });
    let many = many.min(all.len());
    if many < all.len() {
        all.select_nth_unstable_by_key(many, |connection| connection.number());
    }
    tracing::info!(connections = many, "this node has more than its share: some are sent to the others");
    for connection in &all[..many] {
        tell(node, connection, DrainReason::Balance);
    }
    node.departures.begin();
}

#[cfg(test)]
mod tests;
