//! The Redis user of docs/operations.md: what it may is enough for everything that a cluster does, and no more.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use signalbox_registry::redis::{Mode, RedisConfig, TRIED, TRIED_IN_A_CLUSTER, examine};
use signalbox_testkit::{AnyRedis, RedisServer};

use crate::client::Client;
use crate::fixture::{TestNode, config};
use crate::http::call;

const DOCUMENT: &str = include_str!("../../../docs/operations.md");

/// The rules of the user, as the document has them, with a password and the prefix of its clusters.
fn rules() -> Vec<String> {
    rules_behind("<!-- acl -->")
}

fn rules_behind(mark: &str) -> Vec<String> {
    let mark = format!("{mark}\n```\n");
    let (_, rest) = DOCUMENT.split_once(&mark).expect("the document has the user's rules");
    let (rules, _) = rest.split_once("\n```").expect("and their end");
    rules.split_whitespace().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_user_is_enough_for_all_that_a_cluster_does() {
    let redis = RedisServer::start().await;
    let rules = rules();
    let words: Vec<&str> =
        ["acl", "setuser"].into_iter().chain(rules[2..].iter().map(String::as_str)).collect();
    assert_eq!(redis.cli(&words), "OK");
    let url = format!("redis://signalbox:change-me@127.0.0.1:{}/", redis.port());
    let (one, two) = (TestNode::start(&config(Some(&url))).await, TestNode::start(&config(Some(&url))).await);

    let mut driver = Client::connect_as(one.address, "driver:D", "&session_id=S&pillar=p").await;
    let mut vehicle = two.client("vehicle:V").await;
    driver.subscribe(&["route:1", "order:9"]).await;
    assert_eq!(vehicle.emit("test:hello", "driver:D", json!({})).await["type"], "system:ack");
    driver.expect("test:hello").await;
    for _ in 0..2 {
        assert_eq!(vehicle.emit("order:new", "order:9", json!({})).await["type"], "system:ack");
        driver.expect("order:new").await;
    }
    let positions = json!({"order:9": {"epoch": "0", "offset": 0}});
    let resumed = vehicle.request(json!({"type": "system:resume", "data": {"positions": positions}})).await;
    assert_eq!(resumed["type"], "system:resumed", "{resumed}");

    let acquire = json!({"type": "lock:acquire", "data": {"resource": "r"}});
    let granted = driver.request(acquire.clone()).await;
    let token = granted["data"]["token"].clone();
    assert_eq!(vehicle.request(acquire).await["type"], "lock:denied");
    let renew = json!({"type": "lock:renew", "data": {"resource": "r", "token": token}});
    assert_eq!(driver.request(renew).await["type"], "lock:granted");
    let wait =
        json!({"type": "lock:acquire", "correlationId": "w", "data": {"resource": "r", "wait_ms": 9000}});
    vehicle.send(wait).await;
    let release = json!({"type": "lock:release", "data": {"resource": "r", "token": token}});
    assert_eq!(driver.request(release).await["type"], "lock:released");
    assert_eq!(vehicle.expect("lock:granted").await["resource"], "r");
    let listed =
        driver.request(json!({"type": "presence:list", "data": {"topic": "agent_type:driver"}})).await;
    assert_eq!(listed["data"]["count"], 1, "{listed}");
    let accept = json!({"type": "order:accept", "data": {"order_id": "5"}});
    assert_eq!(vehicle.request(accept).await["type"], "order:accepted");
    driver.expect("order:accepted").await;

    for (method, path, body, status) in [
        ("PUT", "/api/vehicles/V", r#"{"capacity":2,"pool":"route:1"}"#, 200),
        (
            "POST",
            "/api/passengers",
            r#"{"passenger_id":"P","route_id":"1","position":{"lat":1.0,"lon":1.0}}"#,
            201,
        ),
        (
            "POST",
            "/api/passengers",
            r#"{"passenger_id":"Q","route_id":"1","position":{"lat":1.0,"lon":1.0}}"#,
            201,
        ),
        ("GET", "/api/reservoirs/route/1/query?lat=1&lon=1", "", 200),
        ("PATCH", "/api/passengers/P/board", r#"{"vehicle_id":"V","request_id":"b"}"#, 200),
        ("GET", "/api/vehicles/V/manifest", "", 200),
        ("GET", "/api/passengers?route_id=1", "", 200),
        ("DELETE", "/api/passengers/Q", "", 204),
        ("GET", "/api/locks", "", 200),
        ("GET", "/api/topics", "", 200),
        ("GET", "/api/connections", "", 200),
        ("GET", "/api/nodes", "", 200),
        ("GET", "/ws/stats", "", 200),
        ("GET", "/readyz", "", 200),
    ] {
        let (got, answer) = call(one.address, method, path, body).await;
        assert_eq!(got, status, "{method} {path}: {answer}");
    }
    driver.close().await;
    vehicle.close().await;
    let denied = redis.cli(&["acl", "log"]);
    assert_eq!(denied, "", "nothing was refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_user_may_nothing_else() {
    let redis = RedisServer::start().await;
    let rules = rules();
    let words: Vec<&str> =
        ["acl", "setuser"].into_iter().chain(rules[2..].iter().map(String::as_str)).collect();
    assert_eq!(redis.cli(&words), "OK");
    for command in [
        &["get", "other:key"][..],
        &["set", "other:key", "1"],
        &["publish", "other:channel", "x"],
        &["subscribe", "*"],
        &["flushall"],
        &["config", "get", "*"],
        &["acl", "list"],
        &["shutdown"],
        &["keys", "*"],
        &["replicaof", "no", "one"],
        &["eval", "return redis.call('get', 'other:key')", "0"],
        &["eval", "return redis.call('flushall')", "0"],
    ] {
        let login = ["--user", "signalbox", "--pass", "change-me", "--no-auth-warning"];
        let answer = redis.cli(&[&login[..], command].concat());
        let is_refused =
            ["NOPERM", "ACL failure", "can't access", "can't run"].iter().any(|word| answer.contains(word));
        assert!(is_refused, "{command:?}: {answer}");
    }
}

/// What the one server denies.
async fn denied(config: &RedisConfig) -> Result<Vec<&'static str>, signalbox_registry::Error> {
    let (_, seen) = examine(config).await?.servers.remove(0);
    Ok(seen?.denied)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_examination_of_a_cluster_tries_what_its_documented_user_may_besides_at_each_master() {
    let redis = AnyRedis::cluster().await;
    let (rules, more) = (rules(), rules_behind("<!-- acl cluster -->"));
    let words: Vec<&str> =
        ["acl", "setuser"].into_iter().chain(rules[2..].iter().chain(&more).map(String::as_str)).collect();
    redis.cli_everywhere(&words);
    let url = redis.url().replacen("redis://", "redis://signalbox:change-me@", 1);
    let config = RedisConfig { mode: Mode::Cluster, ..RedisConfig::new(&url) };
    let tried: BTreeSet<String> =
        TRIED_IN_A_CLUSTER.iter().map(|tried| tried.split(' ').next().unwrap().to_lowercase()).collect();
    assert_eq!(tried, more.iter().map(|rule| rule[1..].to_owned()).collect(), "what is documented is tried");
    for denied in [None, Some("spublish")] {
        if let Some(command) = denied {
            redis.cli_everywhere(&["acl", "setuser", "signalbox", &format!("-{command}")]);
        }
        let servers = examine(&config).await.unwrap().servers;
        assert_eq!(servers.len(), 3);
        let expected: Vec<_> = denied.into_iter().map(str::to_uppercase).collect();
        for (address, seen) in servers {
            assert_eq!(seen.unwrap().denied, expected, "{address}");
        }
    }
    assert_eq!(redis.cli_everywhere(&["keys", "*"]).trim(), "", "nothing is left behind");
}

/// What the user is not tried for: the log-in itself does it.
const BY_LOG_IN: [&str; 1] = ["+select"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_examination_tries_every_command_of_the_documented_user_and_misses_each() {
    let redis = RedisServer::start().await;
    let rules = rules();
    let config = RedisConfig::new(&format!("redis://signalbox:change-me@127.0.0.1:{}/", redis.port()));
    let words: Vec<&str> =
        ["acl", "setuser"].into_iter().chain(rules[2..].iter().map(String::as_str)).collect();
    assert_eq!(redis.cli(&words), "OK");
    assert_eq!(denied(&config).await.unwrap(), Vec::<&str>::new());
    let commands: Vec<_> = rules.iter().filter(|rule| rule.starts_with('+')).collect();
    assert_eq!(
        commands.len(),
        TRIED.len() + BY_LOG_IN.len(),
        "what is documented is tried, and the other way"
    );
    for command in commands.iter().filter(|rule| !BY_LOG_IN.contains(&rule.as_str())) {
        let (allowed, name) = (command.as_str(), command[1..].to_uppercase());
        assert_eq!(redis.cli(&["acl", "setuser", "signalbox", &allowed.replacen('+', "-", 1)]), "OK");
        match denied(&config).await {
            Ok(denied) => assert_eq!(denied, [name]),
            Err(refused) => panic!("{name}: {refused:?}"),
        }
        assert_eq!(redis.cli(&["acl", "setuser", "signalbox", allowed]), "OK");
    }
    assert_eq!(redis.cli(&["keys", "*"]), "", "nothing is left behind");
}

/// Where a command stands behind.
const IN_RUST: [&str; 5] = ["redis::cmd(\"", ".cmd(\"", "Call::new(\"", "group_call(\"", "kill.arg(\""];
const IN_LUA: [&str; 3] = ["redis.call(", "redis.pcall(", "in_parts("];

/// What is asked of sentinels, who have users of their own.
const OF_SENTINELS: &str = "redis/sentinel.rs";

/// The source files of both crates that talk to Redis.
fn sources(extension: &str) -> Vec<PathBuf> {
    let crates =
        ["registry", "reservoir"].map(|name| Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name));
    let mut folders = crates.map(|folder| folder.join("src")).to_vec();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|of| of == extension) && !path.ends_with(OF_SENTINELS) {
                files.push(path);
            }
        }
    }
    files
}

/// The command that begins here, as a user's rules call it, with its subcommand if it has one and alone: `del`; or
/// `pubsub|numsub` and `pubsub`.
fn named(quoted: &str, quote: char) -> [String; 2] {
    let mut parts = quoted.split(quote);
    let command = parts.next().unwrap().to_ascii_lowercase();
    let is_next = parts.next().is_some_and(|between| matches!(between, ", " | ").arg("));
    let further = parts.next().filter(|_| is_next).unwrap_or_default().to_ascii_lowercase();
    [format!("{command}|{further}"), command]
}

/// Every command of a file, in both forms.
fn commands(file: &Path) -> Vec<[String; 2]> {
    let text = fs::read_to_string(file).unwrap();
    // What is another in a Cluster, by its name outside.
    let text = text.replace("(PUBLISH, ", "('PUBLISH', ").replace("'PUBSUB', NUMSUB", "'PUBSUB', 'NUMSUB'");
    let is_lua = file.extension().is_some_and(|of| of == "lua");
    if !is_lua {
        let behind = IN_RUST.iter().flat_map(|mark| text.split(mark).skip(1));
        return behind.map(|rest| named(rest, '"')).collect();
    }
    let behind = IN_LUA.iter().flat_map(|mark| text.split(mark).skip(1));
    let found = behind.filter_map(|rest| match rest.strip_prefix('\'') {
        Some(quoted) => Some(named(quoted, '\'')),
        // The one function that is told which; where it is called, it is named.
        None => {
            assert!(rest.starts_with("command, "), "{}: which is {}", file.display(), &rest[..20]);
            None
        }
    });
    found.collect()
}

#[test]
fn every_command_of_the_sources_is_among_the_documented_user_s() {
    let mut rules = rules();
    rules.extend(rules_behind("<!-- acl cluster -->"));
    let may = |name: &String| rules.iter().any(|rule| rule.strip_prefix('+') == Some(name));
    for (extension, at_least) in [("lua", 150), ("rs", 50)] {
        let mut found = 0;
        for file in sources(extension) {
            for forms in commands(&file) {
                assert!(forms.iter().any(may), "{forms:?} of {}", file.display());
                found += 1;
            }
        }
        assert!(found > at_least, "{found} commands in .{extension}");
    }
}
