//! How many connections the cluster believes to have: what any node finds in Redis.

use anyhow::{Context, ensure};
use serde::Deserialize;

use crate::cluster::Cluster;
use crate::http;

/// The part of `presence:members` that is wanted.
#[derive(Deserialize)]
struct Members {
    count: u64,
}

/// How many agents of this type are registered in Redis, as the first node tells.
///
/// # Errors
/// When it does not.
pub(super) async fn registered(cluster: &Cluster, agent_type: &str) -> anyhow::Result<u64> {
    let node = cluster.nodes.first().context("there is a node")?;
    let path = format!("/api/presence/agent_type:{agent_type}?tenant={}&limit=1", Cluster::TENANT);
    let (status, body) = http::get(&node.address, &path).await.context("who is there can't be asked")?;
    ensure!(status == 200, "a node does not tell who is there: {status} {body}");
    Ok(serde_json::from_str::<Members>(&body)?.count)
}
