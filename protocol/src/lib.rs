//! What is said on a Signalbox wire.
//!
//! Names (tenants, topics, agents, ids), the one message format, the catalogue of events, commands
//! and replies, errors, close codes, limits, and the payloads of the gateway's own messages.
//! Everything here is a value or a pure function: bytes in, values or errors out.
//!
//! This crate must never know a socket, a clock, a random number, Redis, or an async runtime;
//! whoever needs one of those passes its result in.

pub mod agent;
pub mod ids;
pub mod tenant;
pub mod topic;

pub use agent::Agent;
pub use ids::{ConnectionId, NodeId, SessionId};
pub use tenant::Tenant;
pub use topic::{InvalidTopic, Topic};
