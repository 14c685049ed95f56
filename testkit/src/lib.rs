//! What the tests of several crates and the load tester share. For all others a dev-dependency.
//!
//! [`RedisServer`]: a real `redis-server` of the test's own. [`Sentinels`]: two of them, watched. [`RedisCluster`]: a
//! sharded one. [`AnyRedis`]: any of these. [`Forwarder`]: a TCP path that can be made to
//! fail. [`Balancer`], and [`Nginx`], a real one: one address for several servers. [`Strapi`]: an HTTP server that
//! behaves like Strapi 5, as documented. [`eventually`]: waits for a condition, with a deadline, in place of
//! sleeping.
//!
//! Everything listens on and talks to 127.0.0.0/8 alone, and ends no process that it did not start.

mod any_redis;
mod balancer;
mod eventually;
mod forwarder;
mod nginx;
#[cfg(test)]
mod peer;
mod redis_cluster;
mod redis_server;
mod sentinels;
pub mod strapi;

pub use any_redis::AnyRedis;
pub use balancer::Balancer;
pub use eventually::eventually;
pub use forwarder::Forwarder;
pub use nginx::{Nginx, TlsEnd};
pub use redis_cluster::RedisCluster;
pub use redis_server::RedisServer;
pub use sentinels::Sentinels;
pub use strapi::Strapi;
