//! Keeps this node's rows in the directory: refreshes each before it expires, writes all of them anew in a new
//! generation, and removes those that could not be removed in time.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, sleep};

use super::pace;
use crate::hub::Connection;
use crate::node::Node;
use crate::roster;

/// Rows per batch, where many are to be written soon.
const BATCH_ROWS: usize = 256;
/// The same where there is time: a fraction of a millisecond for each.
const REFRESHED_IN_A_ROW: usize = 16;
/// Those of one second are refreshed within this time, and what Redis takes for them.
const REFRESHED_WITHIN: Duration = Duration::from_millis(500);
/// How soon rows of a new generation that could not be written are tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// Late removals per second: far more than leave in ordinary times.
const LATE_PER_SECOND: usize = 512;

pub(super) async fn run(node: Arc<Node>) {
    // Each row is refreshed when half its time to live is over; a share of them comes up each second.
    let turns = (node.settings.row_ttl.as_secs() / 2).max(1);
    let mut tick = pace::each_second();
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut turn = 0;
    while node.halt.run_until_cancelled(tick.tick()).await.is_some() {
        if !*node.cluster.reachable.borrow() {
            continue;
        }
        turn = (turn + 1) % turns;
        let mut due = Vec::new();
        node.hub.walk(|number| number % turns == turn, |connection| due.push(Arc::clone(connection))).await;
        node.halt.run_until_cancelled(refresh(&node, &due)).await;
        remove_late(&node).await;
    }
}

async fn refresh(node: &Node, due: &[Arc<Connection>]) {
    let (rows, pause) = pace::rows(due, REFRESHED_IN_A_ROW, REFRESHED_WITHIN);
    for row in rows {
        write_batch(node, row).await;
        sleep(pause).await;
    }
}

/// Writes every connection's row in the generation that has just begun; the next one begins this anew. What could not
/// be written is tried again at once: nobody finds these connections before.
pub(super) async fn rewrite_all(node: Arc<Node>) {
    let generation = node.cluster.node.generation();
    let all = node.hub.snapshot();
    tracing::info!(generation, rows = all.len(), "writing all rows in the new generation");
    for batch in all.chunks(BATCH_ROWS) {
        while node.cluster.node.generation() == generation && !write_batch(&node, batch).await {
            if node.halt.run_until_cancelled(sleep(AGAIN)).await.is_none() {
                return;
            }
        }
    }
}

pub(super) async fn write(node: &Node, connections: &[Arc<Connection>]) {
    for batch in connections.chunks(BATCH_ROWS) {
        write_batch(node, batch).await;
    }
}

/// Whether the rows were written. Whoever leaves meanwhile stays gone: the directory does not undo a removal.
async fn write_batch(node: &Node, batch: &[Arc<Connection>]) -> bool {
    let here = batch.iter().filter(|connection| node.hub.holds(connection));
    let rows: Vec<_> = here.map(|connection| roster::current_row(node, connection)).collect();
    if rows.is_empty() {
        return true;
    }
    let written = node.cluster.directory.refresh(&rows).await;
    if let Err(error) = &written {
        tracing::warn!(%error, rows = rows.len(), "rows not refreshed; they are tried again");
    }
    written.is_ok()
}

async fn remove_late(node: &Arc<Node>) {
    for row in node.late_leavers.take(LATE_PER_SECOND) {
        node.metrics.directory.late_unregisters.inc();
        roster::unregister(node, row).await;
    }
}
