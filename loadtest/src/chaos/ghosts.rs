//! Locks that are asked for while Redis can't be reached. Whoever is told that there is none for him, or that nobody
//! knows, must not hold one that a command took afterwards.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use futures_util::future::join_all;
use serde_json::json;
use signalbox_client::protocol::ErrorCode;
use signalbox_client::{Client, ClientConfig, RequestError, Unanswered};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Stage;
use crate::cluster::Cluster;
use crate::report::Report;
use crate::resp::{RedisConnection, Reply};

/// How long a lock would last.
const TTL: Duration = Duration::from_secs(2);

/// A client waits so long for an answer: longer than a node does.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// From one answer to the next question.
const REST: Duration = Duration::from_millis(50);

/// A node knows the clock of Redis to that.
const CLOCK: Duration = Duration::from_millis(100);

/// Clients that ask for one lock after the other, each for one that nobody asked for before.
#[derive(Debug)]
pub(super) struct Seekers {
    seekers: JoinSet<Vec<Asked>>,
    stop: CancellationToken,
}

/// A lock that was asked for.
#[derive(Debug)]
struct Asked {
    resource: String,
    told: Told,
    /// When that was told, since 1970.
    at: Duration,
}

/// What the node said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Granted,
    /// It is certain that nothing happened.
    Unavailable,
    Unknown,
}

/// All locks that were asked for.
#[derive(Debug, Default)]
pub(super) struct AskedFor(Vec<Asked>);

impl Seekers {
    /// One on each node.
    pub(super) async fn open(stage: &Stage<'_>) -> anyhow::Result<Self> {
        let connecting = stage.nodes.iter().enumerate().map(|(number, node)| {
            let config = ClientConfig::new(node.url(false)).query("tenant", Cluster::TENANT);
            Client::connect(
                config.query("agent_type", "service").query("agent_id", &format!("seeker-{number}")),
            )
        });
        let (mut seekers, stop) = (JoinSet::new(), CancellationToken::new());
        for (number, client) in join_all(connecting).await.into_iter().enumerate() {
            let client = client.context("a client that asks for locks can't connect")?;
            seekers.spawn_local(seek(client, number, stop.clone()));
        }
        Ok(Self { seekers, stop })
    }

    /// Asks no more; what is under way is still waited for.
    pub(super) async fn close(mut self) -> AskedFor {
        self.stop.cancel();
        let mut all = Vec::new();
        while let Some(asked) = self.seekers.join_next().await {
            all.extend(asked.unwrap_or_default());
        }
        AskedFor(all)
    }
}

async fn seek(client: Client, seeker: usize, stop: CancellationToken) -> Vec<Asked> {
    let mut all = Vec::new();
    while !stop.is_cancelled() {
        let resource = format!("ghost-{seeker}-{}", all.len());
        let question = json!({"resource": resource, "ttl_ms": TTL.as_millis() as u64});
        let answer = client.request("lock:acquire", question, None, ANSWER_WITHIN).await;
        let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        all.push(Asked { resource, told: told(&answer.map(|_| ())), at });
        sleep(REST).await;
    }
    client.close().await;
    all
}

fn told(answer: &Result<(), RequestError>) -> Told {
    match answer {
        Ok(()) => Told::Granted,
        Err(RequestError::Refused(fault) | RequestError::Unknown(Unanswered::Refused(fault)))
            if fault.code == ErrorCode::OutcomeUnknown =>
        {
            Told::Unknown
        }
        Err(RequestError::Unknown(_) | RequestError::Unreadable(_)) => Told::Unknown,
        Err(_) => Told::Unavailable,
    }
}

impl AskedFor {
    /// Looks for what Redis has of them, when whatever was held up has arrived there.
    pub(super) async fn look_after(&self, redis: u16, report: &mut Report) -> anyhow::Result<()> {
        let mut redis = RedisConnection::connect(&format!("127.0.0.1:{redis}")).await?;
        let mut ghosts = 0;
        for asked in &self.0 {
            // As a node writes it: until when, in milliseconds since 1970; kept for a day.
            let key = format!("sb:{{{}:{}}}:lock", Cluster::TENANT, asked.resource);
            let reply = redis.ask(&[b"GETRANGE", key.as_bytes(), b"0", b"12"]).await?;
            ghosts += u64::from(asked.is_ghost(ends(&reply)));
        }
        let count = |told| self.0.iter().filter(|asked| asked.told == told).count();
        report.result("locks_granted", count(Told::Granted));
        report.result("locks_unavailable", count(Told::Unavailable));
        report.result("locks_unknown", count(Told::Unknown));
        report.result("ghost_locks", ghosts);
        if ghosts > 0 {
            report.failure(format!("{ghosts} locks were taken for clients that had been told otherwise"));
        }
        Ok(())
    }
}

fn ends(reply: &Reply) -> Option<Duration> {
    let Reply::Bulk(Some(text)) = reply else { return None };
    std::str::from_utf8(text).ok()?.parse().ok().map(Duration::from_millis)
}

impl Asked {
    /// Whether a lock that ends then may not exist.
    fn is_ghost(&self, ends: Option<Duration>) -> bool {
        match (self.told, ends) {
            (Told::Granted, _) | (_, None) => false,
            (Told::Unavailable, Some(_)) => true,
            (Told::Unknown, Some(ends)) => ends > self.at + TTL + CLOCK,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ghost_is_a_lock_that_was_taken_after_it_was_given_up() {
        let at = Duration::from_secs(1_000_000);
        let asked = |told| Asked { resource: String::new(), told, at };
        let (in_time, late) = (at + TTL, at + TTL + Duration::from_secs(1));
        for (told, ends, is_ghost) in [
            (Told::Granted, Some(late), false),
            (Told::Unknown, None, false),
            (Told::Unknown, Some(in_time), false),
            (Told::Unknown, Some(late), true),
            (Told::Unavailable, None, false),
            (Told::Unavailable, Some(in_time), true),
        ] {
            assert_eq!(asked(told).is_ghost(ends), is_ghost, "{told:?} {ends:?}");
        }
    }

    #[test]
    fn the_end_of_a_lock_is_read() {
        let bulk = |text: &str| Reply::Bulk(Some(text.into()));
        assert_eq!(ends(&bulk("1763726400123")), Some(Duration::from_millis(1_763_726_400_123)));
        assert_eq!((ends(&bulk("")), ends(&Reply::Bulk(None))), (None, None));
    }
}
