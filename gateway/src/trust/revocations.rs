//! Revoking: written down for all nodes, which are told at once, and look by themselves again and again. One task of
//! the node reads what changed, and closes whom it concerns. On the node that is asked a task of the node's own closes them:
//! whoever asks may go before that is done.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use signalbox_protocol::Tenant;
use signalbox_protocol::close::CloseCode;
use signalbox_registry::revocation::Whom;
use signalbox_registry::{Destination, Error, Parcel, Revocation};
use tokio::time::sleep;

use super::pace::close_in_turn;
use crate::hub::Connection;
use crate::node::Node;

/// How revocations are kept and spread.
#[derive(Debug, Clone, Copy)]
pub struct RevocationSettings {
    /// As long as any token can be valid.
    pub kept: Duration,
    /// Most of one tenant.
    pub most: usize,
    /// How often a node looks for those that it was not told of.
    pub reread: Duration,
}

/// What a revocation came to.
#[derive(Debug)]
pub(crate) struct Told {
    /// The revocation.
    pub(crate) revocation: Revocation,
    /// How many other nodes it was sent to.
    pub(crate) nodes: usize,
}

/// Whom the tenant's revocations are too many for.
#[derive(Debug)]
pub(crate) struct TooMany;

/// Takes no token of theirs any more that was issued up to now, in the whole cluster, and begins to close their connections.
///
/// # Errors
/// As [`Revocations::revoke`](signalbox_registry::Revocations::revoke).
///
/// # Cancel safety
/// Dropped before it was written down, it may be so all the same; then this node, too, learns of it when it looks. What
/// comes after that can't be stopped halfway.
pub(crate) async fn revoke(
    node: &Arc<Node>,
    tenant: &Tenant,
    whom: Whom,
) -> Result<Result<Told, TooMany>, Error> {
    let RevocationSettings { kept, most, .. } = node.settings.revocations;
    let at = node.trust.now();
    let revocation = Revocation { whom, at, until: at + kept.as_secs() };
    if !node.cluster.revocations.revoke(tenant, &revocation, most).await? {
        return Ok(Err(TooMany));
    }
    let peers = node.peers.load();
    let others = peers.iter().map(|card| &card.node_id).filter(|id| *id != node.cluster.node.id());
    // Whom this does not reach, looks by itself.
    let told =
        others.filter(|id| node.cluster.bus.post(&Destination::Node((*id).clone()), Parcel::Revoked).is_ok());
    let told = Told { revocation: revocation.clone(), nodes: told.count() };
    let concerned = learn(node, tenant, vec![revocation]);
    node.tasks.spawn(async move { close_in_turn(&concerned, CloseCode::Unauthenticated).await });
    Ok(Ok(told))
}

/// The longest wait after a reading that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Runs until the node halts.
pub(crate) async fn run(node: Arc<Node>) {
    let keep = async {
        let mut seen = HashMap::new();
        loop {
            let reread = node.settings.revocations.reread;
            let again = match look(&node, &mut seen).await {
                Ok(()) => reread,
                Err(error) => {
                    tracing::debug!(%error, "revocations not read; they are read again soon");
                    reread.min(AFTER_FAILURE)
                }
            };
            tokio::select! {
                () = sleep(again) => {}
                () = node.router.revoked() => {}
            }
        }
    };
    node.halt.run_until_cancelled(keep).await;
}

/// Reads what has changed since the last time.
async fn look(node: &Node, seen: &mut HashMap<Tenant, u64>) -> Result<(), Error> {
    let versions = node.cluster.revocations.versions().await?;
    let mut now_seen = HashMap::with_capacity(versions.len());
    for (tenant, version) in versions {
        if seen.get(&tenant) != Some(&version) {
            let concerned = learn(node, &tenant, node.cluster.revocations.list(&tenant).await?);
            close_in_turn(&concerned, CloseCode::Unauthenticated).await;
        }
        now_seen.insert(tenant, version);
    }
    *seen = now_seen;
    node.trust.look_done();
    Ok(())
}

/// Remembers revocations. Whom they concern, and is not being closed anyway, is for the caller to close.
fn learn(node: &Node, tenant: &Tenant, revocations: Vec<Revocation>) -> Vec<Arc<Connection>> {
    let mut revoked = Vec::new();
    if !node.trust.learn(tenant, revocations) {
        return revoked;
    }
    node.hub.for_each(|connection| {
        let is_concerned = connection.profile().tenant == *tenant && is_revoked(node, connection);
        if is_concerned && connection.outbox().closing().is_none() {
            revoked.push(Arc::clone(connection));
        }
    });
    node.metrics.trust.revoked.inc_by(revoked.len() as u64);
    revoked
}

/// Whether the token of a connection was revoked, or, of one without, whoever it says it is since it came.
pub(super) fn is_revoked(node: &Node, connection: &Connection) -> bool {
    let profile = connection.profile();
    if !node.trust.has_revocations(&profile.tenant) {
        return false;
    }
    let since = match connection.grant() {
        Some(grant) => grant.issued_at,
        None => Some(profile.connected_at_ms / 1_000),
    };
    let subject = Whom::Subject(profile.subject().to_owned());
    let all = [Whom::Agent(profile.agent.clone()), subject, Whom::Session(profile.session_id())];
    node.trust.is_revoked(&profile.tenant, &all, since)
}
