//! The lives of tokens: clients are told before theirs ends, and closed with 4401 when it does. One look a second at
//! every connection, so that none needs a timer, nor a place in a queue.

use std::sync::Arc;
use std::time::Duration;

use signalbox_protocol::close::CloseCode;
use signalbox_protocol::control::TokenExpiring;
use tokio::time::{MissedTickBehavior, interval};

use super::pace::close_in_turn;
use super::revocations::is_revoked;
use crate::hub::Connection;
use crate::node::Node;
use crate::rights::Grant;
use crate::ws::answer;
use crate::ws::outbox::Keep;

/// Runs until the node halts. Where nobody has a token there is nothing to look at.
pub(crate) async fn run(node: Arc<Node>) {
    let watch = async {
        if !node.settings.take_tokens() {
            std::future::pending::<()>().await;
        }
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut since = node.trust.now();
        loop {
            tick.tick().await;
            let look = Look { since, now: node.trust.now(), notice: node.settings.expiry_notice.as_secs() };
            since = look.now;
            let ended = look.at_all(&node).await;
            node.metrics.trust.expired.inc_by(ended.len() as u64);
            close_in_turn(&ended, CloseCode::Unauthenticated).await;
        }
    };
    node.halt.run_until_cancelled(watch).await;
}

/// Begins to hold a connection to its grant, which is new. What was revoked while it was let in, is noticed here.
pub fn begin(node: &Node, connection: &Connection) {
    if connection.outbox().closing().is_some() {
        return;
    }
    if is_revoked(node, connection) {
        node.metrics.trust.revoked.inc();
        return connection.outbox().close(CloseCode::Unauthenticated);
    }
    let Some(grant) = connection.grant() else { return };
    let now = node.trust.now();
    if now >= notice_at(&grant, connection, node.settings.expiry_notice.as_secs()) {
        tell(connection, &grant, now);
    }
}

/// One look; what happens after `since` and up to `now` is its business. Seconds since 1970.
#[derive(Debug, Clone, Copy)]
struct Look {
    since: u64,
    now: u64,
    notice: u64,
}

impl Look {
    /// Tells those whose token ends soon. Whose token has ended, are for the caller to close. Who is being closed is
    /// left alone: its farewell takes more than one look.
    async fn at_all(self, node: &Node) -> Vec<Arc<Connection>> {
        let mut ended = Vec::new();
        let leeway = node.settings.verifier.expected.leeway;
        let look_at = |connection: &Arc<Connection>| {
            let Some(grant) = connection.grant().filter(|_| connection.outbox().closing().is_none()) else {
                return;
            };
            if self.now >= grant.expires_at.saturating_add(leeway) {
                ended.push(Arc::clone(connection));
            } else if (self.since + 1..=self.now).contains(&notice_at(&grant, connection, self.notice)) {
                tell(connection, &grant, self.now);
            }
        };
        node.hub.walk(|_| true, look_at).await;
        ended
    }
}

/// When a client is told: as long before the end as is configured, and up to a quarter of that earlier, so that
/// tokens that were issued in one moment are not renewed in one.
fn notice_at(grant: &Grant, connection: &Connection, notice: u64) -> u64 {
    let earlier = connection.number() % (notice / 4 + 1);
    grant.expires_at.saturating_sub(notice + earlier)
}

/// May be dropped like any ephemeral message: a slow reader is closed at the end, and comes back with another token.
fn tell(connection: &Connection, grant: &Grant, now: u64) {
    let told = TokenExpiring { expires_in_seconds: grant.expires_at.saturating_sub(now) };
    let frame = answer::reply("system:token_expiring", None, &told);
    connection.outbox().push(frame, Keep::Ephemeral { conflation: 0 });
}
