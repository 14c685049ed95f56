//! The way that clients take: whether the load balancer lets a WebSocket through, and bears its silence.

use std::time::Duration;

use hyper::Uri;
use signalbox_client::{Bearer, Closed, ConnectError, Frame, Wire, WireConfig};
use tokio::time::{Instant, timeout};

use super::finding::Finding;
use crate::cli::road::{CaArgs, Dialer};
use crate::cli::with_causes;

/// How long after its time a node's ping may come.
const PING_LATE: Duration = Duration::from_secs(5);

/// An address on the command line.
pub(super) fn address(text: &str) -> anyhow::Result<Uri> {
    let uri: Uri = text.parse()?;
    let is_address = matches!(uri.scheme_str(), Some("ws" | "wss")) && uri.host().is_some();
    if !is_address || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        anyhow::bail!("it has to be ws://host[:port] or wss://host[:port], without a path");
    }
    Ok(uri)
}

pub(super) async fn findings(url: &Uri, bearer: Option<Bearer>, ca: &CaArgs) -> Vec<Finding> {
    let authority = url.authority().map_or("", |authority| authority.as_str());
    let scheme = url.scheme_str().unwrap_or("ws");
    let config = WireConfig { bearer, ..WireConfig::new(format!("{scheme}://{authority}/ws")) };
    match Dialer::try_new(url, ca) {
        Ok(dialer) => through(&config, dialer).await,
        Err(error) => {
            let advice = "install the system's certificates, or name those to believe with --ca-file";
            vec![Finding::wrong("balancer", with_causes(&error), advice)]
        }
    }
}

async fn through(config: &WireConfig, mut dialer: Dialer) -> Vec<Finding> {
    let connected = Wire::connect_over(&mut dialer, config).await;
    let (mut wire, welcome) = match connected {
        Ok(connected) => connected,
        Err(error) => return vec![not_connected(&config.url, error)],
    };
    let met = format!("{} leads to node {}", config.url, welcome.node_id);
    let silence = Duration::from_secs(welcome.heartbeat_seconds);
    let mut findings = vec![Finding::ok("balancer", met)];
    let mut began = Instant::now();
    let mut pinged = timeout(silence + PING_LATE, next_ping(&mut wire)).await;
    if matches!(pinged, Ok(Ok(()))) {
        // The first one may come sooner.
        began = Instant::now();
        pinged = timeout(silence + PING_LATE, next_ping(&mut wire)).await;
    }
    findings.push(borne(silence, began.elapsed(), pinged.ok()));
    wire.close().await;
    findings
}

/// Says nothing until the node has missed it.
async fn next_ping<S>(wire: &mut Wire<S>) -> Result<(), Closed>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    loop {
        match wire.next().await? {
            Frame::Heartbeat => return Ok(()),
            Frame::Text(_) | Frame::Binary(_) => {}
        }
    }
}

fn borne(silence: Duration, waited: Duration, pinged: Option<Result<(), Closed>>) -> Finding {
    let subject = "balancer.silence";
    let timeouts = "let it bear an hour of silence (nginx: proxy_read_timeout 3600s), twice heartbeat.interval at the very least";
    match pinged {
        Some(Ok(())) => Finding::ok(subject, format_args!("{silence:?} are borne, then the node pings")),
        Some(Err(closed)) => {
            Finding::wrong(subject, format_args!("cut after {waited:.1?} without a word: {closed}"), timeouts)
        }
        None => {
            let found = format!("no ping of the node came within {waited:.1?}");
            Finding::wrong(
                subject,
                found,
                "something between keeps WebSocket frames back: switch its buffering off",
            )
        }
    }
}

fn not_connected(url: &str, error: ConnectError) -> Finding {
    let subject = "balancer";
    match error {
        ConnectError::Closed(closed) => {
            let advice = "give --token-file to try the rest";
            Finding::warning(subject, format_args!("{url} leads to a node, which said: {closed}"), advice)
        }
        ConnectError::Refused { status: status @ (200 | 400 | 426), .. } => {
            let found = format!("{url} answers {status} in place of upgrading to a WebSocket");
            let advice = "let it pass Upgrade and Connection on, by HTTP/1.1 (nginx: proxy_http_version 1.1, proxy_set_header)";
            Finding::wrong(subject, found, advice)
        }
        ConnectError::Refused { status: status @ 502..=504, .. } => {
            let found = format!("{url} answers {status}: it finds no node that is ready");
            Finding::wrong(subject, found, "ask the nodes: /readyz?verbose")
        }
        other => {
            let found = format!("{url}: {}", with_causes(&other.into()));
            Finding::wrong(
                subject,
                found,
                "check its name, its port, its certificate, and the network between",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_scheme_and_no_path() {
        for good in ["ws://127.0.0.1:8080", "wss://fleet.example.com", "wss://fleet.example.com/"] {
            assert!(address(good).is_ok(), "{good}");
        }
        for bad in ["fleet.example.com", "http://fleet", "ws://fleet/ws", "ws://fleet?x", "", "ws://"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
