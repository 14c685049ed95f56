//! What only a server that can fail has to keep.

mod footprint;
mod locks;
mod outage;
mod traffic;

use signalbox_registry::redis::RedisConfig;

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
