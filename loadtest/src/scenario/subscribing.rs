//! Joining topics before a run.

use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use signalbox_client::protocol::Topic;
use signalbox_client::protocol::control::TopicsRequest;
use signalbox_client::protocol::envelope::Outgoing;
use signalbox_client::{Frame, Wire};
use tokio::time::timeout;

/// A node has this long to answer a subscription.
const SUBSCRIBED_WITHIN: Duration = Duration::from_secs(10);

/// Joins topics and waits for the answer.
pub(super) async fn subscribe(wire: &mut Wire, topics: Vec<Topic>) -> anyhow::Result<()> {
    timeout(SUBSCRIBED_WITHIN, ask(wire, topics)).await.context("a subscription takes too long")?
}

async fn ask(wire: &mut Wire, topics: Vec<Topic>) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(rename = "type")]
        message_type: &'a str,
    }
    let topics = TopicsRequest { topics };
    wire.queue(serde_json::to_string(&Outgoing::new("system:subscribe", &topics))?)?;
    loop {
        if let Frame::Text(text) = wire.next().await? {
            match serde_json::from_str::<Answer<'_>>(&text)?.message_type {
                "system:ack" => return Ok(()),
                _ => bail!("the subscription was refused: {}", &*text),
            }
        }
    }
}
