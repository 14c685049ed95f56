//! Readers that follow topics and do not read. Nothing is asked of what they get.
//!
//! Besides the topics of all they follow one of their own, with large messages: what the system keeps for a socket
//! is full within seconds, then what the node keeps.

use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use signalbox_client::{Client, ClientConfig, Wire, WireConfig};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Stage;
use super::crowd::{TYPE, topic};
use crate::cluster::Cluster;
use crate::options::Chaos;

const OWN_TOPIC: &str = "order:flood";

/// What a message of their own topic carries, and how often one comes.
const FLOOD: (usize, Duration) = (32 * 1024, Duration::from_millis(50));

/// Sockets that are open and not read.
#[derive(Debug, Default)]
pub(crate) struct SlowReaders {
    wires: Vec<Wire>,
    _flood: JoinSet<()>,
}

impl SlowReaders {
    /// Opens as many as the options tell, which share the run's topics, and floods them.
    pub(crate) async fn open(options: &Chaos, stage: &Stage<'_>) -> anyhow::Result<Self> {
        let mut wires = Vec::new();
        for reader in 0..options.slow_readers {
            let config = config(stage, reader);
            let (mut wire, _) = Wire::connect(&config).await.with_context(|| config.url.clone())?;
            let shared = topic(reader % options.topics.max(1));
            let join = json!({"type": "system:subscribe", "data": {"topics": [shared, OWN_TOPIC]}});
            wire.queue(join.to_string())?;
            wire.flush().await?;
            wires.push(wire);
        }
        let flooding = ClientConfig::new(stage.nodes[0].url(false))
            .query("tenant", Cluster::TENANT)
            .query("agent_type", "service")
            .query("agent_id", "flood");
        let mut flood = JoinSet::new();
        flood.spawn_local(send(Client::connect(flooding).await?));
        Ok(Self { wires, _flood: flood })
    }

    pub(crate) fn count(&self) -> usize {
        self.wires.len()
    }
}

fn config(stage: &Stage<'_>, number: usize) -> WireConfig {
    let node = &stage.nodes[number % stage.nodes.len()];
    WireConfig::new(node.url(false))
        .query("tenant", Cluster::TENANT)
        .query("agent_type", "guest")
        .query("agent_id", &number.to_string())
}

/// Until it is dropped.
async fn send(client: Client) {
    let (bytes, pause) = FLOOD;
    let data = "x".repeat(bytes);
    loop {
        // What is refused is not asked for either.
        let _ = client.emit_acked(TYPE, &data, OWN_TOPIC).await;
        sleep(pause).await;
    }
}
