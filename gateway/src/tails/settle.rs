//! Settles what is in doubt about one topic by its log: one task a topic, a few topics at once.

use std::sync::Arc;
use std::time::Duration;

use signalbox_protocol::control::Discontinuity;
use signalbox_registry::Error;
use signalbox_registry::log::{Limits, Read};
use tokio::time::sleep;

use super::Tails;
use crate::hub::{Question, TopicKey};

/// Messages may overtake each other on the bus by this much without anybody reading.
const PATIENCE: Duration = Duration::from_millis(10);
/// What is read at once.
const PAGE: Limits = Limits { entries_max: 128, bytes_max: 256 * 1_024 };
/// The longest pause after the log could not be asked.
const PAUSE_MAX: Duration = Duration::from_secs(2);

impl Tails {
    /// Starts the task that settles a topic. To be called by whom the topic's followers told to.
    pub(super) fn settle(self: &Arc<Self>, key: TopicKey) {
        let (tails, halt) = (Arc::clone(self), self.halt.clone());
        self.tasks.spawn(async move { halt.run_until_cancelled(run(&tails, &key)).await });
    }
}

/// Until nothing is in doubt, or nobody follows the topic.
async fn run(tails: &Tails, key: &TopicKey) {
    let mut pause = PATIENCE;
    sleep(pause).await;
    while let Some((question, held)) = tails.hub.with(key, |followers| followers.question()).flatten() {
        let Ok(_turn) = tails.settling.acquire().await else { return };
        match ask(tails, key, &question).await {
            Ok(read) => {
                pause = PATIENCE;
                tails.hub.with(key, |followers| followers.settle(key, read, held, &tails.metrics));
            }
            Err(error) => {
                tails.metrics.log.repairs.with_label_values(&["failed"]).inc();
                tracing::debug!(%error, topic = %key.topic, "a log could not be read; it is tried again");
                tails.hub.with(key, |followers| followers.not_settled());
                pause = (pause * 2).min(PAUSE_MAX);
                sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
            }
        }
    }
}

async fn ask(tails: &Tails, key: &TopicKey, question: &Question) -> Result<Read, Error> {
    let after = &question.after;
    if !question.contradicted {
        let read = tails.log.read(&key.tenant, &key.topic, after, PAGE).await?;
        let lies = match &read {
            Read::Page(page) => page.head.epoch == after.epoch && page.head.offset < question.expected,
            Read::Broken { .. } => false,
        };
        if !lies {
            return Ok(read);
        }
    }
    tracing::warn!(topic = %key.topic, "a log contradicts what it told before: another epoch begins");
    let head = tails.log.new_epoch(&key.tenant, &key.topic, &after.epoch).await?;
    Ok(Read::Broken { reason: Discontinuity::Epoch, head })
}
