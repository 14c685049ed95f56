//! Builds a node from its configuration, runs it, and stops it in order.

mod error;
mod settings;
mod signals;

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::select_all;
use signalbox_protocol::NodeId;
use signalbox_protocol::control::DrainReason;
use signalbox_registry::memory::MemoryCluster;
use signalbox_registry::redis;
use signalbox_registry::{Cluster, ThisNode};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::error::StartError;
pub(crate) use self::settings::{redis_config, settings};
use self::signals::{Signals, heed};
use crate::config::Config;
use crate::node::{Node, Settings};
use crate::stamps::unguessable;
use crate::tls::Tls;
use crate::trust::KeyFiles;
use crate::ws::manner::{self, Manner};
use crate::{keeper, server, stop};

/// Hexadecimal characters of a node id.
const NODE_ID_CHARS: usize = 10;

/// A node that is bound to its address and not yet running.
#[derive(Debug)]
pub struct Gateway {
    node: Arc<Node>,
    listener: TcpListener,
    address: SocketAddr,
}

impl Gateway {
    /// A node of its own cluster: Redis if the configuration names one, else in memory.
    ///
    /// # Errors
    /// [`StartError`]; a Redis that is away is none: the node joins when it comes.
    pub fn build(config: &Config) -> Result<Self, StartError> {
        let tasks = TaskTracker::new();
        let this = ThisNode::new(fresh_node_id());
        let halt = CancellationToken::new();
        let cluster = match redis_config(config)? {
            Some(redis) => redis::connect(&redis, this, &tasks, halt.clone())?,
            None => MemoryCluster::with_log(config.log_settings().unwrap_or_default()).join(this),
        };
        Self::build_in(config, cluster, tasks, halt)
    }

    /// A node of a cluster that exists already; for several nodes in one process.
    ///
    /// # Errors
    /// As [`Gateway::build`].
    pub fn build_in(
        config: &Config,
        cluster: Cluster,
        tasks: TaskTracker,
        halt: CancellationToken,
    ) -> Result<Self, StartError> {
        Self::build_speaking(config, cluster, (tasks, halt), manner::GATEWAY)
    }

    /// The same with another manner: for the conformance run, whose node echoes.
    ///
    /// # Errors
    /// As [`Gateway::build`].
    pub fn build_speaking(
        config: &Config,
        cluster: Cluster,
        (tasks, halt): (TaskTracker, CancellationToken),
        manner: Manner,
    ) -> Result<Self, StartError> {
        let listen = |source| StartError::Listen { address: config.listen, source };
        let listener = server::bind(config.listen).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let vocabulary = config.vocabulary()?;
        let settings = Settings {
            manner,
            // Before they are read, so that no change is missed.
            key_files: KeyFiles::watch(&config.auth),
            verifier: config.auth.verifier()?,
            publisher: config.auth.publisher()?,
            tls: config.tls_files().map(Tls::load).transpose()?,
            collector: config.collector()?,
            ..settings(config, address)
        };
        settings.strapi.as_ref().map_or(Ok(()), |strapi| strapi.check())?;
        let node = Node::new(settings, vocabulary, cluster, tasks, halt);
        Ok(Self { node, listener, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The node, for whoever wants to look inside while it runs.
    pub fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Runs until `stop` resolves, or the node is asked to drain in another way; then stops in order.
    ///
    /// # Errors
    /// [`StartError::Halted`] when a background task ended: there is no half-life.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), StartError> {
        let node = self.node;
        let close_port = CancellationToken::new();
        let mut essential = keeper::spawn(&node);
        essential.push(node.tasks.spawn(server::run(Arc::clone(&node), self.listener, close_port.clone())));
        let reason = tokio::select! {
            () = stop => DrainReason::Stopping,
            () = node.stop.asked() => node.stop.reason(),
            () = node.router.drain_asked() => DrainReason::Requested,
            (ended, _, _) = select_all(essential) => {
                tracing::error!(?ended, "a background task ended; the node stops");
                DrainReason::Fault
            }
        };
        node.stop.ask(reason);
        stop::drain(&node, &close_port).await;
        if reason == DrainReason::Fault { Err(StartError::Halted) } else { Ok(()) }
    }
}

/// Runs a node of this configuration until SIGTERM or SIGINT, or until it is drained; a second signal cuts the stop
/// short. `ready` is told the address once it is bound.
///
/// # Errors
/// [`StartError`].
pub async fn serve(config: Config, ready: impl FnOnce(SocketAddr)) -> Result<(), StartError> {
    // Whoever is told that there is a node may signal it.
    let signals = Signals::listen();
    let gateway = Gateway::build(&config)?;
    let address = gateway.address();
    tracing::info!(%address, node = %gateway.node().cluster.node.id(), "listening");
    ready(address);
    let node = Arc::clone(gateway.node());
    node.tasks.spawn(heed(signals, Arc::clone(&node)));
    gateway.run(pending()).await
}

fn fresh_node_id() -> NodeId {
    NodeId::try_new(&unguessable(NODE_ID_CHARS)).expect("hexadecimal digits are node id characters")
}
