//! One reader: follows a topic, and tells what it is shown.

use std::rc::Rc;

use anyhow::Context;
use signalbox_client::{Client, ClientConfig, ClientState, RecvError, Subscription};
use tokio::sync::watch;
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
        let mut state = self.client.watch();
        let reading = async {
            loop {
                tokio::select! {
                    message = self.messages.recv() => match message {
                        Ok(message) => scene.shows(number, message.data.get()),
                        Err(RecvError::Lost(lost)) => scene.declares(number, lost.topic.kind()),
                        // What was dropped is missing then.
                        Err(RecvError::Missed(_)) => {}
                        Err(RecvError::Closed(_)) => return,
                    },
                    () = connects(&mut state) => scene.handshakes.borrow_mut().count(),
                }
            }
        };
        let ended = leave.run_until_cancelled(reading).await.is_some();
        self.client.close().await;
        Tally::of(&self.client.stats(), ended)
    }
}

/// Returns when the next attempt to connect begins; never when the client has ended.
async fn connects(state: &mut watch::Receiver<ClientState>) {
    while state.changed().await.is_ok() {
        if *state.borrow_and_update() == ClientState::Connecting {
            return;
        }
    }
    std::future::pending().await
}
