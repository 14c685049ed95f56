//! What the nodes share: whether it is there, fit for it, and who is in its list.

use std::collections::BTreeMap;
use std::time::Duration;

use signalbox_registry::redis::{Examination, Mode, RedisConfig, examine};

use super::finding::Finding;
use super::nodes::{self, NodeRoad};
use crate::cli::with_causes;
use crate::config::Config;
use crate::gateway::redis_config;

/// The oldest version that has what the scripts need.
const VERSION_MIN: u32 = 7;
/// A way there and back that is longer is felt by every message that is acknowledged.
const ROUND_TRIP_EXPECTED: Duration = Duration::from_millis(5);
/// Clocks that differ by more make times in messages and the ends of tokens doubtful.
const CLOCK_EXPECTED_MS: u64 = 1_000;
/// Connections that should be left for nodes that are still to come.
const CONNECTIONS_LEFT: u64 = 100;

pub(super) async fn findings(config: &Config, road: &NodeRoad) -> Vec<Finding> {
    let redis = match redis_config(config) {
        Ok(Some(redis)) => redis,
        Ok(None) => return vec![embedded(config)],
        Err(error) => {
            return vec![Finding::wrong("redis", with_causes(&error.into()), "see redis.ca_file")];
        }
    };
    match examine(&redis).await {
        Ok(examined) => {
            let mut findings = servers(config, &redis, examined.servers);
            findings.extend(nodes::findings(&examined.nodes, road).await);
            findings
        }
        Err(error) => {
            let place = config.redis.url.as_ref().map(ToString::to_string).unwrap_or_default();
            vec![unreachable(&place, error)]
        }
    }
}

fn unreachable(place: &str, error: signalbox_registry::Error) -> Finding {
    let advice = "check redis.url (host, port, user, password, redis:// or rediss://), redis.mode, the network between, and \
                  whether Redis runs; a node waits for it and is not ready meanwhile";
    Finding::wrong("redis", format_args!("{place}: {}", with_causes(&error.into())), advice)
}

/// What is to be said of the one Redis, or of each master of a Cluster by its address.
fn servers(
    config: &Config,
    redis: &RedisConfig,
    servers: Vec<(String, Result<Examination, signalbox_registry::Error>)>,
) -> Vec<Finding> {
    let (is_cluster, mut findings, mut clocks) = (redis.mode == Mode::Cluster, Vec::new(), Vec::new());
    for (address, seen) in servers {
        let seen = match seen {
            Ok(seen) => seen,
            Err(error) => {
                findings.push(unreachable(&address, error));
                continue;
            }
        };
        clocks.extend(seen.clock_ahead_ms);
        let place = if is_cluster { format!("{address}: ") } else { String::new() };
        let of_server = judged(config, &seen).into_iter();
        findings
            .extend(of_server.map(|finding| Finding { found: place.clone() + &finding.found, ..finding }));
    }
    findings.extend(clocks_of_all(&clocks, redis.command_timeout).filter(|_| is_cluster));
    findings
}

/// Scripts carry the time until which they count by the clock of one server.
fn clocks_of_all(ahead_ms: &[i64], command_timeout: Duration) -> Option<Finding> {
    let apart = ahead_ms.iter().max()?.abs_diff(*ahead_ms.iter().min()?);
    let found = format!("the servers' are {apart} ms apart");
    if u128::from(apart) <= command_timeout.as_millis() / 2 {
        return Some(Finding::ok("redis.clocks", found));
    }
    let advice = "let all servers follow the same time servers: what comes later than redis.command_timeout by a server's \
                  clock is refused";
    Some(Finding::wrong("redis.clocks", found, advice))
}

fn embedded(config: &Config) -> Finding {
    if config.listens_on_loopback() {
        return Finding::ok("redis", "none: this node is alone, and keeps everything in memory");
    }
    let advice = "set redis.url, unless one node that forgets everything when it stops is what you want";
    Finding::warning("redis", "none: this node is alone, and keeps everything in memory", advice)
}

/// What is to be said of a Redis that answered.
fn judged(config: &Config, seen: &Examination) -> Vec<Finding> {
    let mut findings = vec![version(&seen.info), latency(seen), permissions(seen)];
    findings.extend(seen.clock_ahead_ms.map(clock));
    if !seen.info.is_empty() {
        let info = Info(&seen.info);
        findings.extend([memory(info), eviction(info), persistence(info), connections(info)]);
        findings.push(replication(info, config.durable.replicas));
    }
    findings
}

/// The fields of `INFO`.
#[derive(Clone, Copy)]
struct Info<'a>(&'a BTreeMap<String, String>);

impl Info<'_> {
    fn text(&self, field: &str) -> &str {
        self.0.get(field).map_or("", String::as_str)
    }

    fn number(&self, field: &str) -> u64 {
        self.text(field).parse().unwrap_or(0)
    }
}

fn version(info: &BTreeMap<String, String>) -> Finding {
    let Some(version) = info.get("redis_version") else {
        let advice = "let its user run INFO: without it nobody is told what a failover lost";
        return Finding::wrong("redis", "does not tell its version", advice);
    };
    let major = version.split('.').next().and_then(|major| major.parse().ok());
    if major.is_some_and(|major: u32| major >= VERSION_MIN) {
        return Finding::ok("redis", format_args!("version {version}"));
    }
    Finding::wrong("redis", format_args!("version {version}"), format_args!("use {VERSION_MIN} or later"))
}

fn latency(seen: &Examination) -> Finding {
    let middle = seen.round_trips.get(seen.round_trips.len() / 2).copied().unwrap_or_default();
    let longest = seen.round_trips.last().copied().unwrap_or_default();
    let found = format!("{middle:.1?} there and back, {longest:.1?} at most");
    if middle <= ROUND_TRIP_EXPECTED {
        return Finding::ok("redis.latency", found);
    }
    let advice =
        "put Redis into the same network: every acknowledged message and every lock takes so long at least";
    Finding::warning("redis.latency", found, advice)
}

fn clock(ahead_ms: i64) -> Finding {
    let found = format!("{ahead_ms} ms ahead of this machine's");
    if ahead_ms.unsigned_abs() <= CLOCK_EXPECTED_MS {
        return Finding::ok("redis.clock", found);
    }
    let advice =
        "let both machines follow the same time servers: leases go by Redis' clock, tokens by the node's";
    Finding::warning("redis.clock", found, advice)
}

fn permissions(seen: &Examination) -> Finding {
    if seen.denied.is_empty() {
        return Finding::ok("redis.permissions", "all that a node needs");
    }
    let denied = seen.denied.join(", ").to_lowercase();
    let advice = "docs/operations.md has the rules of a user that is enough; mind the keys and channels of redis.prefix";
    Finding::wrong("redis.permissions", format_args!("this user may not: {denied}"), advice)
}

fn memory(info: Info<'_>) -> Finding {
    let (used, most) = (info.number("used_memory"), info.number("maxmemory"));
    let subject = "redis.memory";
    let mib = |bytes: u64| bytes >> 20;
    if most == 0 {
        let advice = "set maxmemory below what the machine has: better a refused write than a Redis that the system ends";
        return Finding::warning(subject, format_args!("{} MiB used, without a limit", mib(used)), advice);
    }
    let found = format!("{} of {} MiB used", mib(used), mib(most));
    let advice = "raise maxmemory: docs/operations.md says what a connection and a log cost";
    match used.saturating_mul(100) / most {
        ..80 => Finding::ok(subject, found),
        80..95 => Finding::warning(subject, found, advice),
        _ => Finding::wrong(subject, found, advice),
    }
}

fn eviction(info: Info<'_>) -> Finding {
    let policy = info.text("maxmemory_policy");
    let (subject, found) = ("redis.eviction", format!("maxmemory-policy {policy}"));
    let advice = "CONFIG SET maxmemory-policy noeviction, and the same in its file: what is evicted are locks, leases and \
                  acknowledged messages";
    match policy {
        "noeviction" => Finding::ok(subject, found),
        _ if info.number("maxmemory") == 0 => Finding::warning(subject, found, advice),
        _ => Finding::wrong(subject, found, advice),
    }
}

fn persistence(info: Info<'_>) -> Finding {
    let subject = "redis.persistence";
    let failed = |field: &str| !matches!(info.text(field), "" | "ok");
    if failed("aof_last_write_status")
        || failed("aof_last_bgrewrite_status")
        || failed("rdb_last_bgsave_status")
    {
        let found = "Redis could not write its data to the disk the last time";
        return Finding::wrong(subject, found, "look into its log: the disk may be full, or not its own");
    }
    if info.number("aof_enabled") == 1 {
        return Finding::ok(subject, "append-only file");
    }
    let advice = "appendonly yes, unless a replica takes over (then see durable.replicas): after a crash everybody is told that \
                  messages may be missing, and boardings and locks since the last snapshot are gone";
    Finding::warning(subject, "no append-only file", advice)
}

fn connections(info: Info<'_>) -> Finding {
    let (open, most) = (info.number("connected_clients"), info.number("maxclients"));
    let found = format!("{open} of {most} connections");
    if most == 0 || most.saturating_sub(open) >= CONNECTIONS_LEFT {
        return Finding::ok("redis.connections", found);
    }
    Finding::warning(
        "redis.connections",
        found,
        "raise maxclients: each node takes up to redis.links + redis.pool_size + 3",
    )
}

fn replication(info: Info<'_>, wanted: u32) -> Finding {
    let (subject, role) = ("redis.replication", info.text("role"));
    if role != "master" {
        let advice = "name the primary in redis.url: a replica takes no writes";
        return Finding::wrong(subject, format_args!("its role is {role}"), advice);
    }
    let replicas = info.number("connected_slaves");
    let found = format!("the primary, with {replicas} replicas");
    if replicas >= u64::from(wanted) {
        return Finding::ok(subject, found);
    }
    let advice = "connect replicas, or lower durable.replicas: until then no durable message is acknowledged";
    Finding::wrong(subject, format_args!("{found}, and durable.replicas = {wanted}"), advice)
}

#[cfg(test)]
mod tests;
