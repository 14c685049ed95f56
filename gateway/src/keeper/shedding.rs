//! Bounds what waits for all clients together: beyond the bound those for whom most waits have to go.
//!
//! Looked at once a second. They are told to come back (4413), and what waited for them is freed at once; what was stored
//! of it they get when they resume.

use std::cmp::Reverse;
use std::sync::Arc;

use signalbox_protocol::close::CloseCode;

use crate::hub::Connection;
use crate::node::Node;

/// Closes the worst until the bound is kept. `seen`: about how many bytes wait; if they are few enough nobody is looked at again.
pub(super) fn shed(node: &Node, seen: usize) {
    let most = node.settings.outboxes_bytes_max;
    if most == 0 || seen <= most {
        return;
    }
    let mut waiting = 0;
    node.hub.for_each(|connection| waiting += connection.outbox().bytes());
    if waiting <= most {
        return;
    }
    let mut excess = waiting - most;
    let mut shed = 0_u64;
    for (bytes, connection) in worst_first(node) {
        if excess == 0 {
            break;
        }
        excess = excess.saturating_sub(bytes);
        shed += u64::from(give_up(node, &connection));
    }
    node.metrics.sheds.inc_by(shed);
    tracing::warn!(connections = shed, bytes = waiting, "too much waited for all clients together");
}

/// Everybody for whom something waits, also those who are being closed: their memory counts as well.
fn worst_first(node: &Node) -> Vec<(usize, Arc<Connection>)> {
    let mut all = Vec::new();
    node.hub.for_each(|connection| match connection.outbox().bytes() {
        0 => {}
        bytes => all.push((bytes, Arc::clone(connection))),
    });
    all.sort_unstable_by_key(|(bytes, _)| Reverse(*bytes));
    all
}

/// Closes the connection, and frees what waits for it; false if it was closing already.
fn give_up(node: &Node, connection: &Connection) -> bool {
    let outbox = connection.outbox();
    let was_open = outbox.closing().is_none();
    outbox.close(CloseCode::SlowConsumer);
    node.metrics.count_unwritten(outbox.clear());
    was_open
}

#[cfg(test)]
mod tests;
