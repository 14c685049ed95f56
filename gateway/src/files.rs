//! Files that are replaced while the node runs, by whoever renews certificates and keys.
//!
//! They are looked at every few seconds, since what renews files in containers sends no signals, and at once on SIGHUP.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

/// How often files are looked at. Nobody renews a certificate in its last seconds.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Some files, and how they were when they were looked at last.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    paths: Vec<PathBuf>,
    seen: Vec<Option<State>>,
}

/// What is another when a file is: its number, its length, and when it was changed. A link counts as what it leads to.
type State = (u64, u64, Option<SystemTime>);

impl Watch {
    /// Remembers how these files are now; to be asked for before they are read.
    pub(crate) fn begin(paths: Vec<PathBuf>) -> Self {
        let seen = states(&paths);
        Self { paths, seen }
    }

    /// Calls `reload` whenever one of the files is another, or gone, and on SIGHUP. Never ends.
    pub(crate) async fn keep(mut self, mut reload: impl FnMut()) {
        let mut hangups = signal(SignalKind::hangup()).expect("the runtime handles signals");
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                _ = hangups.recv() => true,
                _ = looks.tick() => false,
            };
            // Before they are read: what changes meanwhile is noticed the next time.
            let now = states(&self.paths);
            if asked || now != self.seen {
                self.seen = now;
                reload();
            }
        }
    }
}

fn states(paths: &[PathBuf]) -> Vec<Option<State>> {
    let state = |path: &PathBuf| {
        let told = path.metadata().ok()?;
        Some((told.ino(), told.len(), told.modified().ok()))
    };
    paths.iter().map(state).collect()
}
