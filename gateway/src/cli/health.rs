//! `signalbox health`: whether the node that is configured here is well, for health checks where there is no curl.
//!
//! It asks where that node listens. A node that serves TLS has to show the certificate of its configuration; that is
//! believed whatever its name says, since nobody connects to a node's own machine by the name of the service.

use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use clap::Args;
use http_body_util::Full;
use hyper::{Method, StatusCode};

use super::api::period;
use super::road::this_node;
use super::settings::SettingArgs;
use super::{Failure, say, small_runtime};
use crate::outbound::{AskError, Bounds};

/// Bytes of an answer that are shown.
const ANSWER_BYTES_MAX: usize = 64 << 10;

#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    #[command(flatten)]
    settings: SettingArgs,
    /// Ask whether clients may be sent to it (/readyz), not only whether it lives (/livez)
    #[arg(long)]
    ready: bool,
    /// Give up after this time
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = period)]
    timeout: Duration,
}

pub(super) fn run(args: &HealthArgs) -> Result<(), Failure> {
    let server = this_node(&args.settings.load()?.config)?;
    let address = server.address();
    let path = if args.ready { "/readyz?verbose" } else { "/livez" };
    let request = server.request(Method::GET, path).body(Full::<Bytes>::default());
    let bounds = Bounds { time: args.timeout, bytes_max: ANSWER_BYTES_MAX };
    let asking = server.ask(request.context("an address is no header")?, bounds);
    let answer = small_runtime()?.block_on(asking).map_err(|error| match error {
        AskError::Connect(error) => anyhow!(error).context(format!("no node answers at {address}")),
        other => anyhow!(other).context(format!("no answer from {address}")),
    })?;
    let text = String::from_utf8_lossy(&answer.body);
    if answer.status != StatusCode::OK {
        return Err(anyhow!("{address} says {}: {}", answer.status, text.trim_end()).into());
    }
    Ok(say(&text)?)
}
