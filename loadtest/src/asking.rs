//! One client that asks: a question at a time on a connection of its own, each with a deadline.
//!
//! If the connection breaks, the question that was under way stays without an answer, and the next one goes
//! to the next node.

use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use signalbox_client::protocol::ErrorCode;
use signalbox_client::{Closed, Frame, Wire, WireConfig};
use tokio::time::{Instant, sleep, timeout};

use crate::cluster::Cluster;
use crate::traffic::connect_all;

/// Handshakes under way at once.
const AT_ONCE: usize = 32;

/// A broken connection has so long to be replaced.
const REPLACED_WITHIN: Duration = Duration::from_secs(15);

/// The pause after a node that could not be reached.
const NEXT_NODE_AFTER: Duration = Duration::from_millis(100);

/// One client. It belongs to one task.
#[derive(Debug)]
pub(crate) struct Asker {
    /// How to connect to each node.
    nodes: Vec<WireConfig>,
    /// The one that it is connected to.
    node: usize,
    /// `None` when it broke.
    wire: Option<Wire>,
    broken: u64,
}

/// Connects so many vehicles, each to one of the nodes in turn, from the one numbered `first_node` on.
pub(crate) async fn connect_askers(
    cluster: &Cluster,
    count: u32,
    first_node: usize,
    agent_id: impl Fn(u32) -> String,
) -> anyhow::Result<Vec<Asker>> {
    let all_nodes = |number| {
        let agent_id = agent_id(number);
        (0..cluster.nodes.len())
            .map(|node| cluster.connect_as(node, "vehicle", &agent_id))
            .collect::<Vec<_>>()
    };
    let own_node = |number: u32| (number as usize + first_node) % cluster.nodes.len();
    let configs = (0..count).map(|number| all_nodes(number).swap_remove(own_node(number))).collect();
    let wires = connect_all(configs, AT_ONCE, |_| {}).await?;
    let askers = (0..).zip(wires).map(|(number, wire)| Asker {
        nodes: all_nodes(number),
        node: own_node(number),
        wire: Some(wire),
        broken: 0,
    });
    Ok(askers.collect())
}

/// What came of a question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard<T> {
    Answer(T),
    /// The node could not do anything; nothing was done.
    NotNow,
    /// There was no answer, or the node does not know it.
    Nothing,
}

impl Asker {
    /// Connects again if the connection broke.
    ///
    /// # Errors
    /// When no node can be reached for long.
    pub(crate) async fn ready(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + REPLACED_WITHIN;
        while self.wire.is_none() {
            self.node = (self.node + 1) % self.nodes.len();
            match Wire::connect(&self.nodes[self.node]).await {
                Ok((wire, _)) => self.wire = Some(wire),
                Err(error) if Instant::now() > deadline => {
                    return Err(error).context("a broken connection can't be replaced");
                }
                Err(_) => sleep(NEXT_NODE_AFTER).await,
            }
        }
        Ok(())
    }

    /// Asks, and hears what `read` makes of the first frame that it takes for the answer: the answer, or the
    /// error that the node sent instead.
    ///
    /// # Errors
    /// When the node says that the question is wrong.
    ///
    /// # Cancel safety
    /// The question may be asked or not, and its answer comes as a frame that the next `read` is shown.
    pub(crate) async fn ask<T>(
        &mut self,
        question: String,
        within: Duration,
        read: impl FnMut(&str) -> Option<Result<T, ErrorCode>>,
    ) -> anyhow::Result<Heard<T>> {
        let Some(wire) = self.wire.as_mut() else { return Ok(Heard::Nothing) };
        match timeout(within, exchange(wire, question, read)).await {
            Ok(Ok(Ok(answer))) => Ok(Heard::Answer(answer)),
            Ok(Ok(Err(ErrorCode::OutcomeUnknown | ErrorCode::Timeout))) | Err(_) => Ok(Heard::Nothing),
            Ok(Ok(Err(ErrorCode::Unavailable | ErrorCode::RateLimited))) => Ok(Heard::NotNow),
            Ok(Ok(Err(code))) => bail!("a node answers {code}"),
            Ok(Err(_)) => {
                self.broke();
                Ok(Heard::Nothing)
            }
        }
    }

    /// Waits for something else; meanwhile the node's pings are answered.
    ///
    /// # Cancel safety
    /// As `other`.
    pub(crate) async fn meanwhile<T>(&mut self, other: impl Future<Output = T>) -> T {
        tokio::pin!(other);
        while let Some(wire) = self.wire.as_mut() {
            tokio::select! {
                biased; // what was waited for comes first; frames come seldom
                other = &mut other => return other,
                frame = wire.next() => {
                    if frame.is_err() {
                        self.broke();
                    }
                }
            }
        }
        other.await
    }

    /// How many connections broke.
    pub(crate) fn broken(&self) -> u64 {
        self.broken
    }

    /// Says goodbye.
    pub(crate) async fn close(self) {
        if let Some(wire) = self.wire {
            wire.close().await;
        }
    }

    fn broke(&mut self) {
        self.wire = None;
        self.broken += 1;
    }
}

async fn exchange<T>(
    wire: &mut Wire,
    question: String,
    mut read: impl FnMut(&str) -> Option<T>,
) -> Result<T, Closed> {
    wire.queue(question)?;
    wire.flush().await?;
    loop {
        if let Frame::Text(text) = wire.next().await?
            && let Some(answer) = read(&text)
        {
            return Ok(answer);
        }
    }
}

/// The type and the data of the frame that answers question `id`; `None` for other frames. An error that
/// names no question counts as the answer, since there is no other question.
///
/// A view of `text`: nothing is copied, and what `D` does not ask for is passed over.
pub(crate) fn answer<'a, D: Deserialize<'a>>(text: &'a str, id: &str) -> Option<(&'a str, D)> {
    #[derive(Deserialize)]
    struct Envelope<'a, D> {
        #[serde(rename = "type")]
        message_type: &'a str,
        #[serde(rename = "correlationId")]
        correlation_id: Option<&'a str>,
        data: D,
    }
    let Envelope { message_type, correlation_id, data } = serde_json::from_str(text).ok()?;
    let ours = correlation_id.map_or(message_type == "system:error", |answered| answered == id);
    ours.then_some((message_type, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Data {
        number: u32,
    }

    #[test]
    fn an_answer_names_its_question() {
        let frame = |message_type: &str, to: &str| {
            format!(
                r#"{{"id":"0192","type":"{message_type}","data":{{"number":7,"more":[1]}},"correlationId":{to}}}"#
            )
        };
        for (message_type, to, ours) in [
            ("lock:granted", r#""5""#, true),
            ("lock:granted", r#""6""#, false),
            ("lock:granted", "null", false),
            ("system:error", r#""5""#, true),
            ("system:error", r#""6""#, false),
            ("system:error", "null", true),
        ] {
            let expected = ours.then_some((message_type, Data { number: 7 }));
            assert_eq!(answer::<Data>(&frame(message_type, to), "5"), expected, "{message_type} {to}");
        }
        assert_eq!(answer::<Data>("garbage", "5"), None);
        assert_eq!(answer::<Data>(r#"{"type":"a:b","data":null,"correlationId":"5"}"#, "5"), None);
    }
}
