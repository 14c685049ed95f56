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
use crate::stop::StopPhase;

/// How soon a node without a lease tries again.
const RETRY_EVERY: Duration = Duration::from_millis(250);

pub(super) async fn run(node: Arc<Node>) {
    let mut reachable = node.cluster.reachable.clone();
    let mut renewal = interval(RENEW_EVERY);
    renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut retry = interval(RETRY_EVERY);
    retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut phase = node.phase.subscribe();
    let mut keeper = LeaseKeeper { node, is_used_up: true };
    loop {
        let held = keeper.node.lease_held.load(Ordering::Acquire);
        tokio::select! {
            () = keeper.node.halt.cancelled() => return,
            _ = renewal.tick() => {}
            _ = retry.tick(), if !held => {}
            // Redis came back: whether our lease outlived that is the first thing to know. A closed watch
            // (the back end is gone) never fires again.
            Ok(()) = reachable.changed() => {}
            // The card tells how far a stop has got.
            Ok(()) = phase.changed() => {}
            // The bus had to be connected anew: perhaps to another Redis, which knows no lease of ours.
            () = keeper.node.router.reconnected() => {}
        }
        if *keeper.node.phase.borrow() >= StopPhase::Releasing {
            // The node gives its lease up itself.
            continue;
        }
        let rows_lost = keeper.node.late_leavers.overflowed();
        let kept = if held && !rows_lost { keeper.renew().await } else { keeper.begin().await };
        match kept {
            Ok(()) => look_at_peers(&keeper.node).await,
            Err(error) => tracing::debug!(%error, "lease not renewed"),
        }
    }
}

struct LeaseKeeper {
    node: Arc<Node>,
    /// The current generation had a lease, or may have had one: the next lease is another generation's.
    is_used_up: bool,
}

impl LeaseKeeper {
    async fn renew(&mut self) -> Result<(), Error> {
        match self.node.cluster.lease.renew(&card(&self.node)).await {
            Ok(Renewal::Held) => Ok(()),
            Ok(Renewal::Lost) => {
                let generation = self.node.cluster.node.generation();
                tracing::warn!(generation, "lease lost; taking the next generation");
                self.begin().await
            }
            Err(error) => Err(error),
        }
    }

    /// Begins the next generation: the lease and the group subscriptions first, the rows in the background.
    /// Local delivery never stops meanwhile.
    async fn begin(&mut self) -> Result<(), Error> {
        let node = &self.node;
        node.lease_held.store(false, Ordering::Release);
        if *node.phase.borrow() >= StopPhase::Releasing {
            // The node gave its lease up itself.
            return Ok(());
        }
        if std::mem::take(&mut self.is_used_up) {
            node.cluster.node.next_generation();
        }
        let begun = node.cluster.lease.acquire(&card(node)).await;
        self.is_used_up = !matches!(begun, Err(Error::Unavailable(_)));
        begun?;
        node.lease_held.store(true, Ordering::Release);
        let generation = node.cluster.node.generation();
        tracing::info!(generation, node = %node.cluster.node.id(), "lease begun");
        if generation > 1 {
            node.metrics.rejoins.inc();
            node.cluster.bus.resubscribe();
            node.tasks.spawn(rows::rewrite_all(Arc::clone(node)));
        }
        Ok(())
    }
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
