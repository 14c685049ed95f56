//! Nodes in this process over a real Redis.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use signalbox_gateway::Gateway;
use signalbox_gateway::config::{Config, RedisMode, RedisUrl};
use signalbox_gateway::node::Node;
use signalbox_testkit::{AnyRedis, Sentinels, eventually};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::client::Client;

/// Time in which a node that can become ready does.
pub(crate) const READY: Duration = Duration::from_secs(10);

/// A node of the test's own process.
pub(crate) struct TestNode {
    pub(crate) address: SocketAddr,
    pub(crate) node: Arc<Node>,
    /// Stops the node when the test drops it.
    _stop: DropGuard,
}

/// A configuration that listens on a free port and keeps nobody waiting.
pub(crate) fn config(redis_url: Option<&str>) -> Config {
    let mut config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
    config.redis.url = redis_url.map(|url| RedisUrl::try_new(url).unwrap());
    config.stop.balancer_wait = Duration::ZERO;
    config
}

impl TestNode {
    /// Starts a node and waits until it is ready.
    pub(crate) async fn start(config: &Config) -> Self {
        let node = Self::start_unready(config);
        node.ready().await;
        node
    }

    /// Starts a node, whatever becomes of it.
    pub(crate) fn start_unready(config: &Config) -> Self {
        let gateway = Gateway::build(config).unwrap();
        let stop = CancellationToken::new();
        let (address, node) = (gateway.address(), Arc::clone(gateway.node()));
        node.tasks.spawn(gateway.run(stop.clone().cancelled_owned()));
        Self { address, node, _stop: stop.drop_guard() }
    }

    pub(crate) async fn ready(&self) {
        eventually("the node is ready", READY, || async { self.node.is_ready() }).await;
    }

    pub(crate) async fn client(&self, agent: &str) -> Client {
        Client::connect_as(self.address, agent, "").await
    }
}

/// Several nodes and their Redis.
pub(crate) struct TestCluster {
    pub(crate) redis: AnyRedis,
    pub(crate) nodes: Vec<TestNode>,
}

impl TestCluster {
    /// On whichever kind of Redis this run is about.
    pub(crate) async fn start(nodes: usize) -> Self {
        Self::start_with(nodes, config(None)).await
    }

    /// The same with other settings; the Redis is always the cluster's own.
    pub(crate) async fn start_with(nodes: usize, config: Config) -> Self {
        Self::start_on(AnyRedis::chosen().await, nodes, config).await
    }

    /// On one server, since that is to fail.
    pub(crate) async fn start_single(nodes: usize) -> Self {
        Self::start_on(AnyRedis::single().await, nodes, config(None)).await
    }

    pub(crate) async fn start_on(redis: AnyRedis, nodes: usize, mut config: Config) -> Self {
        use_redis(&mut config, &redis);
        let mut started = Vec::new();
        for _ in 0..nodes {
            started.push(TestNode::start(&config).await);
        }
        Self { redis, nodes: started }
    }
}

fn use_redis(config: &mut Config, redis: &AnyRedis) {
    config.redis.url = Some(RedisUrl::try_new(&redis.url()).unwrap());
    match redis {
        AnyRedis::Single(_) => {}
        AnyRedis::Cluster(_) => config.redis.mode = RedisMode::Cluster,
        AnyRedis::Watched(_) => {
            config.redis.mode = RedisMode::Sentinel;
            config.redis.sentinel_service = Some(Sentinels::SERVICE.to_owned());
        }
    }
}
