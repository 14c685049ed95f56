//! The machine: how many files may be open, who has the port, and whether a stop gets done in its time.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use signalbox_protocol::control::HealthCheck;

use super::super::http::Http;
use super::super::road::this_node;
use super::finding::Finding;
use crate::cli::with_causes;
use crate::config::Config;
use crate::stop::{Pace, time_to_part};
use crate::tls::Tls;

/// Files that a node needs besides one for each connection.
const FILES_BESIDE: u64 = 256;
/// Fewer are too few to begin with, if nothing bounds the connections.
const FILES_EXPECTED: u64 = 65_536;
/// How long the one who has the port may take to say who it is.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

pub(super) async fn findings(config: &Config) -> Vec<Finding> {
    let files = open_files(config.limits.connections_max, limit_of_files());
    [Some(files), Some(stop(config)), tls(config), Some(port(config).await)].into_iter().flatten().collect()
}

/// The soft limit of this process, where the system tells it.
fn limit_of_files() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        soft => soft.parse().ok(),
    }
}

fn open_files(connections_max: u32, limit: Option<u64>) -> Finding {
    let subject = "open files";
    let advice = "raise it where the node is started: LimitNOFILE= of its unit, `ulimit -n` of its shell";
    let needed = u64::from(connections_max) + FILES_BESIDE;
    match limit {
        None => Finding::ok(subject, "this system does not tell its limit"),
        Some(limit) if connections_max > 0 && limit < needed => {
            let found =
                format!("{limit} here, and limits.connections_max = {connections_max} needs {needed}");
            Finding::wrong(subject, found, advice)
        }
        Some(limit) if connections_max == 0 && limit < FILES_EXPECTED => {
            let found = format!("{limit} here: that many connections less {FILES_BESIDE}, and no more");
            Finding::warning(subject, found, advice)
        }
        Some(limit) => Finding::ok(subject, format_args!("{limit} here")),
    }
}

fn stop(config: &Config) -> Finding {
    let (stop, most) = (&config.stop, config.limits.connections_max);
    let parting = time_to_part(stop.timeout).saturating_sub(stop.balancer_wait + config.close.timeout);
    // 10 % below the set rate, as `Pace` serves.
    let seen_off = parting.as_secs_f64() / Pace::new(stop.closes_per_second).due(1).as_secs_f64();
    let found = format!("stop.timeout is enough for {seen_off:.0} connections");
    if most == 0 || f64::from(most) <= seen_off {
        return Finding::ok("stop", found);
    }
    let advice =
        "raise stop.timeout and the grace period of whoever sends SIGKILL, or stop.closes_per_second";
    Finding::warning("stop", format_args!("{found}, and limits.connections_max = {most}"), advice)
}

/// Whether a node could serve TLS, if it is to.
fn tls(config: &Config) -> Option<Finding> {
    Some(match Tls::load(config.tls_files()?) {
        Ok(_) => Finding::ok("tls", "certificate and key fit"),
        Err(error) => {
            let advice = "give tls.certificate the server's chain and tls.key its key, in PEM, readable by the node's user";
            Finding::wrong("tls", with_causes(&error.into()), advice)
        }
    })
}

/// Whether a node could listen there, or does.
async fn port(config: &Config) -> Finding {
    let (subject, listen) = ("port", config.listen);
    match TcpListener::bind(listen) {
        Ok(_free) => Finding::ok(subject, format_args!("{listen} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => match who_answers(config).await {
            Ok(node) => {
                let HealthCheck { node_id, connections, .. } = node;
                Finding::ok(
                    subject,
                    format_args!("{listen} is node {node_id} with {connections} connections"),
                )
            }
            Err(error) => {
                let found = format!("somebody else has {listen}: it does not answer as a node ({error:#})");
                Finding::wrong(subject, found, "end it, or let the node listen elsewhere (listen)")
            }
        },
        Err(error) => {
            let found = format!("{listen} can't be listened on: {error}");
            Finding::wrong(
                subject,
                found,
                "choose an address of this machine, and a port that this user may have",
            )
        }
    }
}

async fn who_answers(config: &Config) -> anyhow::Result<HealthCheck> {
    Http::new(vec![this_node(config)?], None, ANSWER_WITHIN).get("/healthz", &[]).await?.json()
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn files_have_to_be_enough_for_the_connections_that_are_promised() {
        for (connections_max, limit, verdict) in [
            (0, Some(1_048_576), Verdict::Ok),
            (0, Some(1_024), Verdict::Warning),
            (20_000, Some(20_256), Verdict::Ok),
            (20_000, Some(20_255), Verdict::Wrong),
            (20_000, Some(u64::MAX), Verdict::Ok),
            (20_000, None, Verdict::Ok),
        ] {
            assert_eq!(open_files(connections_max, limit).verdict, verdict, "{connections_max} {limit:?}");
        }
        assert!(limit_of_files().is_some_and(|limit| limit > 0), "Linux tells");
    }

    #[test]
    fn a_stop_has_to_be_long_enough_for_the_connections_that_are_promised() {
        let mut config = Config::default();
        assert_eq!(stop(&config).found, "stop.timeout is enough for 9545 connections");
        config.limits.connections_max = 9_545;
        assert_eq!(stop(&config).verdict, Verdict::Ok);
        config.limits.connections_max = 9_546;
        assert_eq!(stop(&config).verdict, Verdict::Warning);
    }

    #[tokio::test]
    async fn a_port_is_free_or_taken_or_not_of_this_machine() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let answering = tokio::task::spawn_blocking(move || {
            let (peer, _) = taken.accept().unwrap();
            drop(peer);
        });
        let port = async |listen| port(&Config { listen, ..Config::default() }).await;
        let found = port(address).await;
        assert_eq!(found.verdict, Verdict::Wrong, "{found:?}");
        answering.await.unwrap();
        assert_eq!(port("127.0.0.1:0".parse().unwrap()).await.verdict, Verdict::Ok);
        assert_eq!(port("203.0.113.1:80".parse().unwrap()).await.verdict, Verdict::Wrong);
    }
}
