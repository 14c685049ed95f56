//! What the nodes of a cluster share, and nothing else.
//!
//! [`directory`]: which connections exist and where. [`presence`]: who is in a group.
//! [`bus`]: how a node hands frames to other nodes. [`lease`]: which nodes are alive. [`lock`]: who may do what
//! only one may. [`order`]: who has accepted one. [`log`]: what was said lately and must not be lost.
//! [`revocation`]: whose tokens are no longer taken.
//! Each is a small trait with two back ends, `memory` (one process, any number of nodes in it) and
//! `redis`, and one conformance suite runs on both (`registry/tests/conformance`).
//!
//! This crate must never know a WebSocket, an HTTP request, or what a frame's bytes mean:
//! it carries them.

#[macro_use]
mod name;

pub mod bus;
mod changes;
pub mod cluster;
pub mod directory;
pub mod error;
pub mod gathering;
mod keys;
pub mod lease;
pub mod lock;
pub mod log;
pub mod measured;
pub mod memory;
mod mutex;
pub mod order;
pub mod presence;
mod recent;
pub mod redis;
pub mod revocation;
pub mod row;
mod slot;

pub use bus::{Announcement, Bus, BusListener, Destination, Parcel};
pub use cluster::{Backing, Cluster, ThisNode};
pub use directory::Directory;
pub use error::Error;
pub use lease::{Lease, NodeCard};
pub use lock::Locks;
pub use log::{Log, Logged};
pub use measured::Measured;
pub use memory::MemoryCluster;
pub use order::Orders;
pub use presence::Presence;
pub use revocation::{Revocation, Revocations};
pub use row::Row;
