//! Readers that follow a topic and do not read. Nothing is asked of what they get.

use anyhow::Context;
use serde_json::json;
use signalbox_client::{Wire, WireConfig};

/// Sockets that are open and not read.
#[derive(Debug)]
pub(crate) struct SlowReaders {
    wires: Vec<Wire>,
}

impl SlowReaders {
    /// Connects to each of these, joins its topic, and stops reading.
    pub(crate) async fn open(readers: impl Iterator<Item = (WireConfig, String)>) -> anyhow::Result<Self> {
        let mut wires = Vec::new();
        for (config, topic) in readers {
            let (mut wire, _) = Wire::connect(&config).await.with_context(|| config.url.clone())?;
            let join = json!({"type": "system:subscribe", "data": {"topics": [topic]}});
            wire.queue(join.to_string())?;
            wire.flush().await?;
            wires.push(wire);
        }
        Ok(Self { wires })
    }

    pub(crate) fn count(&self) -> usize {
        self.wires.len()
    }
}
