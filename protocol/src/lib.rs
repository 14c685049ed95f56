//! What is said on a Signalbox wire.
//!
//! Names (tenants, topics, agents, ids), the one message format, the catalogue of events, commands
//! and replies, errors, close codes, limits, and the payloads of the gateway's own messages.
//! Everything here is a value or a pure function: bytes in, values or errors out.
//!
//! This crate must never know a socket, a clock, a random number, Redis, or an async runtime;
//! whoever needs one of those passes its result in.

pub mod agent;
#[cfg(feature = "openapi")]
pub mod asyncapi;
pub mod catalogue;
pub mod close;
pub mod conflation;
pub mod control;
pub mod envelope;
pub mod error;
pub mod fleet;
pub mod ids;
mod json;
pub mod limits;
pub mod message_type;
pub mod request_id;
pub mod resource;
#[cfg(feature = "openapi")]
mod schema;
pub mod target;
pub mod tenant;
pub mod timestamp;
pub mod topic;
pub mod vocabulary;

pub use agent::Agent;
pub use close::CloseCode;
pub use conflation::conflation_key;
pub use envelope::{Incoming, Malformed, Received};
pub use error::{ErrorCode, Fault};
pub use ids::{ConnectionId, NodeId, OrderId, PassengerId, SessionId, VehicleId};
pub use request_id::RequestId;
pub use resource::{InvalidResource, Resource};
pub use target::{Target, Topics};
pub use tenant::Tenant;
pub use topic::{InvalidTopic, Topic};
pub use vocabulary::Vocabulary;
