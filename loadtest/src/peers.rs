//! Products that people know, measured with the clients, the pace and the oracle that Signalbox is measured with.
//!
//! Each is started as two servers on the servers' core, with a Redis where it needs one, and spoken to over WebSockets. What
//! differs from one to the next is how servers are started and a [`Dialect`]: what a client says and what it hears. All
//! else is one [`Caller`], which speaks to Signalbox as well, so that no product is asked by cheaper clients than another.

mod caller;
mod dialect;
mod link;
mod nats;
mod nchan;
mod servers;
mod signalbox;
mod socketio;

use std::path::Path;

use clap::ValueEnum;

pub(crate) use self::caller::{Caller, Client, Role, Topic};
use self::dialect::Dialect;
pub(crate) use self::servers::{SERVERS, Setup};

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Product {
    /// This one.
    Signalbox,
    /// NATS: `nats-server` with its WebSocket listener, two in a cluster.
    Nats,
    /// The nginx module nchan, two servers that share a Redis.
    Nchan,
    /// Socket.IO on Node.js, two processes that share a Redis through its adapter.
    #[value(name = "socketio")]
    SocketIo,
}

impl Product {
    /// As figures name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Signalbox => "signalbox",
            Self::Nats => "nats",
            Self::Nchan => "nchan",
            Self::SocketIo => "socketio",
        }
    }

    /// What is installed of it; `node_modules` is the folder that Node.js packages were installed into.
    ///
    /// # Errors
    /// When it is not installed, with the package that is missing.
    pub(crate) fn version(self, binary: &Path, node_modules: Option<&Path>) -> anyhow::Result<String> {
        match self {
            Self::Signalbox => signalbox::version(binary),
            Self::Nats => nats::version(),
            Self::Nchan => nchan::version(),
            Self::SocketIo => socketio::version(node_modules),
        }
    }

    fn dialect(self) -> &'static dyn Dialect {
        match self {
            Self::Signalbox => &signalbox::Signalbox,
            Self::Nats => &nats::Nats,
            Self::Nchan => &nchan::Nchan,
            Self::SocketIo => &socketio::SocketIo,
        }
    }
}
