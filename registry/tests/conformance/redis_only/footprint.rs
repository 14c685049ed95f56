//! What is left in Redis: for how long, and how much of it.

use std::time::Duration;

use signalbox_registry::redis::RedisConfig;
use signalbox_registry::{Error, Row};
use signalbox_testkit::{RedisServer, eventually};

use super::{node_at, node_with};
use crate::world::{Node, SOON, named};

/// Keys without a time to live, and all keys.
fn keys(server: &RedisServer) -> (Vec<String>, Vec<String>) {
    let all: Vec<_> = server.cli(&["--scan"]).lines().map(str::to_owned).collect();
    let eternal = all.iter().filter(|key| server.cli(&["ttl", key]) == "-1").cloned().collect();
    (eternal, all)
}

fn rows(node: &Node) -> Vec<Row> {
    let labelled = |row| Row { pillar: Some("p".into()), namespaces: vec!["n".into()], ..row };
    (0..40)
        .map(|number| match number % 2 {
            0 => node.row(number, &format!("vehicle:{}{number}", node.id())),
            _ => labelled(named(node.row(number, "user:1"), "S")),
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_key_has_a_time_to_live() {
    let server = RedisServer::start().await;
    let node = node_at("a", &server.url()).await;
    let rows = rows(&node);
    for row in &rows {
        node.register(row).await;
    }
    let (eternal, all) = keys(&server);
    assert_eq!(eternal, [""; 0], "of {all:?}");
    assert_eq!(all.len(), 2 + 1 + 20 + 1 + 2 + 4, "{all:?}");
    for row in &rows {
        node.cluster.directory.unregister(row).await.unwrap();
    }
    node.cluster.directory.refresh(&rows).await.unwrap();
    let (_, left) = keys(&server);
    assert_eq!(left.len(), 3, "the list of nodes, the card, the session's owner: {left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_nobody_refreshes_end_and_refreshed_ones_stay() {
    let server = RedisServer::start().await;
    let short = RedisConfig { row_ttl: Duration::from_secs(2), ..RedisConfig::new(&server.url()) };
    let (a, b) = (node_with("a", &short).await, node_with("b", &short).await);
    let (left, kept) = (rows(&a), rows(&b));
    for (node, rows) in [(&a, &left), (&b, &kept)] {
        for row in rows {
            node.cluster.directory.register(row, node.id().as_str()).await.ok();
        }
    }
    let kept: Vec<_> = kept.into_iter().filter(|row| !row.session_named).collect();
    let directory = &b.cluster.directory;
    eventually("the other's rows are gone, though its lease lasts", SOON, || async {
        directory.refresh(&kept).await.unwrap();
        directory.get(&left[0].tenant, &left[0].connection_id).await.unwrap().is_none()
    })
    .await;
    for row in &kept {
        assert_eq!(directory.get(&row.tenant, &row.connection_id).await.unwrap().as_ref(), Some(row));
        assert_eq!(directory.by_agent(&row.tenant, &row.agent).await.unwrap(), [row.clone()]);
    }
    let (_, all) = keys(&server);
    assert!(!all.iter().any(|key| key.ends_with(":a.1") || key.contains("{a}:conns")), "{all:?}");
    let thief = b.cluster.directory.register(&named(b.row(99, "user:2"), "S"), "thief").await;
    assert!(matches!(thief, Err(Error::SessionTaken)), "the owner outlasts the rows: {thief:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_takes_at_most_600_bytes() {
    const CONNECTIONS: u64 = 10_000;
    let server = RedisServer::start().await;
    let node = node_at("k3x9q2", &server.url()).await;
    let used = || {
        let info = server.cli(&["info", "memory"]);
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    };
    node.register(&node.row(CONNECTIONS, "vehicle:V")).await;
    let before = used();
    let rows: Vec<_> = (0..CONNECTIONS).map(|number| plain(&node, number)).collect();
    for some in rows.chunks(500) {
        futures_util::future::join_all(some.iter().map(|row| node.register(row))).await;
    }
    let each = (used() - before) / CONNECTIONS;
    println!("{each} bytes of Redis per connection");
    assert!(each <= 600, "{each}");
}

/// A connection like most: an agent of its own, a made-up session, no labels.
fn plain(node: &Node, number: u64) -> Row {
    let row = node.row(number, &format!("vehicle:V{number}"));
    let session = format!("{}~0d9vz2m4kq8w1x7c5b3n6p", row.connection_id);
    Row { session_id: signalbox_protocol::SessionId::try_new(&session).unwrap(), ..row }
}
