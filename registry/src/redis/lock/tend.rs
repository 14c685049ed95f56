//! The task that tends a line while waiters of this node stand in it, or while a turn that this node gave is
//! not yet used.

use std::sync::Arc;
use std::time::Duration;

use super::Core;
use super::lines::{Key, News};
use crate::Error;
use crate::redis::call::{Call, read};
use crate::redis::script::LOCK_TEND;

/// What the tending script answers, the time in milliseconds.
type Seen = (String, u64, u64);

impl Core {
    /// Keeps what was heard of a lock, and starts the task that tends its line where it takes one.
    pub(super) fn hear(self: &Arc<Self>, key: &Key, news: News) {
        if self.lines.hear(key, news) {
            let tend = Arc::clone(self).tend(key.clone());
            let tend = self.stop.clone().run_until_cancelled_owned(tend);
            self.tracker.spawn_on(tend, &self.runtime);
        }
    }

    async fn tend(self: Arc<Self>, key: Key) {
        while let Some(next) = self.lines.next_look(&key) {
            tokio::select! {
                () = next.changed.notified() => {}
                () = tokio::time::sleep_until(next.at) => {
                    // While Redis is away there is no news; the places are looked after when it is back.
                    let news = self.look(&key).await.unwrap_or(News::Nothing);
                    self.lines.looked(&key, &next, news);
                }
            }
        }
    }

    /// Keeps the places of this node's waiters, and the line moving.
    async fn look(&self, key: &Key) -> Result<News, Error> {
        // A node that hears no wakes would only hold the others up.
        let waits = self.lines.waits(key) && self.subscriber.health().healthy;
        let node = if waits { self.node.as_str() } else { "" };
        let deadline_ms = self.store.deadline_ms().await?;
        let args = |call: Call| call.arg(deadline_ms).arg(node);
        let (what, left_ms, lost): Seen = read(self.run(&LOCK_TEND, key, args).await?, "answer of a line")?;
        let left = Duration::from_millis(left_ms);
        if lost > 0 {
            self.lines.wake_all(key);
        }
        match what.as_str() {
            "held" => return Ok(News::held(left)),
            "free" => self.tally.met_expiry(),
            "missed" => self.tally.turn_missed(),
            "turn" => {}
            _ => return Ok(News::Nothing),
        }
        Ok(News::turn(left))
    }
}
