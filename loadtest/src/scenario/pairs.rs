//! Pairs of clients across nodes: a passenger on the first node that sends to a vehicle on the second.

use anyhow::Context;
use signalbox_client::Wire;
use signalbox_client::protocol::{Target, Topic};

use super::run_name;
use crate::cluster::Cluster;
use crate::traffic::connect_all;

/// Handshakes under way at once.
const AT_ONCE: usize = 32;

/// One pair, connected.
pub(super) struct Pair {
    pub(super) receiver: Wire,
    pub(super) sender: Wire,
    /// What the sender sends to.
    pub(super) target: Target,
}

/// Connects so many pairs.
pub(super) async fn connect(cluster: &Cluster, pairs: usize) -> anyhow::Result<Vec<Pair>> {
    let run = run_name();
    let agents = |node, agent_type: &'static str| {
        let config = |pair| cluster.connect_as(node, agent_type, &format!("{run}-{pair}"));
        (0..pairs).map(config).collect()
    };
    let receivers = connect_all(agents(1, "vehicle"), AT_ONCE, |_| {}).await?;
    let senders = connect_all(agents(0, "passenger"), AT_ONCE, |_| {}).await?;
    let both = receivers.into_iter().zip(senders).enumerate();
    both.map(|(pair, (receiver, sender))| {
        let vehicle = Topic::of("vehicle", &format!("{run}-{pair}")).context("the run's name is an id")?;
        Ok(Pair { receiver, sender, target: Target::from(vehicle) })
    })
    .collect()
}
