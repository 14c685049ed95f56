//! What the nodes hold: to be the same before hostile clients and after them.

use std::time::Duration;

use anyhow::Context;
use tokio::time::{Instant, sleep};

use crate::cluster::Cluster;
use crate::http;
use crate::procfs;

/// How long descriptors and tasks may take to be what they were: longer than any deadline of a node for a socket.
const BACK_WITHIN: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the nodes hold, all together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) files: u64,
    pub(super) tasks: u64,
    /// Resident at most, ever.
    pub(super) peak_bytes: u64,
}

/// What the nodes hold once nothing of the clients is left, at most so long: no more than `like`, or twice the same.
pub(super) async fn settled(cluster: &Cluster, like: Option<Held>) -> anyhow::Result<Held> {
    let deadline = Instant::now() + BACK_WITHIN;
    let mut last = held(cluster).await?;
    while Instant::now() < deadline {
        sleep(LOOK_EVERY).await;
        let now = held(cluster).await?;
        let is_settled = match like {
            Some(like) => now.files <= like.files && now.tasks <= like.tasks,
            None => (now.files, now.tasks) == (last.files, last.tasks),
        };
        last = now;
        if is_settled {
            break;
        }
    }
    Ok(last)
}

pub(super) async fn held(cluster: &Cluster) -> anyhow::Result<Held> {
    let mut held = Held { files: 0, tasks: 0, peak_bytes: 0 };
    for pid in cluster.node_pids() {
        held.files += procfs::open_files(pid).context("a node ended")?;
        held.peak_bytes += procfs::peak_resident_bytes(pid).context("a node ended")?;
    }
    for node in &cluster.nodes {
        let (_, text) = http::get(&node.address, "/metrics").await?;
        held.tasks += http::metric(&text, "signalbox_tasks").context("no signalbox_tasks")? as u64;
    }
    Ok(held)
}
