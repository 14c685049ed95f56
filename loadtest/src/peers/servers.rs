//! How a product's servers are started: a program and its arguments for each, with what it needs in a folder of the run.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::{Product, nats, nchan, socketio};

/// Servers of each product.
pub(crate) const SERVERS: usize = 2;

/// What servers are started with.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    /// Where files may be written for them.
    pub(crate) folder: &'a Path,
    /// `host:port` of each.
    pub(crate) addresses: [String; SERVERS],
    /// Two more ports for each.
    pub(crate) spare_ports: [u16; 2 * SERVERS],
    /// `host:port`, where one was started.
    pub(crate) redis: Option<&'a str>,
    /// Where the packages of Node.js are.
    pub(crate) node_modules: Option<&'a Path>,
}

/// A program with its arguments.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) args: Vec<String>,
}

impl Program {
    pub(super) fn new(path: &str, args: impl IntoIterator<Item = String>) -> Self {
        Self { path: path.into(), args: args.into_iter().collect() }
    }
}

impl Product {
    /// Whether its servers meet in a Redis.
    pub(crate) fn needs_redis(self) -> bool {
        self != Self::Nats
    }

    /// The server of this number, from 0.
    ///
    /// # Errors
    /// When something is missing, or can't be written.
    pub(crate) fn server(self, setup: &Setup<'_>, number: usize) -> anyhow::Result<Program> {
        match self {
            Self::Signalbox => bail!("nodes are started in another way"),
            Self::Nats => nats::server(setup, number),
            Self::Nchan => nchan::server(setup, number),
            Self::SocketIo => socketio::server(setup, number),
        }
    }
}

/// Writes a file for a server; answers where it is.
pub(super) fn write(folder: &Path, name: &str, text: &str) -> anyhow::Result<String> {
    let path = folder.join(name);
    std::fs::write(&path, text).with_context(|| format!("{} can't be written", path.display()))?;
    Ok(path.display().to_string())
}
