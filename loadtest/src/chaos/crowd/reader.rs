//! One reader: follows a topic, and tells what it is shown.

use std::rc::Rc;

use anyhow::Context;
use signalbox_client::{Client, ClientConfig, RecvError, Subscription};
use tokio_util::sync::CancellationToken;

use super::{Scene, TYPE, Tally, connect};

/// A client that follows a topic, and what comes of it.
#[derive(Debug)]
pub(super) struct Reader {
    client: Client,
    messages: Subscription,
}

impl Reader {
    pub(super) async fn join(config: ClientConfig, topic: String) -> anyhow::Result<Self> {
        let messages = config.on(TYPE);
        let client = connect(config).await?;
        client.subscribe(topic.as_str()).await.with_context(|| format!("{topic} can't be joined"))?;
        Ok(Self { client, messages })
    }

    /// Reads until it shall leave; as the reader of this number.
    pub(super) async fn run(mut self, number: usize, scene: Rc<Scene>, leave: CancellationToken) -> Tally {
        let watching = scene.watch(self.client.watch());
        let reading = async {
            loop {
                match self.messages.recv().await {
                    Ok(message) => scene.shows(number, message.data.get()),
                    Err(RecvError::Lost(lost)) => scene.declares(number, lost.topic.kind()),
                    // What was dropped is missing then.
                    Err(RecvError::Missed(_)) => {}
                    Err(RecvError::Closed(_)) => return,
                }
            }
        };
        let alive = async {
            tokio::select! {
                () = reading => {}
                () = watching => {}
            }
        };
        let ended = leave.run_until_cancelled(alive).await.is_some();
        self.client.close().await;
        Tally::of(&self.client.stats(), ended)
    }
}
