//! Revoking: written down for all nodes, which are told at once, and look by themselves again and again. One task of
//! the node reads what changed, and closes whom it concerns.

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

/// Takes no token of theirs any more that was issued up to now, in the whole cluster, and closes their connections.
///
/// # Errors
/// As [`Revocations::revoke`](signalbox_registry::Revocations::revoke).
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
    learn(node, tenant, vec![revocation]).await;
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
            learn(node, &tenant, node.cluster.revocations.list(&tenant).await?).await;
        }
        now_seen.insert(tenant, version);
    }
    *seen = now_seen;
    node.trust.look_done();
    Ok(())
}

/// Remembers revocations, and closes whom they concern.
async fn learn(node: &Node, tenant: &Tenant, revocations: Vec<Revocation>) {
    if !node.trust.learn(tenant, revocations) {
        return;
    }
    let mut revoked = Vec::new();
    node.hub.for_each(|connection| {
        if connection.profile().tenant == *tenant && is_revoked(node, connection) {
            revoked.push(Arc::clone(connection));
        }
    });
    node.metrics.trust.revoked.inc_by(revoked.len() as u64);
    close_in_turn(&revoked, CloseCode::Unauthenticated).await;
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
