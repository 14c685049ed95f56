//! The node's background tasks: its lease, its rows and their audit, the rows of the dead, its clients' heartbeats, its fleet's
//! clock, the keys that it believes, how long tokens live, whether its clients have everything that was stored, its spans,
//! and the writing of what is delivered.
//!
//! Eleven long-lived tasks and a flusher for each thread, each a loop that ends with the node's `halt` token. None of them holds up another:
//! a Redis that is away delays the lease and the rows, never the heartbeats.

mod audit;
mod heartbeat;
mod lease;
mod pace;
mod rows;
mod shedding;
mod sweeper;

use std::sync::Arc;

use tokio::task::JoinHandle;

pub(crate) use self::lease::card;
use crate::fleet;
use crate::node::Node;
use crate::{tls, trace, trust};

/// Starts them. None of them ends before the node halts.
pub fn spawn(node: &Arc<Node>) -> Vec<JoinHandle<()>> {
    let mut tasks = vec![
        node.tasks.spawn(heartbeat::run(Arc::clone(node))),
        node.tasks.spawn(lease::run(Arc::clone(node))),
        node.tasks.spawn(rows::run(Arc::clone(node))),
        node.tasks.spawn(sweeper::run(Arc::clone(node))),
        node.tasks.spawn(audit::run(Arc::clone(node))),
        node.tasks.spawn(fleet::expire(Arc::clone(node))),
        node.tasks.spawn(trust::keep_published_keys(Arc::clone(node))),
        node.tasks.spawn(trust::keep_lives(Arc::clone(node))),
        node.tasks.spawn(trust::keep_revocations(Arc::clone(node))),
        node.tasks.spawn(check_logs(Arc::clone(node))),
        node.tasks.spawn(trace::run(Arc::clone(node))),
    ];
    tasks.extend(node.flushers().iter().map(|flusher| {
        let flusher = Arc::clone(flusher);
        node.tasks.spawn(flusher.run(node.settings.gather, node.metrics.clone(), node.halt.clone()))
    }));
    let fresh = node.settings.tls.clone().map(|tls| tls::keep_fresh(Arc::clone(node), tls));
    tasks.extend(fresh.map(|fresh| node.tasks.spawn(fresh)));
    let keys = node.settings.key_files.clone().map(|files| trust::keep_key_files(Arc::clone(node), files));
    tasks.extend(keys.map(|keys| node.tasks.spawn(keys)));
    tasks
}

async fn check_logs(node: Arc<Node>) {
    let checks = node.tails.keep_checked(node.settings.log_check_interval);
    node.halt.run_until_cancelled(checks).await;
}
