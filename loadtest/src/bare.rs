//! Bare servers: the least that a server of this kind costs on this machine, measured in the same run.
//!
//! A figure alone says little where machines drift by a third from hour to hour; its ratio to a bare server's in the same
//! run says how much is Signalbox. A bare server is this binary once more, in a process of its own on the servers' core.
//! It takes WebSockets in, registers nothing, and hands what anybody sends to everybody else, stamped as a node would
//! stamp it: the frames have the size of deliveries, and clients, pace and oracle are those of the scenario itself.
//! One thread runs all of it, and it does without deadlines: it lives for some seconds and ends with its run.

mod hub;
mod server;

use clap::ValueEnum;

pub(crate) use self::server::serve;
use crate::cluster::Cluster;
use crate::options::Servers;

/// How a bare server hands on what it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Manner {
    /// One non-blocking write(2) to each socket, of a frame that was made once.
    Write,
    /// As programs with tokio-tungstenite do it: a task for each connection, a queue in front of it, and a flush when
    /// that is empty.
    Tungstenite,
}

impl Manner {
    /// As the command line and figures name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Tungstenite => "tungstenite",
        }
    }
}

/// Runs a part of a scenario on a bare server, which ends with it.
///
/// # Errors
/// When the server does not start, or the scenario fails.
pub(crate) async fn beside<T>(
    servers: &Servers,
    manner: Manner,
    scenario: impl AsyncFnOnce(&Cluster) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut cluster = Cluster::bare(servers, manner).await?;
    let found = scenario(&cluster).await;
    cluster.stop().await;
    found
}
