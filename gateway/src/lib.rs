//! The Signalbox node: sockets, HTTP, routing, and the life of one process of the cluster.
//!
//! A message's whole way: [`ws::socket`] reads it, `protocol` parses its head, [`ws::dispatch`] decides what it
//! is, [`router`] where it goes, [`hub`] queues one shared frame on local sockets and the registry's bus
//! carries it to other nodes, whose router hands it to their hub. No other path exists.
//!
//! This crate must never know Redis: it knows the registry's traits. `redis` appears in [`gateway`] alone, where
//! the back end is chosen.

pub mod admission;
pub mod announce;
pub mod cli;

pub mod config;
mod files;
mod fleet;
pub mod gateway;
pub mod http;
pub mod hub;
pub mod identity;
pub mod keeper;
pub mod limits;
pub mod metrics;
pub mod node;
pub mod origins;
pub mod outbound;
pub mod peer;
pub mod rights;
pub mod roster;
pub mod router;
pub mod server;
mod spread;
pub mod stamps;
pub mod stats;
pub mod stop;
pub mod tails;
#[cfg(test)]
mod testing;
pub mod tls;
pub mod trace;
pub mod trust;
pub mod viewing;
pub mod ws;

pub use gateway::{Gateway, StartError, serve};
