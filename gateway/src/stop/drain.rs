//! A node's way from serving to gone. Run once, by the gateway; see [`StopPhase`] for the order.
//!
//! Everything that waits here ends with the time that the stop may take, or when somebody cuts it short.

use std::sync::Arc;
use std::time::Duration;

use signalbox_protocol::close::CloseCode;
use signalbox_protocol::control::{DrainReason, Draining};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::StopPhase;
use crate::hub::Connection;
use crate::node::Node;
use crate::roster;
use crate::ws::answer;
use crate::ws::outbox::Keep;

/// How often it is looked whether the last connection is gone.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// What telling one connection costs is small; after so many the connections themselves get their turn.
const TOLD_AT_ONCE: usize = 256;
/// How long who is left may take once the time is over.
const CUT_WAIT: Duration = Duration::from_millis(500);
/// How long removing the last rows may take.
const UNREGISTER_WAIT: Duration = Duration::from_secs(1);
/// How long releasing the lease may take.
const RELEASE_WAIT: Duration = Duration::from_secs(1);
/// How long the end of all tasks may take, of HTTP requests that are under way for one.
const TASKS_WAIT: Duration = Duration::from_millis(500);
/// These come out of the time of a stop, but never more than half of it.
const CLEARING_UP: Duration = Duration::from_secs(3);

/// Of the time that a stop may take, what is left for its clients to be seen off; the rest is for clearing up.
pub fn time_to_part(stop_timeout: Duration) -> Duration {
    stop_timeout - CLEARING_UP.min(stop_timeout / 2)
}

/// Stops a node in order. `close_port` ends the accepting of connections.
pub async fn drain(node: &Arc<Node>, close_port: &CancellationToken) {
    let patience = Patience { node, until: Instant::now() + time_to_part(node.settings.stop.timeout) };
    if part(node, &patience).await.is_none() {
        cut(node).await;
    }
    node.enter(StopPhase::Unregistering);
    if timeout(UNREGISTER_WAIT, unregister_rest(node)).await.is_err() {
        tracing::warn!("some rows were not removed; they are void without the lease");
    }
    node.enter(StopPhase::Releasing);
    close_port.cancel();
    release(node).await;
    node.halt.cancel();
    node.tasks.close();
    if timeout(TASKS_WAIT, node.tasks.wait()).await.is_err() {
        tracing::warn!(tasks = node.tasks.len(), "tasks cut off");
    }
    node.enter(StopPhase::Stopped);
}

/// Sees every connection off; `None` when there was no time for all.
async fn part(node: &Arc<Node>, patience: &Patience<'_>) -> Option<()> {
    node.enter(StopPhase::NotReady);
    if !node.settings.embedded {
        patience.wait(sleep(node.settings.stop.balancer_wait)).await?;
    }
    node.enter(StopPhase::Refusing);
    node.enter(StopPhase::Announcing);
    patience.wait(tell_all(node, patience.until)).await?;
    node.enter(StopPhase::Closing);
    patience.wait(close_all(node)).await?;
    node.enter(StopPhase::Flushing);
    patience.wait(last_is_gone(node)).await
}

/// How long a stop waits.
struct Patience<'a> {
    node: &'a Node,
    until: Instant,
}

impl Patience<'_> {
    /// What `work` comes to, or `None`: the time is over, or somebody is in a hurry.
    async fn wait<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = timeout_at(self.until, work) => done.ok(),
            () = self.node.stop.hurried() => None,
        }
    }
}

/// Tells every connection, without keeping the others of this thread waiting.
async fn tell_all(node: &Arc<Node>, until: Instant) {
    let all = node.hub.snapshot();
    let needed = node.departures.time_for(all.len());
    if Instant::now() + needed > until {
        tracing::warn!(connections = all.len(), ?needed, "not all can be closed at the set rate in time");
    }
    for some in all.chunks(TOLD_AT_ONCE) {
        some.iter().for_each(|connection| tell(node, connection, node.stop.reason()));
        tokio::task::yield_now().await;
    }
}

/// Tells a connection that came while the node drains; to be called once it is welcomed.
pub fn tell_newcomer(node: &Node, connection: &Arc<Connection>) {
    if *node.phase.borrow() >= StopPhase::Announcing {
        tell(node, connection, node.stop.reason());
    }
}

/// Gives a connection its place in the line and tells it when to connect again; once.
pub(super) fn tell(node: &Node, connection: &Arc<Connection>, reason: DrainReason) {
    if connection.outbox().closing().is_some() {
        return;
    }
    let Some(stay) = node.departures.join(connection) else { return };
    node.metrics.count_departure(reason);
    // Rounded down: the socket is not closed before.
    let reconnect_in_ms = u64::try_from(stay.as_millis()).unwrap_or(u64::MAX);
    let draining = Draining { reconnect_in_ms, reason };
    // A slow reader may miss it, and is closed all the same.
    let frame = answer::reply("system:draining", None, &draining);
    node.metrics.count_push(connection.outbox().push(frame, Keep::Ephemeral { conflation: 0 }));
}

/// Closes one after the other, until nobody is left in line and nobody can come any more.
async fn close_all(node: &Node) {
    node.departures.begin();
    loop {
        // In this order: who was under way is in line once nobody is.
        let nobody_comes = node.admission.under_way() == 0;
        match node.departures.next() {
            Some(departure) if node.hub.holds(&departure.connection) => {
                sleep_until(departure.turn).await;
                departure.connection.outbox().close(CloseCode::ServiceRestart);
                node.departures.served(&departure);
            }
            Some(departure) => node.departures.left(&departure),
            None if nobody_comes => return,
            None => node.admission.idle().await,
        }
    }
}

/// Resolves when every connection is out of the hub: its socket is closed.
async fn last_is_gone(node: &Node) {
    while !node.hub.is_empty() {
        sleep(LOOK_EVERY).await;
    }
}

/// Closes who is left, all at once: they know when to connect again, unless even telling them was cut short.
async fn cut(node: &Node) {
    node.enter(StopPhase::Cutting);
    close_at_once(node);
    if timeout(CUT_WAIT, last_is_gone(node)).await.is_err() {
        tracing::warn!(connections = node.hub.len(), "connections cut off");
    }
}

/// Also wakes those who are closing, so that they see how far the stop has got.
fn close_at_once(node: &Node) {
    node.hub.for_each(|connection| connection.outbox().close(CloseCode::ServiceRestart));
}

/// Each connection's task removes its own row, and waits for its peer no longer; then those that could not be
/// removed when their connections went, if Redis is there.
async fn unregister_rest(node: &Arc<Node>) {
    close_at_once(node);
    node.sockets.close();
    node.sockets.wait().await;
    // Each once: one that can't be removed now either is swept when the lease is over. Trying again at once would never
    // end where the refusal comes at once.
    for row in node.late_leavers.take(usize::MAX) {
        if !*node.cluster.reachable.borrow() {
            return;
        }
        node.metrics.directory.late_unregisters.inc();
        roster::unregister(node, row).await;
    }
}

/// Ends the node's lease; it was renewed until now.
async fn release(node: &Node) {
    let release = node.cluster.lease.release(node.cluster.node.id(), node.cluster.node.generation());
    if !matches!(timeout(RELEASE_WAIT, release).await, Ok(Ok(()))) {
        tracing::warn!("the lease was not released; it ends by itself");
    }
}

#[cfg(test)]
mod tests;
