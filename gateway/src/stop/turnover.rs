//! Who leaves a node that goes on: connections of a certain age, so that a node that was added gets its share of them.
//!
//! The heartbeat's task looks for them once a second, and serves the line in between; a drain takes the line over.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use signalbox_protocol::close::CloseCode;
use signalbox_protocol::control::DrainReason;
use tokio::time::{Instant, sleep_until};

use super::StopPhase;
use super::drain::tell;
use crate::hub::Connection;
use crate::node::Node;
use crate::spread::spread;

/// So many get a place in the line at one look; the others at the next ones.
pub(super) const TOLD_A_LOOK: usize = 4_096;
/// Who would be old within this time gets a place: two seconds may be lost to counting whole ones, one to the next look, and
/// half of one to the steps of a look.
const AHEAD_SECONDS: u32 = 4;

/// When a connection is old.
#[derive(Debug, Clone, Copy)]
pub struct MaxAge {
    /// None is older, unless more than the pace allows would have to go; zero: none is ever old.
    pub age: Duration,
    /// Some are old at less than that, by up to this part of it.
    pub dither_percent: u32,
}

impl MaxAge {
    /// The age in seconds at which the connection of this number is old; `None`: never. The ages of those that came
    /// one after the other lie evenly.
    fn of(self, number: u64) -> Option<u32> {
        if self.age.is_zero() {
            return None;
        }
        let age = self.age.as_secs();
        let dither = age * u64::from(self.dither_percent) / 100;
        let age = age - spread(number, dither);
        Some(u32::try_from(age).unwrap_or(u32::MAX))
    }
}

/// Those that are old, as one look finds them.
#[derive(Debug)]
pub struct Old {
    max_age: MaxAge,
    /// In seconds of the node's uptime.
    now: u32,
    found: Vec<Arc<Connection>>,
}

impl Old {
    /// Nobody yet.
    pub fn at_this_look(node: &Node) -> Self {
        Self { max_age: node.settings.max_age, now: node.uptime.seconds(), found: Vec::new() }
    }

    /// Takes this one, if it is old and there is room.
    pub fn look_at(&mut self, node: &Node, connection: &Arc<Connection>) {
        let Some(most) = self.max_age.of(connection.number()) else { return };
        let age = self.now.saturating_sub(connection.traffic.opened_at.load(Relaxed));
        let stays = || connection.outbox().closing().is_none() && !node.departures.has(connection);
        if age + AHEAD_SECONDS >= most && self.found.len() < TOLD_A_LOOK && stays() {
            self.found.push(Arc::clone(connection));
        }
    }

    /// Tells them, and gives them a place in the line; unless the node stops and tells all, or they could not come back.
    pub fn tell(self, node: &Node) {
        if !is_served(node) {
            return;
        }
        for connection in self.found {
            tell(node, &connection, DrainReason::Balance);
            node.departures.begin();
        }
    }
}

/// Closes who is in line, each in its turn, while the node serves.
///
/// # Cancel safety
/// Nobody is out of the line before it is closed.
pub async fn serve(node: &Node) -> Infallible {
    loop {
        match node.departures.next_turn().filter(|_| is_served(node)) {
            Some(turn) => sleep_until(turn).await,
            // Somebody gets a place between two calls of this.
            None => pending().await,
        }
        close_next(node);
    }
}

fn close_next(node: &Node) {
    let is_due = is_served(node) && node.departures.next_turn().is_some_and(|turn| turn <= Instant::now());
    let Some(departure) = is_due.then(|| node.departures.next()).flatten() else { return };
    if node.hub.holds(&departure.connection) {
        departure.connection.outbox().close(CloseCode::ServiceRestart);
        node.departures.served(&departure);
    } else {
        node.departures.left(&departure);
    }
}

/// Whether the line is served here: from refusing on it is the drain's. While Redis is away nobody leaves, since nobody
/// would be taken in.
pub(super) fn is_served(node: &Node) -> bool {
    *node.phase.borrow() < StopPhase::Refusing && node.can_register()
}

#[cfg(test)]
pub(super) mod tests;
