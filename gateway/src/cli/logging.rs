//! The process's log: lines on stderr, for people or for machines.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use super::Failure;
use crate::config::{Log, LogFormat};

/// Sends log events to stderr from now on. `RUST_LOG`, if set, replaces `log.filter`.
pub(super) fn start(log: &Log) -> Result<(), Failure> {
    let by_variable = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let filter =
        EnvFilter::try_new(by_variable.as_ref().unwrap_or(&log.filter)).map_err(Failure::BadRustLog)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match log.format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).init(),
    }
    Ok(())
}
