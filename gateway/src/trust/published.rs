//! Keeps the keys of the moment: reads what an issuer publishes, again and again, and sooner when a token names a
//! key that is not known. One task of the node; nobody waits for it.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use super::publisher::Publisher;
use crate::node::Node;

/// Runs until the node halts; there may be nothing to do.
pub(crate) async fn run(node: Arc<Node>) {
    let keep = async {
        match &node.settings.publisher {
            Some(publisher) => keep(&node, publisher).await,
            None => std::future::pending().await,
        }
    };
    node.halt.run_until_cancelled(keep).await;
}

async fn keep(node: &Node, publisher: &Publisher) {
    loop {
        let read = read(node, publisher).await;
        let settings = &publisher.settings;
        let now = Instant::now();
        let again = if read { settings.refresh } else { settings.reread.min(settings.refresh) };
        tokio::select! {
            () = sleep_until(now + again) => {}
            () = unknown_key(node, now + settings.reread) => {}
        }
    }
}

/// A token named a key that is not known, and the last reading is long enough ago.
async fn unknown_key(node: &Node, earliest: Instant) {
    node.trust.unknown_key().await;
    sleep_until(earliest).await;
}

async fn read(node: &Node, publisher: &Publisher) -> bool {
    let read = publisher.read().await;
    node.metrics.trust.read_keys(read.is_ok());
    match read {
        Ok(published) => {
            tracing::debug!(keys = published.len(), "published keys read");
            node.trust.publish(published);
            true
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(%error, cause, "published keys could not be read; the last ones stay");
            false
        }
    }
}
