//! Removes what dead nodes left behind. Every node tries; the registry lets one at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::node::Node;
use crate::roster;

/// A dead node's rows are to be gone 5 s after its lease ended.
const SWEEP_EVERY: Duration = Duration::from_secs(2);

pub(super) async fn run(node: Arc<Node>) {
    let mut tick = interval(SWEEP_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while node.halt.run_until_cancelled(tick.tick()).await.is_some() {
        match node.cluster.lease.sweep().await {
            Ok(swept) if swept.leases > 0 => {
                node.metrics.directory.swept_rows.inc_by(swept.rows);
                tracing::info!(leases = swept.leases, rows = swept.rows, "swept the rows of ended leases");
                roster::announce_departed(&node, &swept.departed_services).await;
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "sweep put off"),
        }
    }
}
