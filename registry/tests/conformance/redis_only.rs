//! What only a server that can fail has to keep.

mod failover;
mod footprint;
mod hand_over;
mod locks;
mod logs;
mod newcomers;
mod orders;
mod outage;
mod slots;
mod timing;
mod traffic;

use signalbox_registry::redis::RedisConfig;
use signalbox_testkit::RedisServer;

use crate::world::Node;

/// A node that holds a lease, at a Redis that is not the world's.
async fn node_at(id: &str, url: &str) -> Node {
    node_with(id, &RedisConfig::new(url)).await
}

async fn node_with(id: &str, config: &RedisConfig) -> Node {
    let node = Node::on_redis(id, config);
    node.ready().await;
    node.take_lease().await;
    node
}

/// A node that runs no scripts of its own, and the probes of which go another way than most of its commands.
async fn without_a_lease(id: &str, url: &str) -> Node {
    let node = Node::on_redis(id, &RedisConfig { links: 4, ..RedisConfig::new(url) });
    node.ready().await;
    node
}

/// What `INFO` counts: how often a command was called.
fn calls(server: &RedisServer, command: &str) -> u64 {
    let stats = server.cli(&["info", "commandstats"]);
    let line = stats
        .lines()
        .find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls="))?.split(',').next());
    line.map_or(0, |calls| calls.parse().unwrap())
}
