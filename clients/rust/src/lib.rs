//! What Rust programs use to talk to a Signalbox cluster.
//!
//! A [`Client`] is one connection: [`emit`](Client::emit) sends an event, [`on`](Client::on) receives
//! them, [`request`](Client::request) waits for the answer to a question, and
//! [`subscribe`](Client::subscribe) joins topics. One task owns the socket; clients are handles to it.
//! A [`Wire`] is the layer below: the socket and its first frame, for programs with many connections.
//!
//! A connection that ended stays ended for now, and [`Closed`] says what to do about it.
//! This crate must never know what a node keeps or how nodes find each other: it knows the wire.
//!
//! ```no_run
//! use serde_json::json;
//! use signalbox_client::{Client, ClientConfig};
//!
//! # async fn drive() -> Result<(), Box<dyn std::error::Error>> {
//! let config = ClientConfig::new("ws://127.0.0.1:8080/ws/vehicle-events")
//!     .query("agent_type", "vehicle")
//!     .query("agent_id", "V17");
//! let client = Client::connect(config).await?;
//! println!("connected as {}", client.welcome().agent);
//!
//! let mut orders = client.on("order:new");
//! client.subscribe(["agent_type:driver", "route:12"]).await?;
//! client.emit("vehicle:status_change", json!({"status": "free"}), "route:12").await?;
//!
//! let order = orders.recv().await?;
//! let data: serde_json::Value = order.data()?;
//! client.emit_acked("order:accepted", data, order.source.as_str()).await?;
//! client.close().await;
//! # Ok(())
//! # }
//! ```

mod client;
mod closed;
mod config;
mod connection;
mod error;
mod listeners;
mod outbox;
mod pending;
mod stats;
mod subscription;
mod target;
mod wire;

pub use client::Client;
pub use closed::{CloseCause, Closed};
pub use config::ClientConfig;
pub use error::{ConnectError, RequestError, SendError};
pub use stats::{ClientState, ClientStats};
pub use subscription::{RecvError, Subscription};
pub use target::{IntoTarget, InvalidTarget};
pub use wire::{Frame, Text, Wire, WireConfig};

pub use signalbox_protocol as protocol;
pub use signalbox_protocol::Received;
