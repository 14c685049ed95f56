//! The node from outside: stock WebSocket clients and plain HTTP against several nodes and one real Redis.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod acl;
mod admission;
mod api;
mod audit;
mod boarding;
mod canary;
mod capabilities;
mod client;
mod collector;
mod drain;
mod durable;
mod emptied;
mod failover;
mod failure;
mod fixture;
mod fleet_counts;
mod fleet_refusals;
mod handshake_tokens;
mod hostile;
mod http;
mod isolation;
mod limits;
mod lock_commands;
mod locks;
mod moving;
mod nginx;
mod openapi;
mod orders;
mod pages;
mod passengers;
mod process;
mod reference;
mod resume;
mod revocations;
mod routing;
mod scrape;
mod secrecy;
mod simulate;
mod tenants;
mod tokens;
mod traces;
mod verbs;
mod watching;
mod world;
