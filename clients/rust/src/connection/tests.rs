//! Deadlines of a connection, over a pipe in memory and under a paused clock.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

use crate::{Client, ClientConfig, CloseCause, SendError, Wire};

const WELCOME: &str = r#"{"id":"1","type":"system:welcome","timestamp":"2026-01-01T08:00:00.000Z",
    "source":"service:gateway","data":{"connection_id":"n1-0","session_id":"s","node_id":"n1",
    "agent":"vehicle:V1","subject":"vehicle:V1","tenant":"default","namespaces":[],"heartbeat_seconds":25,
    "timeout_seconds":60,"message_bytes_max":1048576,"positions":{}},"metadata":{}}"#;

/// A client and the node's end of its connection, which holds `pipe_bytes` in each direction.
async fn connected(pipe_bytes: usize, config: ClientConfig) -> (Client, WebSocketStream<DuplexStream>) {
    let (ours, theirs) = tokio::io::duplex(pipe_bytes);
    let accepting = async {
        let mut node = accept_async(theirs).await.expect("the client upgrades");
        node.send(Message::text(WELCOME)).await.expect("the client reads");
        node
    };
    let (node, wire) = tokio::join!(accepting, Wire::upgrade(ours, &config.wire));
    let (wire, welcome) = wire.expect("the node welcomes");
    (Client::spawn(wire, welcome, config), node)
}

fn config() -> ClientConfig {
    ClientConfig::new("ws://node/ws")
}

#[tokio::test(start_paused = true)]
async fn a_node_that_falls_silent_is_given_up_after_its_own_timeout() {
    let (client, _node) = connected(4_096, config()).await;
    let start = Instant::now();
    let closed = client.closed().await;
    assert!(matches!(closed.cause, CloseCause::Silent(_)), "{closed}");
    assert_eq!(start.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn pings_are_a_sign_of_life_and_are_answered() {
    let (client, mut node) = connected(4_096, config()).await;
    let start = Instant::now();
    for _ in 0..10 {
        sleep(Duration::from_secs(25)).await;
        node.send(Message::Ping("beat".into())).await.unwrap();
        assert_eq!(node.next().await.unwrap().unwrap(), Message::Pong("beat".into()));
    }
    client.closed().await;
    assert_eq!(start.elapsed().as_secs(), 250 + 60);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_read_is_given_up_and_senders_are_told() {
    let queue = config().outgoing_queue(4, 1_000_000).send_timeout(Duration::from_secs(1));
    let (client, mut node) = connected(1_024, queue).await;
    let data = "x".repeat(20_000);
    let mut sent = 0;
    let full = loop {
        match client.emit("a:b", &data, None).await {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, SendError::QueueFull(_)), "{full}");
    assert!((8..=9).contains(&sent), "4 in the socket's 64 KiB and 4 in the queue, not {sent}");

    let start = Instant::now();
    // It still talks: only its reading has stopped.
    let talking = async {
        loop {
            sleep(Duration::from_secs(1)).await;
            if node.send(Message::text("{}")).await.is_err() {
                break;
            }
        }
    };
    let (closed, ()) = tokio::join!(client.closed(), talking);
    assert!(matches!(closed.cause, CloseCause::Stalled(_)), "{closed}");
    assert!(start.elapsed() <= Duration::from_secs(10), "{:?}", start.elapsed());
    let refused = client.emit("a:b", &data, None).await.unwrap_err();
    assert!(matches!(refused, SendError::Closed(_)), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn sending_and_receiving_at_once_does_not_lock_up() {
    const MESSAGES: usize = 500;
    let (client, node) = connected(1_024, config()).await;
    let mut heard = client.on("c:d");
    let (mut to_client, mut from_client) = node.split();
    let data = "x".repeat(5_000);
    let emitting = async {
        for _ in 0..MESSAGES {
            client.emit("a:b", &data, None).await.unwrap();
        }
    };
    let node_sending = async {
        let text = WELCOME.replace("system:welcome", "c:d");
        for _ in 0..MESSAGES {
            to_client.send(Message::text(text.clone())).await.unwrap();
        }
    };
    let node_reading = async {
        for _ in 0..MESSAGES {
            from_client.next().await.unwrap().unwrap();
        }
    };
    let listening = async {
        for _ in 0..MESSAGES {
            heard.recv().await.unwrap();
        }
    };
    tokio::join!(emitting, node_sending, node_reading, listening);
    assert_eq!((client.stats().sent, client.stats().received), (MESSAGES as u64, MESSAGES as u64));
}
