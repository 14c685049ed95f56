//! What every repository keeps, run on each of them: the same functions, given the memory back end (under a
//! paused clock) and a real Redis that the test starts, alone, behind sentinels or as a Cluster. `redis_only` holds what only a server that can
//! fail has to keep; `alike` has the two answer the same questions.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod alike;
mod boarding;
mod contention;
mod events;
mod expiry;
mod fences;
mod lists;
mod lives;
mod logs;
mod pushing;
mod redis_only;
mod retries;
mod undoing;
mod vehicles;
mod world;

/// Runs each named function on both back ends; and all of them, one after the other, on each other way in which a
/// Redis can be set up, which takes seconds to start.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod on_memory {
            $(#[tokio::test(start_paused = true)]
            async fn $name() {
                super::$name(crate::world::World::memory()).await;
            })*
        }

        mod on_redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::world::World::redis().await).await;
            })*
        }

        mod through_sentinels {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn all() {
                let redis = std::sync::Arc::new(signalbox_testkit::AnyRedis::watched().await);
                $(super::$name(crate::world::World::again(&redis, stringify!($name))).await;)*
            }
        }

        mod in_a_cluster {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn all() {
                let redis = std::sync::Arc::new(signalbox_testkit::AnyRedis::cluster().await);
                $(super::$name(crate::world::World::again(&redis, stringify!($name))).await;)*
            }
        }
    };
}
pub(crate) use on_both;
