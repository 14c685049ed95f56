//! The process's log: lines on stderr, for people or for machines.

use std::io::{self, IsTerminal};

use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::Failure;
use crate::config::log_filter::log_filter;
use crate::config::{Log, LogFormat};

/// Sends log events to stderr from now on. `RUST_LOG`, if set, replaces `log.filter`.
pub(super) fn start(log: &Log) -> Result<(), Failure> {
    let by_variable = std::env::var("RUST_LOG").ok().filter(|filter| !filter.is_empty());
    let filter = log_filter(by_variable.as_ref().unwrap_or(&log.filter)).ok_or(Failure::BadRustLog)?;
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let lines = match log.format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
    Ok(())
}
