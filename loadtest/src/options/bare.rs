//! What is compared with bare servers, and what one of them is told.

use std::time::Duration;

use clap::Args;

use super::seconds;
use crate::bare::Manner;

/// What to compare with.
#[derive(Debug, Args)]
pub(crate) struct Bare {
    /// Run bare servers of this machine in the same way for so many seconds, for comparison; 0 to leave them out
    #[arg(long, default_value = "3", value_parser = seconds)]
    pub(crate) bare_seconds: Duration,
}

/// A bare server.
#[derive(Debug, Args)]
pub(crate) struct BareServer {
    /// How it hands on what it gets
    pub(crate) manner: Manner,
    /// HOST:PORT to listen on
    #[arg(long)]
    pub(crate) listen: String,
}
