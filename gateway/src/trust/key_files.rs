//! Keys in files: read again when one of the files changes, so that a key is rotated without a restart. One task of the
//! node. Files that can't be used change nothing but a counter and a warning.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::Auth;
use crate::files::Watch;
use crate::node::Node;

/// The keys of a configuration, some of which are in files.
#[derive(Debug, Clone)]
pub struct KeyFiles {
    auth: Auth,
    watch: Watch,
}

impl KeyFiles {
    /// From now on changes are noticed; nothing if no key is in a file.
    pub fn watch(auth: &Auth) -> Option<Self> {
        let paths: Vec<PathBuf> = auth.key_files().map(PathBuf::from).collect();
        (!paths.is_empty()).then(|| Self { auth: auth.clone(), watch: Watch::begin(paths) })
    }
}

/// Runs until the node halts.
pub(crate) async fn run(node: Arc<Node>, files: KeyFiles) {
    let KeyFiles { auth, watch } = files;
    node.halt.run_until_cancelled(watch.keep(|| reload(&node, &auth))).await;
}

fn reload(node: &Node, auth: &Auth) {
    let read = auth.verifier();
    node.metrics.trust.reloaded_keys(read.is_ok());
    match read {
        Ok(configured) => {
            tracing::info!(keys = configured.keys.len(), "keys of tokens were read again");
            node.trust.configure(configured);
        }
        Err(error) => tracing::warn!(%error, "the keys of tokens stay what they were"),
    }
}

#[cfg(test)]
mod tests;
