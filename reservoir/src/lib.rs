//! Who waits, who picks up, and the one step that boards: exactly one vehicle boards a passenger.
//!
//! [`Reservoir`] is the way in: it checks what is asked and answers from the cache where there is one.
//! Behind it is a [`Repository`], which decides: each change of a passenger is one step that nothing can come
//! between, with its record, its indexes and its announcement together, or not at all.
//!
//! This crate must never know a socket, an HTTP request of a client, or who may ask for what: it is told who
//! asks, and believes it.

pub mod actor;
pub mod answer;
pub mod cache;
pub mod error;
mod event;
pub mod machine;
mod memory;
mod outbox;
mod redis;
pub mod repository;
pub mod reservoir;
pub mod store;
pub mod strapi;
mod waiting;

pub use actor::Actor;
pub use cache::{CacheSettings, QueryCache};
pub use error::Error;
pub use repository::Repository;
pub use reservoir::Reservoir;
pub use store::StoreError;
pub use strapi::StrapiSettings;
pub use waiting::Waiting;
