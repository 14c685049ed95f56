//! A socket to which a flusher writes as well as its task: order and framing hold, whoever writes, and at the end only the
//! task does. On real sockets, which are full sooner or later.

use std::sync::Arc;

use axum::http::HeaderMap;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use signalbox_protocol::ConnectionId;
use signalbox_protocol::close::CloseCode;
use signalbox_registry::memory::MemoryCluster;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::entrance::{Opened, enter};
use super::newcomer::Newcomer;
use super::outbox::{Bounds, Keep, Pushed};
use crate::hub::Connection;
use crate::node::{Node, Settings};
use crate::testing::{PATIENCE, default_settings, node_in};
use crate::ws::frame::TextFrame;

type Far = WebSocketStream<TcpStream>;

async fn node_with_flushers() -> Arc<Node> {
    let outbox = Bounds { messages_max: 100_000, bytes_max: 1 << 30 };
    let node = node_in(&MemoryCluster::new(), "n", Settings { outbox, ..default_settings() }).await;
    for flusher in node.flushers() {
        node.tasks.spawn(Arc::clone(flusher).run(
            node.settings.gather,
            node.metrics.clone(),
            node.halt.clone(),
        ));
    }
    // They look after connections from their first turn on.
    tokio::task::yield_now().await;
    node
}

/// A client over TCP that has read its welcome.
async fn client(node: &Arc<Node>) -> (Far, Arc<Connection>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (far, near) = tokio::join!(TcpStream::connect(address), listener.accept());
    let newcomer = Newcomer::try_new(node, None, &HeaderMap::new(), "agent_type=dashboard").unwrap();
    enter(node, Opened::shared(near.unwrap().0, Bytes::new()), newcomer).await;
    let mut far = WebSocketStream::from_raw_socket(far.unwrap(), Role::Client, None).await;
    let Message::Text(welcome) = next(&mut far).await else { panic!("the welcome is text") };
    let welcome: serde_json::Value = serde_json::from_str(&welcome).unwrap();
    let id = ConnectionId::try_new(welcome["data"]["connection_id"].as_str().unwrap()).unwrap();
    (far, node.hub.get(&id).unwrap())
}

async fn next(far: &mut Far) -> Message {
    timeout(PATIENCE, far.next()).await.expect("it comes in time").expect("the stream goes on").unwrap()
}

fn frame(text: &str) -> Bytes {
    let mut frame = TextFrame::with_capacity(text.len());
    frame.body().extend_from_slice(text.as_bytes());
    frame.finish()
}

/// `n` and some thousand bytes.
fn numbered(n: usize) -> String {
    format!("{n} {}", "x".repeat(5_000 + n % 700))
}

#[tokio::test]
async fn more_than_the_socket_holds_arrives_in_order_from_flusher_and_task() {
    let node = node_with_flushers().await;
    let (mut far, connection) = client(&node).await;
    let deliver = |n| connection.deliver(frame(&numbered(n)), Keep::Stored);
    let sends = async {
        for n in 0..5_000 {
            deliver(n);
            if n % 7 == 0 {
                tokio::task::yield_now().await;
            }
        }
    };
    sends.await;
    assert!(connection.outbox().queued().0 > 0, "the socket was full");
    for n in 0..5_000 {
        assert_eq!(next(&mut far).await, Message::text(numbered(n)));
    }
    // The task wrote the rest; the flusher is there again for what comes.
    let before = node.metrics.writes.get();
    deliver(5_000);
    assert_eq!(next(&mut far).await, Message::text(numbered(5_000)));
    assert_eq!(node.metrics.writes.get(), before + 1);
}

#[tokio::test]
async fn answers_of_the_task_and_deliveries_share_the_socket() {
    let node = node_with_flushers().await;
    let (mut far, connection) = client(&node).await;
    for n in 0..500 {
        connection.deliver(frame(&n.to_string()), Keep::Stored);
        let question = json!({"type": "system:health_check", "id": n.to_string()});
        far.send(Message::text(question.to_string())).await.unwrap();
    }
    let (mut delivered, mut answered) = (0, 0);
    while delivered + answered < 1_000 {
        let Message::Text(text) = next(&mut far).await else { panic!("all of it is text") };
        let value: serde_json::Value = serde_json::from_str(&text).expect("frames are whole");
        if value.is_number() {
            assert_eq!(value, delivered);
            delivered += 1;
        } else {
            assert_eq!(value["correlationId"], answered.to_string());
            answered += 1;
        }
    }
}

#[tokio::test]
async fn nothing_comes_behind_the_close_frame() {
    let node = node_with_flushers().await;
    let (mut far, connection) = client(&node).await;
    connection.deliver(frame("1"), Keep::Stored);
    connection.outbox().close(CloseCode::Replaced);
    connection.deliver(frame("2"), Keep::Stored);
    assert_eq!(next(&mut far).await, Message::text("1"));
    let Message::Close(Some(close)) = next(&mut far).await else { panic!("it is closed next") };
    assert_eq!(u16::from(close.code), CloseCode::Replaced.as_u16());
}

#[tokio::test]
async fn a_client_that_is_gone_gets_its_socket_closed_while_its_connection_is_still_held() {
    let node = node_with_flushers().await;
    let (mut far, connection) = client(&node).await;
    let raw = far.get_mut();
    raw.shutdown().await.unwrap();
    let mut rest = Vec::new();
    timeout(PATIENCE, raw.read_to_end(&mut rest)).await.expect("our end is closed").unwrap();
    assert_eq!(connection.deliver(frame("late"), Keep::Stored), Pushed::Closing);
}

/// A close frame of a client: masked, 1000.
const CLOSE: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8];

/// Its socket is full when the farewell begins: so the close frame waits, and a flusher could come before it.
#[tokio::test]
async fn a_farewell_that_waits_for_the_socket_is_the_last_that_comes() {
    let node = node_with_flushers().await;
    let (mut far, connection) = client(&node).await;
    let mut delivered = 0;
    while connection.outbox().queued().0 < 100 {
        connection.deliver(frame(&numbered(delivered)), Keep::Stored);
        delivered += 1;
        tokio::task::yield_now().await;
    }
    far.get_mut().write_all(&CLOSE).await.unwrap();
    let begins = async {
        while connection.outbox().may_be_flushed() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, begins).await.expect("the farewell is the task's alone");
    let mut got = Vec::new();
    let reads = far.get_mut().read_to_end(&mut got);
    let delivers = async {
        loop {
            connection.deliver(frame("late"), Keep::Ephemeral { conflation: 0 });
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        read = timeout(PATIENCE, reads) => drop(read.expect("the socket is closed").unwrap()),
        () = delivers => {}
    }
    assert_eq!(got[got.len() - 4..], [0x88, 2, 0x03, 0xe8]);
}
