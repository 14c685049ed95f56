//! Newcomers that come at the same time are written together, and each gets its own answer.

use futures_util::future::join_all;
use signalbox_registry::{Error, Row};
use signalbox_testkit::RedisServer;

use super::{calls, node_at};
use crate::world::Node;

/// More than are written together on all links.
const MANY: u64 = 200;

fn vehicles(node: &Node) -> Vec<Row> {
    (0..MANY).map(|number| node.row(number, &format!("vehicle:V{number}"))).collect()
}

async fn register_all(node: &Node, rows: &[Row]) -> Vec<Result<(), Error>> {
    let registered = rows.iter().map(|row| node.cluster.directory.register(row, "s"));
    join_all(registered).await.into_iter().map(|registered| registered.map(drop)).collect()
}

async fn is_found(node: &Node, row: &Row) -> bool {
    let directory = &node.cluster.directory;
    let by_agent = directory.by_agent(&row.tenant, &row.agent).await.unwrap();
    let by_id = directory.get(&row.tenant, &row.connection_id).await.unwrap();
    assert_eq!(by_agent.first(), by_id.as_ref());
    by_id.as_ref() == Some(row)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_come_together_share_the_commands_to_what_they_share() {
    let server = RedisServer::start().await;
    let node = node_at("a", &server.url()).await;
    let rows = vehicles(&node);
    assert!(register_all(&node, &rows).await.iter().all(Result::is_ok));
    for row in &rows {
        assert!(is_found(&node, row).await, "{row:?}");
    }
    let members = server.cli(&["scard", "sb:{acme:agent_type:vehicle}:conns:a.1"]);
    assert_eq!(members.trim(), MANY.to_string());
    assert!(calls(&server, "hset") < MANY + MANY / 4, "one for each record, and few for the node's index");
    assert!(calls(&server, "sadd") < MANY / 4, "{}", calls(&server, "sadd"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_redis_refuses_of_one_is_done_for_the_others() {
    let server = RedisServer::start().await;
    let node = node_at("a", &server.url()).await;
    let rows = vehicles(&node);
    server.cli(&["set", "sb:{acme:vehicle:V7}:conns", "another type"]);
    let registered = register_all(&node, &rows).await;
    for (row, registered) in rows.iter().zip(&registered) {
        match row.agent.agent_id() {
            "V7" => assert!(matches!(registered, Err(Error::Refused(_))), "{registered:?}"),
            _ => assert!(registered.is_ok() && is_found(&node, row).await, "{row:?} {registered:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waited_too_long_was_not_sent() {
    let server = RedisServer::start().await;
    let node = node_at("a", &server.url()).await;
    let rows = vehicles(&node);
    server.pause();
    let registered = register_all(&node, &rows).await;
    server.resume();
    let (unknown, unsent): (Vec<_>, Vec<_>) =
        registered.iter().partition(|registered| matches!(registered, Err(Error::OutcomeUnknown(_))));
    assert!(unsent.iter().all(|registered| matches!(registered, Err(Error::Unavailable(_)))), "{unsent:?}");
    assert!(!unknown.is_empty() && !unsent.is_empty(), "{} {}", unknown.len(), unsent.len());
    super::outage::whole_again(&node).await;
    for (row, registered) in rows.iter().zip(&registered) {
        if matches!(registered, Err(Error::Unavailable(_))) {
            assert!(!is_found(&node, row).await, "{row:?}");
        }
    }
}
