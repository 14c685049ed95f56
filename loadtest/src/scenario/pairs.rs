//! Pairs of clients across nodes: a passenger on one node that sends to a vehicle on the next.

use std::time::Duration;

use anyhow::Context;
use signalbox_client::protocol::{Target, Topic};
use signalbox_client::{Wire, WireConfig};
use tokio::sync::mpsc;

use super::run_name;
use crate::cluster::Cluster;
use crate::traffic::{Traffic, Window, connect_all};

/// Handshakes under way at once.
const AT_ONCE: usize = 32;

/// Who sends.
pub(crate) const SENDERS: &str = "passenger";

/// To whom.
pub(crate) const RECEIVERS: &str = "vehicle";

/// One pair, connected.
#[derive(Debug)]
pub(crate) struct Pair {
    receiver: Wire,
    sender: Wire,
    /// What the sender sends to.
    target: Target,
}

/// Connects so many pairs: all senders to the first node, all receivers to the second.
pub(super) async fn connect(cluster: &Cluster, pairs: usize) -> anyhow::Result<Vec<Pair>> {
    let run = run_name();
    let names: Vec<String> = (0..pairs).map(|pair| format!("{run}-{pair}")).collect();
    let to = |node, agent_type| names.iter().map(|name| cluster.connect_as(node, agent_type, name)).collect();
    connect_by(&names, to(1, RECEIVERS), to(0, SENDERS)).await
}

/// Connects pairs of agents of these names in these ways.
pub(crate) async fn connect_by(
    names: &[String],
    receivers: Vec<WireConfig>,
    senders: Vec<WireConfig>,
) -> anyhow::Result<Vec<Pair>> {
    let receivers = connect_all(receivers, AT_ONCE, |_| {}).await?;
    let senders = connect_all(senders, AT_ONCE, |_| {}).await?;
    let pairs = names.iter().zip(receivers.into_iter().zip(senders));
    pairs
        .map(|(name, (receiver, sender))| {
            let vehicle = Topic::of(RECEIVERS, name).context("the run's name is an id")?;
            Ok(Pair { receiver, sender, target: Target::from(vehicle) })
        })
        .collect()
}

/// Lets them talk: each as fast as its window allows, or else when it is told that a message is due.
pub(crate) fn start(
    traffic: &mut Traffic,
    pairs: Vec<Pair>,
    window: Option<u32>,
) -> Vec<mpsc::Sender<Duration>> {
    let mut due = Vec::new();
    for (number, Pair { receiver, sender, target }) in pairs.into_iter().enumerate() {
        let window = window.map(Window::new);
        traffic.receive(number, receiver, window.clone());
        match window {
            Some(window) => traffic.send_at_full_speed(number, sender, target, window),
            None => due.push(traffic.send_when_due(number, sender, target)),
        }
    }
    due
}
