//! The client against a node that plays a script, over real sockets on loopback.

mod cluster;
mod connecting;
mod deadlines;
mod delivering;
mod ending;
mod fake_node;
mod messages;
mod pipes;
mod questions;
mod queueing;
mod reconnecting;
mod resuming;
mod storm;
