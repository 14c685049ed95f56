//! Keeps the node's lease: begins it, renews it, and when it was lost takes the next generation.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use signalbox_registry::lease::{RENEW_EVERY, Renewal};
use signalbox_registry::{Error, NodeCard};
use tokio::time::{MissedTickBehavior, interval};

use super::rows;
use crate::node::Node;
use crate::stats::CardStats;

/// How soon a node without a lease tries again.
const RETRY_EVERY: Duration = Duration::from_millis(250);

pub(super) async fn run(node: Arc<Node>) {
    let mut reachable = node.cluster.reachable.clone();
    let mut renewal = interval(RENEW_EVERY);
    renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut retry = interval(RETRY_EVERY);
    retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let held = node.lease_held.load(Ordering::Acquire);
        tokio::select! {
            () = node.halt.cancelled() => return,
            _ = renewal.tick() => {}
            _ = retry.tick(), if !held => {}
            // Redis came back: whether our lease outlived that is the first thing to know. A closed watch
            // (the back end is gone) never fires again.
            Ok(()) = reachable.changed() => {}
        }
        let kept =
            if held && !node.late_leavers.overflowed() { renew(&node).await } else { begin(&node).await };
        match kept {
            Ok(()) => look_at_peers(&node).await,
            Err(error) => tracing::debug!(%error, "lease not renewed"),
        }
    }
}

async fn renew(node: &Arc<Node>) -> Result<(), Error> {
    match node.cluster.lease.renew(&card(node)).await {
        Ok(Renewal::Held) => Ok(()),
        Ok(Renewal::Lost) => {
            tracing::warn!(
                generation = node.cluster.node.generation(),
                "lease lost; taking the next generation"
            );
            node.lease_held.store(false, Ordering::Release);
            begin(node).await
        }
        Err(error) => Err(error),
    }
}

/// Begins the next generation: the lease and the group subscriptions first, the rows in the background.
/// Local delivery never stops meanwhile.
async fn begin(node: &Arc<Node>) -> Result<(), Error> {
    let generation = node.cluster.node.next_generation();
    node.cluster.lease.acquire(&card(node)).await?;
    node.lease_held.store(true, Ordering::Release);
    tracing::info!(generation, node = %node.cluster.node.id(), "lease begun");
    if generation > 1 {
        node.metrics.rejoins.inc();
        node.cluster.bus.resubscribe();
        node.tasks.spawn(rows::rewrite_all(Arc::clone(node)));
    }
    Ok(())
}

async fn look_at_peers(node: &Node) {
    match node.cluster.lease.live().await {
        Ok(cards) => node.peers.store(Arc::new(cards)),
        Err(error) => tracing::debug!(%error, "the other nodes' cards could not be read"),
    }
}

/// This node's card, with its numbers as of now.
pub(crate) fn card(node: &Node) -> NodeCard {
    let stats = CardStats::of(node);
    node.rates.measure(stats.messages_in, stats.messages_out);
    NodeCard {
        node_id: node.cluster.node.id().clone(),
        generation: node.cluster.node.generation(),
        address: node.settings.address.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at_ms: node.started_at_ms,
        stats: serde_json::to_string(&stats).unwrap_or_default(),
    }
}
