//! `signalbox health`: whether the node that is configured here is well, for health checks where there is no curl.
//!
//! It asks where that node listens. A node that serves TLS has to show the certificate of its configuration; that is
//! believed whatever its name says, since nobody connects to a node's own machine by the name of the service.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::handshake;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_util::task::TaskTracker;

use super::api::period;
use super::serve::reachable;
use super::settings::SettingArgs;
use super::{Failure, say, small_runtime};
use crate::tls::TlsFiles;

mod own_certificate;

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
    let config = args.settings.load()?.config;
    let address = reachable(config.listen);
    let path = if args.ready { "/readyz?verbose" } else { "/livez" };
    let asking = async { timeout(args.timeout, ask(address, config.tls_files(), path)).await };
    let answer = small_runtime()?.block_on(asking);
    let (status, text) =
        answer.map_err(|_| anyhow!("no answer from {address} within {:?}", args.timeout))??;
    if status != StatusCode::OK {
        return Err(anyhow!("{address} says {status}: {}", text.trim_end()).into());
    }
    Ok(say(&text)?)
}

async fn ask(address: SocketAddr, tls: Option<TlsFiles>, path: &str) -> anyhow::Result<(StatusCode, String)> {
    let stream =
        TcpStream::connect(address).await.with_context(|| format!("no node answers at {address}"))?;
    let Some(files) = tls else { return exchange(stream, address, path).await };
    let connector = own_certificate::connector(&files.certificate)?;
    let name = ServerName::IpAddress(address.ip().into());
    let stream =
        connector.connect(name, stream).await.context("this is not the node, or not its certificate")?;
    exchange(stream, address, path).await
}

async fn exchange<S>(stream: S, host: SocketAddr, path: &str) -> anyhow::Result<(StatusCode, String)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    // What it ends with, the exchange hears as well.
    TaskTracker::new().spawn(async { drop(connection.await) });
    let request = Request::get(path).header(HOST, host.to_string()).body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await.context("the connection broke off")?;
    let status = response.status();
    let Ok(body) = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await else {
        bail!("the answer of {host} could not be read");
    };
    Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
}
