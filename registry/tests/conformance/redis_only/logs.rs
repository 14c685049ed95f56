//! Logs when Redis is restarted, replaced, emptied or slow, and what is left in it.

use std::time::Duration;

use signalbox_protocol::control::Discontinuity;
use signalbox_registry::Error;
use signalbox_registry::log::{Appended, Entry, Strict};
use signalbox_registry::redis::RedisConfig;
use signalbox_testkit::{Forwarder, RedisServer, eventually};
use tokio::time::sleep;

use super::{calls, node_with, without_a_lease};
use crate::log::{at, entries, entry};
use crate::world::{Node, SOON, log_settings, tenant, topic};

async fn node_at(id: &str, url: &str) -> Node {
    node_with(id, &RedisConfig { log: log_settings(), ..RedisConfig::new(url) }).await
}

/// Appends as soon as Redis is there again.
async fn says_again(node: &Node, message: &Entry) -> Appended {
    let log = &node.cluster.log;
    eventually("it can be said", SOON, || async { log.append(message).await.is_ok() }).await;
    node.appends(message).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_begins_another_epoch_even_if_nothing_was_lost() {
    let mut server = RedisServer::start_durable().await;
    let node = node_at("a", &server.url()).await;
    let (spoken, silent) = (node.says("route:1", 1..=3).await, node.head("vehicle:V1").await);
    server.kill();
    server.start_again().await;
    let next = says_again(&node, &entry("route:1", "after", "after")).await.position;
    assert!(next.offset == 4 && next.epoch != spoken.epoch, "{next:?}");
    assert_eq!(node.broken("route:1", &spoken).await, (Discontinuity::Epoch, next.clone()));
    assert_eq!(node.broken("vehicle:V1", &silent).await.0, Discontinuity::Epoch);
    let after = node.says("route:1", 5..=5).await;
    assert_eq!(after, at(&next.epoch, 5), "the new epoch stays");
    assert_eq!(entries(&node.page("route:1", &next).await), [(5, "m5".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_looks_first_after_a_restart_begins_the_epoch_too() {
    let mut server = RedisServer::start_durable().await;
    let node = node_at("a", &server.url()).await;
    let spoken = node.says("route:1", 1..=3).await;
    server.kill();
    server.start_again().await;
    node.ready().await;
    let log = &node.cluster.log;
    let topics = [(tenant("acme"), topic("route:1"))];
    eventually("it can be asked", SOON, || async { log.heads(&topics).await.is_ok() }).await;
    let head = node.head("route:1").await;
    assert!(head.offset == 3 && head.epoch != spoken.epoch, "{head:?}");
    assert_eq!(node.head("route:1").await, head, "and it stays");
    assert_eq!(node.says("route:1", 4..=4).await, at(&head.epoch, 4));
    assert_eq!(node.broken("route:1", &spoken).await.0, Discontinuity::Epoch);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_replica_that_missed_the_last_messages_begins_another_epoch() {
    let (mut primary, replica) = (RedisServer::start().await, RedisServer::start().await);
    let path = Forwarder::start(primary.port()).await;
    let node = node_at("a", &path.url()).await;
    node.says("route:1", 1..=3).await;
    primary.cli(&["config", "set", "repl-diskless-sync-delay", "0"]);
    replica.cli(&["replicaof", "127.0.0.1", &primary.port().to_string()]);
    eventually("the replica has it", SOON, || async {
        replica.cli(&["llen", "sb:{acme:fleet}:route:1:log"]) == "6"
    })
    .await;
    // Nobody answers at that port: it keeps what it has, and gets no more.
    assert_eq!(replica.cli(&["replicaof", "127.0.0.1", "1"]), "OK");
    let lost = node.says("route:1", 4..=5).await;
    let (gone, never) = (node.says("route:2", 1..=2).await, node.head("route:3").await);
    assert_eq!(replica.cli(&["replicaof", "no", "one"]), "OK");
    path.replace_target(replica.port());
    primary.kill();
    let first = says_again(&node, &entry("route:1", "after", "after")).await.position;
    assert!(first.offset == 4 && first.epoch != lost.epoch, "{first:?}");
    // The new log reaches as far as the one that is gone.
    node.says("route:2", 7..=9).await;
    for (name, held) in
        [("route:1", &lost), ("route:1", &at(&lost.epoch, 3)), ("route:2", &gone), ("route:3", &never)]
    {
        assert_eq!(node.broken(name, held).await.0, Discontinuity::Epoch, "{name} {held:?}");
    }
    let next = node.says("route:1", 10..=12).await;
    assert_eq!(node.page("route:1", &first).await.head, next);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_appends_before_it_knows_that_redis_was_emptied_claims_nothing() {
    let server = RedisServer::start().await;
    let (a, b) = (node_at("a", &server.url()).await, node_at("b", &server.url()).await);
    let (spoken, silent) = (a.says("order:1", 1..=3).await, a.head("order:2").await);
    assert_eq!(server.cli(&["flushall"]), "OK");
    let mut stale = Vec::new();
    for name in ["order:1", "order:2"] {
        stale.push(a.appends(&entry(name, "stale", "stale")).await.position);
    }
    // Its life is that of before: nobody takes it for what was said before.
    for (name, held) in [("order:1", &spoken), ("order:2", &silent)] {
        let (reason, head) = b.broken(name, &at(&held.epoch, 1)).await;
        assert_eq!((reason, head.offset), (Discontinuity::Epoch, 1), "{name}");
        assert!(stale.iter().all(|stale| stale.epoch != head.epoch));
        assert_eq!(a.head(name).await, head, "one look mends it");
        assert_eq!(a.says(name, 8..=8).await, at(&head.epoch, 2));
    }
    // It has learned of it, and what it says in new topics needs no mending.
    let said = a.appends(&entry("order:3", "m", "m")).await.position;
    assert_eq!(b.head("order:3").await, said);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_old_is_gone_even_while_it_is_there() {
    let server = RedisServer::start().await;
    let node = node_at("a", &server.url()).await;
    let head = node.says("few:1", 1..=7).await;
    // As if the first two of the five that are kept had come in 1970.
    for place in ["0", "2"] {
        server.cli(&["lset", "sb:{acme:few:1}:log", place, "1|2"]);
    }
    for seen in [0, 1, 2, 3] {
        let broken = node.broken("few:1", &at(&head.epoch, seen)).await;
        assert_eq!(broken, (Discontinuity::Expired, head.clone()), "after {seen}");
    }
    assert_eq!(node.page("few:1", &at(&head.epoch, 4)).await.bodies.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_that_arrives_late_stores_nothing() {
    let server = RedisServer::start().await;
    let node = without_a_lease("a", &server.url()).await;
    node.says("order:2", 1..=1).await;
    let empty = node.head("order:1").await;
    let before = calls(&server, "evalsha");
    server.pause();
    let (message, log) = (entry("order:1", "m", "late"), &node.cluster.log);
    let appended = log.append(&message).await;
    assert!(matches!(appended, Err(Error::OutcomeUnknown(_))), "{appended:?}");
    sleep(Duration::from_millis(300)).await;
    server.resume();
    eventually("it has run", SOON, || async { calls(&server, "evalsha") == before + 1 }).await;
    assert_eq!(node.page("order:1", &empty).await.head.offset, 0);
    let again = node.appends(&message).await;
    assert_eq!((again.position.offset, again.duplicate), (1, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_told_again() {
    let server = RedisServer::start().await;
    let path = Forwarder::start(server.port()).await;
    let node = node_at("a", &path.url()).await;
    node.says("order:1", 1..=2).await;
    path.withhold_answers();
    let message = entry("order:1", "m", "once");
    let unknown = node.cluster.log.append(&message).await;
    assert!(matches!(unknown, Err(Error::OutcomeUnknown(_))), "{unknown:?}");
    path.heal();
    let again = says_again(&node, &message).await;
    assert!(again.duplicate && again.position.offset == 3, "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_is_known_until_its_second_turn() {
    let server = RedisServer::start().await;
    let node = node_at("a", &server.url()).await;
    let first = node.says("order:1", 1..=1).await;
    let again = async || node.appends(&entry("order:1", "id-1", "again")).await;
    // As if the ids had been turned long ago: the next message turns them.
    let long_ago = |key: &str| {
        let meta = server.cli(&["get", key]);
        let (front, back) = meta.rsplit_once('|').unwrap();
        let (front, _) = front.rsplit_once('|').unwrap();
        server.cli(&["set", key, &format!("{front}|1|{back}"), "keepttl"]);
    };
    for (turns, known) in [(1, true), (2, false)] {
        long_ago("sb:{acme:order:1}:meta");
        node.says("order:1", turns + 1..=turns + 1).await;
        assert_eq!(again().await.duplicate, known, "after {turns} turns");
    }
    assert_eq!(again().await.position, at(&first.epoch, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_leaves_no_keys_and_what_is_said_ends_by_itself() {
    let server = RedisServer::start().await;
    let node = node_at("a", &server.url()).await;
    let logs = || {
        let all = server.cli(&["--scan", "--pattern", "sb:{acme:*"]);
        let mut keys: Vec<_> = all.lines().filter(|key| !key.is_empty()).map(str::to_owned).collect();
        keys.sort_unstable();
        keys
    };
    let silent = node.head("order:1").await;
    node.page("order:1", &silent).await;
    assert_eq!(logs(), [""; 0]);
    node.says("order:1", 1..=3).await;
    node.says("depot:4", 1..=1).await;
    let named = |topic: &str| ["ids", "log", "meta"].map(|key| format!("sb:{{acme:{topic}:{key}"));
    let expected = [named("fleet}:depot:4"), named("order:1}")].concat();
    assert_eq!(logs(), expected);
    for key in logs() {
        let ttl: u64 = server.cli(&["pttl", &key]).parse().unwrap();
        let expected = if key.ends_with("meta") { 86_430_000 } else { 151_000 };
        assert!(ttl <= expected && ttl + 20_000 > expected, "{key}: {ttl}");
    }
    assert_eq!(server.cli(&["ttl", "sb:life"]), "-1", "as long as anything that was told under it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_followed_is_remembered() {
    let server = RedisServer::start().await;
    let node = node_at("a", &server.url()).await;
    let head = node.says("order:1", 1..=1).await;
    let key = "sb:{acme:order:1}:meta";
    // As if it had been said two hours ago, and were forgotten in a minute.
    let meta = server.cli(&["get", key]);
    let mut parts: Vec<_> = meta.split('|').map(str::to_owned).collect();
    parts[4] = (parts[4].parse::<u64>().unwrap() - 2 * 60 * 60 * 1_000).to_string();
    server.cli(&["set", key, &parts.join("|"), "px", "60000"]);
    assert_eq!(node.head("order:1").await, head);
    let ttl = || server.cli(&["pttl", key]).parse::<u64>().unwrap();
    assert!(ttl() > 86_000_000, "{}", ttl());
    assert_eq!(node.says("order:1", 2..=2).await, at(&head.epoch, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strict_append_is_acknowledged_when_a_replica_has_it() {
    let (primary, replica) = (RedisServer::start().await, RedisServer::start().await);
    primary.cli(&["config", "set", "repl-diskless-sync-delay", "0"]);
    replica.cli(&["replicaof", "127.0.0.1", &primary.port().to_string()]);
    let strict = Strict { replicas: 1, within: Duration::from_millis(200) };
    let config = RedisConfig { log_strict: Some(strict), ..RedisConfig::new(&primary.url()) };
    let (a, b) = (node_with("a", &config).await, node_with("b", &config).await);
    let first = says_again(&a, &entry("order:1", "first", "first")).await;
    assert_eq!(replica.cli(&["llen", "sb:{acme:order:1}:log"]), "2");
    replica.pause();
    let message = entry("order:1", "second", "second");
    // The other finds it stored, and waits all the same.
    for node in [&a, &b] {
        let alone = node.cluster.log.append(&message).await;
        assert!(matches!(alone, Err(Error::OutcomeUnknown(_))), "{alone:?}");
    }
    replica.resume();
    let again = says_again(&b, &message).await;
    assert!(again.duplicate, "it was stored once");
    assert_eq!(again.position, at(&first.position.epoch, 2));
    assert_eq!(replica.cli(&["llen", "sb:{acme:order:1}:log"]), "4");
}
