//! The client against a node that plays a script, over real sockets on loopback.

mod connecting;
mod ending;
mod fake_node;
mod messages;
mod questions;
