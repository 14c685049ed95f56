//! What every back end of the registry keeps, run on each of them: the same functions, given the memory back
//! end (under a paused clock) and a real Redis that the test starts. `redis_only` holds what only a server
//! that can fail has to keep.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]
#![expect(clippy::cloned_ref_to_slice_refs, reason = "a list of what is expected reads as one")]

mod bus;
mod directory;
mod lease;
mod lock;
mod log;
mod order;
mod presence;
mod redis_only;
mod revocation;
mod world;

/// Runs each named function on both back ends.
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
    };
}
pub(crate) use on_both;
