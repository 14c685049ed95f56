//! Nodes in this process over a real Redis.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use signalbox_gateway::config::{Config, RedisUrl};
use signalbox_gateway::node::Node;
use signalbox_gateway::{Gateway, StartError};
use signalbox_testkit::{RedisServer, eventually};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::Client;

/// Time in which a node that can become ready does.
const READY: Duration = Duration::from_secs(10);

/// A node of the test's own process.
pub struct TestNode {
    pub address: SocketAddr,
    pub node: Arc<Node>,
    stop: CancellationToken,
    running: JoinHandle<Result<(), StartError>>,
}

/// A configuration that listens on a free port and keeps nobody waiting.
pub fn config(redis_url: Option<&str>) -> Config {
    let mut config = Config::default();
    config.listen = "127.0.0.1:0".parse().unwrap();
    config.redis.url = redis_url.map(|url| RedisUrl::try_new(url).unwrap());
    config.stop.balancer_wait = Duration::ZERO;
    config
}

impl TestNode {
    /// Starts a node and waits until it is ready.
    pub async fn start(config: &Config) -> Self {
        let node = Self::start_unready(config);
        node.ready().await;
        node
    }

    /// Starts a node, whatever becomes of it.
    pub fn start_unready(config: &Config) -> Self {
        let gateway = Gateway::build(config).unwrap();
        let stop = CancellationToken::new();
        let (address, node) = (gateway.address(), Arc::clone(gateway.node()));
        let running = node.tasks.spawn(gateway.run(stop.clone().cancelled_owned()));
        Self { address, node, stop, running }
    }

    pub async fn ready(&self) {
        eventually("the node is ready", READY, || async { self.node.is_ready() }).await;
    }

    /// Stops it in order.
    pub async fn stop(self) {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
    }

    pub async fn client(&self, agent: &str) -> Client {
        Client::connect_as(self.address, agent, "").await
    }
}

/// Several nodes and their Redis.
pub struct TestCluster {
    pub redis: RedisServer,
    pub nodes: Vec<TestNode>,
}

impl TestCluster {
    pub async fn start(nodes: usize) -> Self {
        let redis = RedisServer::start().await;
        let config = config(Some(&redis.url()));
        let mut started = Vec::new();
        for _ in 0..nodes {
            started.push(TestNode::start(&config).await);
        }
        Self { redis, nodes: started }
    }
}
