//! `signalbox serve`, and `signalbox` alone: a node until it is told to stop.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use tokio::runtime::Builder;

use super::settings::SettingArgs;
use super::{Failure, logging, say};
use crate::config::LogFormat;
use crate::gateway;

/// Of a worker that always has something to do, so many tasks are polled before it looks at its sockets again. Tokio's
/// 61 let bursts of questions delay others half as much again; what this costs was not measurable (docs/decisions.md).
const POLLS_BETWEEN_EVENTS: u32 = 16;
/// How long what still runs when the node has stopped may hold up the end of the process.
const RUNTIME_END_WAIT: Duration = Duration::from_secs(1);

pub(super) fn run(args: &SettingArgs) -> Result<(), Failure> {
    let config = args.load()?.config;
    logging::start(&config.log)?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(config.worker_threads())
        .thread_name("signalbox")
        .event_interval(POLLS_BETWEEN_EVENTS)
        .enable_all()
        .build()
        .context("the runtime could not be started")?;
    let for_a_person = config.redis.url.is_none() && config.log.format == LogFormat::Text;
    let encrypted = config.tls_files().is_some();
    let result = runtime.block_on(gateway::serve(config, |address| {
        if for_a_person {
            // Nobody reads it: then nobody misses it.
            say(&what_to_try(address, encrypted)).ok();
        }
    }));
    runtime.shutdown_timeout(RUNTIME_END_WAIT);
    Ok(result.map_err(anyhow::Error::from)?)
}

/// What somebody who started a node for the first time can do next.
fn what_to_try(bound: SocketAddr, encrypted: bool) -> String {
    let address = reachable(bound);
    let s = if encrypted { "s" } else { "" };
    let example =
        r#"'{"type":"vehicle:position_update","target":"route:12","data":{"lat":48.1,"lon":11.5}}'"#;
    format!(
        "Signalbox is running, embedded: one node, everything in memory. Stop it with Ctrl-C.\n\n\
         \x20 WebSocket  ws{s}://{address}/ws?agent_type=passenger&agent_id=P1\n\
         \x20 health     curl http{s}://{address}/healthz?verbose\n\n\
         Try in another terminal:\n\
         \x20 signalbox connect ws{s}://{address}/ws --as passenger:P1\n\
         \x20     then type: system:subscribe {{\"topics\":[\"route:12\"]}}\n\
         and in a third one:\n\
         \x20 curl -d {example} http{s}://{address}/api/publish\n\n\
         A cluster: signalbox serve --redis redis://127.0.0.1:6379/0, as often as you like.\n\
         Every setting: signalbox config default\n"
    )
}

/// An address that can be connected to, for one that is listened on.
pub(super) fn reachable(bound: SocketAddr) -> SocketAddr {
    let ip = match bound {
        SocketAddr::V4(_) if bound.ip().is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) if bound.ip().is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        SocketAddr::V4(_) | SocketAddr::V6(_) => bound.ip(),
    };
    SocketAddr::new(ip, bound.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_banner_tells_addresses_that_work() {
        for (bound, shown) in [
            ("127.0.0.1:8443", "wss://127.0.0.1:8443/ws"),
            ("127.0.0.1:8080", "ws://127.0.0.1:8080/ws"),
            ("0.0.0.0:81", "ws://127.0.0.1:81/ws"),
            ("[::]:81", "ws://[::1]:81/ws"),
        ] {
            let text = what_to_try(bound.parse().unwrap(), shown.starts_with("wss"));
            assert!(text.contains(shown), "{text}");
        }
    }
}
