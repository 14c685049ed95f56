//! `signalbox connect URL`: what arrives goes to stdout, a line each; lines of stdin are sent.
//!
//! Works as well with pipes as with a terminal: at the end of stdin it stays for `--linger`, then closes.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use signalbox_client::{ConnectError, Frame, Wire, WireConfig};
use signalbox_protocol::Agent;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::api::{encoded, period, refusal};
use super::credentials::TokenArgs;
use super::road::{CaArgs, Dialer};
use super::token::agent;
use super::{Failure, line, say, small_runtime};
use crate::outbound::Stream;

/// Lines read ahead of what was sent.
const LINES_AHEAD: usize = 16;

#[derive(Debug, Args)]
pub(super) struct ConnectArgs {
    /// Where to connect, e.g. ws://127.0.0.1:8080/ws/vehicle-events, or wss://..
    #[arg(value_name = "URL", value_parser = web_socket_url)]
    url: String,
    /// Connect as this agent, e.g. vehicle:V1 (where anonymous identities are allowed)
    #[arg(long = "as", value_name = "TYPE:ID", value_parser = agent)]
    agent: Option<Agent>,
    #[command(flatten)]
    token: TokenArgs,
    #[command(flatten)]
    ca: CaArgs,
    /// Stay so long after the end of stdin
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = period)]
    linger: Duration,
}

pub(super) fn run(args: &ConnectArgs) -> Result<(), Failure> {
    Ok(small_runtime()?.block_on(converse(args))?)
}

async fn converse(args: &ConnectArgs) -> anyhow::Result<()> {
    let url = url_as(&args.url, args.agent.as_ref());
    let config = WireConfig { bearer: args.token.read()?.bearer(), ..WireConfig::new(url) };
    let mut dialer = Dialer::try_new(&config.url.parse()?, &args.ca)?;
    let (mut wire, welcome) = Wire::connect_over(&mut dialer, &config).await.map_err(not_connected)?;
    say(&format!(r#"{{"type":"system:welcome","data":{}}}"#, serde_json::to_string(&welcome)?))?;
    let mut lines = lines_of_stdin()?;
    let mut unsent = 0_usize;
    let mut end = None;
    loop {
        tokio::select! {
            frame = wire.next() => match frame {
                Ok(Frame::Text(text)) => say(&text)?,
                Ok(Frame::Heartbeat | Frame::Binary(_)) => {}
                Err(closed) => bail!("{closed}"),
            },
            line = lines.recv(), if end.is_none() => match line {
                Some(line) => unsent += usize::from(!send(&mut wire, &line?).await?),
                None => end = Some(Instant::now() + args.linger),
            },
            () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => break,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                break;
            }
        }
    }
    wire.close().await;
    if unsent > 0 && !io::stdin().is_terminal() {
        bail!("{unsent} of the lines could not be sent");
    }
    Ok(())
}

/// A refusal is told as the API's other answers are.
fn not_connected(error: ConnectError) -> anyhow::Error {
    match error {
        ConnectError::Refused { status, body, .. } => refusal(status, body.as_bytes()),
        other => other.into(),
    }
}

/// Sends what `line` stands for. Whoever typed something else is told so and may try again.
async fn send(wire: &mut Wire<Stream>, line: &str) -> anyhow::Result<bool> {
    match line::envelope(line) {
        Ok(None) => Ok(true),
        Ok(Some(envelope)) => {
            wire.queue(envelope).map_err(|closed| anyhow!("{closed}"))?;
            if !wire.has_room() {
                wire.flush().await.map_err(|closed| anyhow!("{closed}"))?;
            }
            Ok(true)
        }
        Err(bad) => {
            writeln!(io::stderr(), "not sent: {bad}")?;
            Ok(false)
        }
    }
}

/// A thread that may block in `read` as long as the process lives: a terminal's read cannot be cancelled.
fn lines_of_stdin() -> anyhow::Result<mpsc::Receiver<io::Result<String>>> {
    let (sender, receiver) = mpsc::channel(LINES_AHEAD);
    std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        for line in io::stdin().lines() {
            let last = line.is_err();
            if sender.blocking_send(line).is_err() || last {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// The address with the agent in its query.
fn url_as(url: &str, agent: Option<&Agent>) -> String {
    let Some(agent) = agent else { return url.to_owned() };
    let separator = if url.contains('?') { '&' } else { '?' };
    let (agent_type, agent_id) = (encoded(agent.agent_type()), encoded(agent.agent_id()));
    format!("{url}{separator}agent_type={agent_type}&agent_id={agent_id}")
}

/// An address with at least the path `/ws`, which nobody should have to remember.
fn web_socket_url(text: &str) -> Result<String, String> {
    let form = "it has to be ws://host:port/ws or wss://host:port/ws, or with a namespace, /ws/namespace";
    let uri: hyper::Uri = text.parse().map_err(|error| format!("{form}: {error}"))?;
    if !matches!(uri.scheme_str(), Some("ws" | "wss")) || uri.host().is_none_or(str::is_empty) {
        return Err(form.to_owned());
    }
    let (scheme, authority) =
        (uri.scheme_str().unwrap_or("ws"), uri.authority().map_or("", |name| name.as_str()));
    let path = if uri.path() == "/" { "/ws" } else { uri.path() };
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    Ok(format!("{scheme}://{authority}{path}{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_completed() {
        for (given, expected) in [
            ("ws://127.0.0.1:8080", "ws://127.0.0.1:8080/ws"),
            ("ws://127.0.0.1:8080/?pillar=x", "ws://127.0.0.1:8080/ws?pillar=x"),
            ("ws://[::1]:1/ws/vehicle-events", "ws://[::1]:1/ws/vehicle-events"),
            ("wss://example.org/ws?tenant=a", "wss://example.org/ws?tenant=a"),
        ] {
            assert_eq!(web_socket_url(given).unwrap(), expected);
        }
        for bad in ["", "127.0.0.1:8080", "http://127.0.0.1/ws", "ws:///ws", "ws://"] {
            assert!(web_socket_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_agent_goes_into_the_query() {
        let vehicle = agent("vehicle:V+1").unwrap();
        assert_eq!(url_as("ws://h/ws", Some(&vehicle)), "ws://h/ws?agent_type=vehicle&agent_id=V%2B1");
        assert_eq!(
            url_as("ws://h/ws?a=1", Some(&vehicle)),
            "ws://h/ws?a=1&agent_type=vehicle&agent_id=V%2B1"
        );
        assert_eq!(url_as("ws://h/ws", None), "ws://h/ws");
        assert!(agent("vehicle").is_err());
    }
}
