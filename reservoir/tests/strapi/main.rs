//! Strapi as the store, and the cache before it: nodes of one cluster, over the memory back end and over a
//! real Redis, against a server that behaves like Strapi 5.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod answers;
mod cache;
mod deciding;
mod failing;
mod pushing;
mod reading;
mod redis_away;
mod world;

/// Runs each named function on both back ends.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod on_memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::world::World::memory().await).await;
            })*
        }

        mod on_redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::world::World::redis().await).await;
            })*
        }
    };
}
pub(crate) use on_both;
