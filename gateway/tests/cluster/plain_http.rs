//! What plain HTTP may hold of a node: connections, bodies, answers that nobody reads.

use std::net::SocketAddr;
use std::time::Duration;

use signalbox_gateway::config::Config;
use signalbox_gateway::limits::Limit;
use signalbox_testkit::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::{Client, PATIENCE};
use crate::fixture::{TestNode, config};
use crate::http::{call, call_with};
use crate::limits::hits;

async fn node_with(set: impl FnOnce(&mut Config)) -> TestNode {
    let mut config = config(None);
    set(&mut config);
    TestNode::start(&config).await
}

/// A connection over which this was written.
async fn written(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// A connection that has asked for something, has its answer, and stays.
async fn kept(address: SocketAddr) -> TcpStream {
    let mut stream = written(address, b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let mut answer = [0; 12];
    timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    stream
}

async fn is_ended(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut rest)).await.is_ok()
}

/// The head of a body of so many bytes.
fn announced(bytes: usize) -> String {
    format!("POST /api/publish HTTP/1.1\r\nhost: localhost\r\ncontent-length: {bytes}\r\n\r\n")
}

/// A node whose only place is held by a request without an end.
pub(crate) async fn crowded() -> (TestNode, TcpStream) {
    let node = node_with(|config| config.http.connections_max = 1).await;
    let held = written(node.address, announced(9).as_bytes()).await;
    eventually("it is being answered", PATIENCE, || async { node.node.visitors.len() == 1 }).await;
    (node, held)
}

/// A node without room for another body, and whose bodies fill it.
pub(crate) async fn filled() -> (TestNode, Vec<TcpStream>) {
    let node = node_with(|config| {
        config.message.bytes_max = 64 << 10;
        config.http.bodies_bytes_max = 1 << 20;
    })
    .await;
    let half = 512 << 10;
    let mut held = Vec::new();
    for _ in 0..2 {
        let bytes = [announced(half).into_bytes(), vec![b' '; half - 1]].concat();
        held.push(written(node.address, &bytes).await);
    }
    eventually("both have arrived but for a byte", PATIENCE, || async { node.node.bodies.free() == 2 }).await;
    (node, held)
}

/// A node that was asked for more than sockets hold, by somebody who reads nothing.
pub(crate) async fn unread() -> (TestNode, TcpStream) {
    let node = node_with(|config| config.http.answer_timeout = Duration::from_millis(200)).await;
    let asked = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(2_000);
    let stream = written(node.address, &asked).await;
    (node, stream)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_keeps_connections_makes_room_for_those_who_come() {
    let node = node_with(|config| config.http.connections_max = 2).await;
    let (mut first, mut second) = (kept(node.address).await, kept(node.address).await);
    assert_eq!(call(node.address, "GET", "/api/topics", "").await.0, 200);
    assert!(is_ended(&mut first).await, "it rested longest");
    assert_eq!(hits(&node, Limit::HttpConnections), 1);
    second.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    assert!(is_ended(&mut second).await, "it is answered");
    eventually("all places are free", PATIENCE, || async { node.node.visitors.is_empty() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_all_are_being_answered_probes_and_sockets_still_are() {
    let (node, held) = crowded().await;
    let (status, head, _) = call_with(node.address, "GET", "/api/topics", &[], "").await;
    assert_eq!(status, 503);
    assert!(head.contains("retry-after: ") && head.contains("connection: close"), "{head}");
    assert_eq!(call(node.address, "GET", "/livez", "").await.0, 200);
    node.client("driver:D").await;
    drop(held);
    eventually("its place is free", PATIENCE, || async { node.node.visitors.is_empty() }).await;
    assert_eq!(call(node.address, "GET", "/api/topics", "").await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_holds_no_place_of_plain_http() {
    let node = node_with(|config| config.http.connections_max = 1).await;
    let _socket = node.client("driver:D").await;
    assert!(node.node.visitors.is_empty());
    assert_eq!(Client::refusal(node.address, "/ws/nowhere").await, 404);
    assert!(node.node.visitors.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_reads_are_given_up() {
    let (node, _silent) = unread().await;
    eventually("it is given up", PATIENCE, || async { hits(&node, Limit::AnswerTime) == 1 }).await;
    eventually("nothing of it is held", PATIENCE, || async { node.node.visitors.is_empty() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_beyond_the_room_for_all_are_refused_and_room_comes_back() {
    let (node, held) = filled().await;
    let body = r#"{"type": "a:b", "target": "driver:D"}"#;
    let (status, head, _) = call_with(node.address, "POST", "/api/publish", &[], body).await;
    assert_eq!(status, 503);
    assert!(head.contains("retry-after: "), "{head}");
    assert_eq!(hits(&node, Limit::HttpBodies), 1);
    drop(held);
    eventually("all room is free", PATIENCE, || async { node.node.bodies.free() == 1 << 20 }).await;
    assert_eq!(call(node.address, "POST", "/api/publish", body).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_connection_that_falls_silent_hits_no_limit_and_a_slow_body_does() {
    let node = node_with(|config| config.handshake.timeout = Duration::from_millis(200)).await;
    let mut stream = kept(node.address).await;
    assert!(is_ended(&mut stream).await);
    eventually("it is forgotten", PATIENCE, || async { node.node.visitors.is_empty() }).await;
    assert_eq!(hits(&node, Limit::HandshakeTime), 0);
    let mut slow = written(node.address, announced(9).as_bytes()).await;
    assert!(is_ended(&mut slow).await);
    assert_eq!(hits(&node, Limit::HandshakeTime), 1);
}
