//! What Rust programs use to talk to a Signalbox cluster.
//!
//! A [`Client`] is an agent's presence in the cluster: [`emit`](Client::emit) sends an event, [`on`](Client::on)
//! receives them, [`request`](Client::request) waits for the answer to a question, and
//! [`subscribe`](Client::subscribe) joins topics. It outlives its connections. One task owns the socket; clients are
//! handles to it.
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
//!
//! let mut orders = client.on("order:new");
//! client.subscribe(["agent_type:driver", "route:12"]).await?;
//! client.emit("vehicle:status_change", json!({"status": "free"}), "route:12").await?;
//!
//! let order = orders.recv().await?;
//! let data: serde_json::Value = order.data()?;
//! client.emit_acked("order:seen", data, order.source.as_str()).await?;
//! client.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! # When the connection is lost
//!
//! The client connects again, without end, after a random wait of up to 1 s that grows to 5 s
//! ([`ClientConfig::reconnect_waits`]). A node that says when to come is obeyed (`Retry-After`, `system:draining`). It
//! comes back as the session of before and goes on behind the last durable message of each topic that it handed
//! over, joined topics included. Only what [`Closed::advice`] calls hopeless ends it: then every call says so.
//!
//! # What can be relied on
//!
//! * A **durable** message is handed over once and in the order of its topic. If one is skipped, the client asks for
//!   it and hands over nothing newer before. Where messages may be missing every subscription says so, in its place:
//!   [`RecvError::Lost`].
//! * A durable message that is **sent** is sent again, with the same `id`, until a node has stored it or its time is
//!   over. Then its sender is told whether that is certain ([`RequestError::NotSent`]) or not
//!   ([`RequestError::Unknown`]).
//! * **Every queue is bounded.** Outgoing messages wait for room or are refused ([`WhenFull`]). A slow reader loses
//!   ephemeral messages and is told how many ([`RecvError::Missed`]); for durable ones the client stops reading from
//!   the node until there is room. So read what you listen to, and don't wait in the reader itself for an answer
//!   that comes behind a full queue: give long work to another task.
//!
//! ```no_run
//! use signalbox_client::{Client, RecvError, Subscription};
//!
//! # async fn fetch_everything() {}
//! async fn follow(mut orders: Subscription) {
//!     loop {
//!         match orders.recv().await {
//!             Ok(order) => println!("{} {}", order.source, order.data),
//!             Err(RecvError::Missed(number)) => println!("too slow for {number} ephemeral messages"),
//!             Err(RecvError::Lost(lost)) => {
//!                 println!("{lost}");
//!                 fetch_everything().await;
//!             }
//!             Err(RecvError::Closed(closed)) => return println!("{closed}"),
//!         }
//!     }
//! }
//! ```
//!
//! # Layers
//!
//! [`Client::connect_over`] runs over whatever carries bytes ([`Dial`]), e.g. TLS. A [`Wire`] is the layer below: one
//! socket and its first frame, for programs with many connections.
//!
//! This crate must never know what a node keeps or how nodes find each other: it knows the wire.

mod backoff;
mod client;
mod closed;
mod config;
mod connection;
mod deliveries;
mod dial;
mod duplicates;
mod endpoints;
mod error;
mod event;
mod fate;
mod handover;
mod journal;
mod listeners;
mod outbox;
mod pace;
mod pending;
mod recovery;
mod rejoining;
mod road;
mod runner;
mod session;
mod shared;
mod stats;
mod subscription;
mod target;
mod token;
mod wire;

pub use client::Client;
pub use closed::{CloseCause, Closed};
pub use config::{ClientConfig, WhenFull, WhenOffline};
pub use dial::{Dial, Tcp};
pub use error::{ConnectError, RequestError, SendError, TokenError, Unanswered};
pub use event::{Event, Events, LossReason, Lost};
pub use stats::{ClientState, ClientStats};
pub use subscription::{RecvError, Subscription};
pub use target::{IntoTarget, InvalidTarget};
pub use wire::{Bearer, Frame, Text, Wire, WireConfig};

pub use signalbox_protocol as protocol;
pub use signalbox_protocol::Received;
