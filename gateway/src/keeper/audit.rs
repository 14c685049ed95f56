//! Compares what the directory holds of this node with its sockets, and sets right what differs.
//!
//! Whoever is just coming or going stands on one side only, so a difference counts when two passes in a row have
//! seen it. A pass goes at a bounded pace: it takes as long as it takes.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use signalbox_protocol::ConnectionId;
use signalbox_registry::directory::PageAfter;
use signalbox_registry::{Error, Row};
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::rows;
use crate::hub::Connection;
use crate::node::Node;
use crate::roster;
use crate::stop::StopPhase;

/// Sockets per question: a question, and its pause, take a thousandth of Redis, those for pages three, and whoever has a
/// message meanwhile waits for a fraction of a millisecond.
const STEP_SOCKETS: usize = 16;
/// Between two questions: 320 sockets a second.
const PAUSE: Duration = Duration::from_millis(50);
/// Differences of one kind that are looked at in one pass. Beyond that something is wrong that no audit mends.
const SUSPECTS_MAX: usize = 10_000;

pub(super) async fn run(node: Arc<Node>) {
    let mut tick = interval(node.settings.audit_interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut audit =
        Audit { node: Arc::clone(&node), stale: Suspects::default(), missing: Suspects::default() };
    while node.halt.run_until_cancelled(tick.tick()).await.is_some() {
        // A node that stops takes its rows away in its own order.
        if !*node.cluster.reachable.borrow() || *node.phase.borrow() != StopPhase::Serving {
            continue;
        }
        let Some(passed) = node.halt.run_until_cancelled(audit.pass()).await else { return };
        node.metrics.directory.count_audit(&passed);
        if let Err(error) = passed {
            tracing::debug!(%error, "audit of the directory put off");
        }
    }
}

/// Who stood on one side only in the pass before.
#[derive(Debug, Default)]
struct Suspects(HashSet<ConnectionId>);

impl Suspects {
    /// Takes who stands on one side only now; those of them who did before as well are no coincidence.
    fn confirm<T>(&mut self, now: Vec<T>, id: impl Fn(&T) -> &ConnectionId) -> Vec<T> {
        let before = std::mem::take(&mut self.0);
        self.0.extend(now.iter().map(|suspect| id(suspect).clone()));
        now.into_iter().filter(|suspect| before.contains(id(suspect))).collect()
    }
}

struct Audit {
    node: Arc<Node>,
    stale: Suspects,
    missing: Suspects,
}

impl Audit {
    async fn pass(&mut self) -> Result<(), Error> {
        let generation = self.node.cluster.node.generation();
        let (rows, stale) = self.rows_without_socket().await?;
        let missing = self.sockets_without_row().await?;
        if self.node.cluster.node.generation() != generation {
            // All rows are being written anew.
            return Ok(());
        }
        let stale = self.stale.confirm(stale, |row| &row.connection_id);
        let missing = self.missing.confirm(missing, |connection| connection.id());
        self.node.metrics.directory.show(rows, stale.len(), missing.len());
        if !stale.is_empty() || !missing.is_empty() {
            tracing::warn!(stale = stale.len(), missing = missing.len(), "directory and sockets differ");
        }
        stale.into_iter().for_each(|row| self.node.late_leavers.push(row));
        rows::write(&self.node, &missing).await;
        Ok(())
    }

    /// How many rows there are, and those whose connection is not here.
    async fn rows_without_socket(&self) -> Result<(usize, Vec<Row>), Error> {
        let (mut count, mut stale) = (0, Vec::new());
        let mut next = Some(PageAfter::default());
        while let Some(after) = next {
            let page = self.node.cluster.directory.own_page(&self.node.cluster.node, after).await?;
            count += page.rows.len();
            let not_here =
                page.rows.into_iter().filter(|row| self.node.hub.get(&row.connection_id).is_none());
            stale.extend(not_here.take(SUSPECTS_MAX.saturating_sub(stale.len())));
            next = page.next;
            if next.is_some() {
                sleep(PAUSE).await;
            }
        }
        Ok((count, stale))
    }

    /// The connections that are here and can't be found. Who comes meanwhile has the next pass.
    async fn sockets_without_row(&self) -> Result<Vec<Arc<Connection>>, Error> {
        let (mut missing, mut after) = (Vec::new(), None);
        let newest = self.node.hub.newest();
        while after < newest {
            if after.is_some() {
                sleep(PAUSE).await;
            }
            let some = self.node.hub.page(after, STEP_SOCKETS);
            let Some(last) = some.last() else { break };
            after = Some(last.number());
            let suspects = self.without_row(&some).await?;
            missing.extend(suspects.take(SUSPECTS_MAX.saturating_sub(missing.len())).cloned());
        }
        Ok(missing)
    }

    async fn without_row<'a>(
        &self,
        some: &'a [Arc<Connection>],
    ) -> Result<impl Iterator<Item = &'a Arc<Connection>>, Error> {
        let rows: Vec<_> =
            some.iter().map(|connection| roster::current_row(&self.node, connection)).collect();
        let unfound = self.node.cluster.directory.unfound(&rows).await?;
        let unfound: HashSet<_> = unfound.into_iter().map(|row| row.connection_id).collect();
        let still_here = |connection: &&Arc<Connection>| self.node.hub.holds(connection);
        Ok(some.iter().filter(move |connection| unfound.contains(connection.id())).filter(still_here))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_was_seen_twice_in_a_row_counts() {
        let mut suspects = Suspects::default();
        let mut pass = |now: &[&str]| {
            let now: Vec<_> = now.iter().map(|id| ConnectionId::try_new(id).unwrap()).collect();
            let confirmed = suspects.confirm(now, |id| id);
            confirmed.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(pass(&["n-1", "n-2"]), [""; 0]);
        assert_eq!(pass(&["n-2", "n-3"]), ["n-2"]);
        assert_eq!(pass(&[]), [""; 0]);
        assert_eq!(pass(&["n-2"]), [""; 0]);
    }
}
