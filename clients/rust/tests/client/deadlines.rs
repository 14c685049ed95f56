//! Deadlines of a connection: a node that falls silent, and one that does not read.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use signalbox_client::{ClientConfig, CloseCause, SendError};
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::Message;

use crate::fake_node::as_text;
use crate::pipes::{config, network};

fn once() -> ClientConfig {
    config().without_reconnect()
}

#[tokio::test(start_paused = true)]
async fn a_node_that_falls_silent_is_given_up_after_its_own_timeout() {
    let (dialer, mut pipes) = network(4_096);
    let (client, _peer) = pipes.connect(once(), dialer).await;
    let start = Instant::now();
    let closed = client.closed().await;
    assert!(matches!(closed.cause, CloseCause::Silent(_)), "{closed}");
    assert_eq!(start.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn pings_are_a_sign_of_life_and_are_answered() {
    let (dialer, mut pipes) = network(4_096);
    let (client, mut peer) = pipes.connect(once(), dialer).await;
    let start = Instant::now();
    for _ in 0..10 {
        sleep(Duration::from_secs(25)).await;
        peer.send_frame(Message::Ping("beat".into())).await;
        assert_eq!(peer.receive_frame().await, Message::Pong("beat".into()));
    }
    client.closed().await;
    assert_eq!(start.elapsed().as_secs(), 250 + 60);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_read_is_given_up_and_senders_are_told() {
    let queue = once().outgoing_queue(4, 1_000_000).send_timeout(Duration::from_secs(1));
    let (dialer, mut pipes) = network(1_024);
    let (client, peer) = pipes.connect(queue, dialer).await;
    let data = "x".repeat(1_900);
    let mut sent = 0;
    let full = loop {
        match client.emit("a:b", &data, None).await {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, SendError::QueueFull(_)), "{full}");
    assert!((38..=40).contains(&sent), "34 in the socket's 64 KiB and 4 in the queue, not {sent}");

    let start = Instant::now();
    let (mut to_client, _unread) = peer.into_socket().split();
    // It still talks: only its reading has stopped.
    let talking = async {
        loop {
            sleep(Duration::from_secs(1)).await;
            if to_client.send(Message::text("{}")).await.is_err() {
                break;
            }
        }
    };
    let closed = tokio::select! {
        closed = client.closed() => closed,
        () = talking => panic!("the client closes first"),
    };
    assert!(matches!(closed.cause, CloseCause::Stalled(_)), "{closed}");
    assert!(start.elapsed() <= Duration::from_secs(10), "{:?}", start.elapsed());
    let refused = client.emit("a:b", &data, None).await.unwrap_err();
    assert!(matches!(refused, SendError::Closed(_)), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn sending_and_receiving_at_once_does_not_lock_up() {
    const MESSAGES: usize = 500;
    let (dialer, mut pipes) = network(1_024);
    let (client, peer) = pipes.connect(once(), dialer).await;
    let mut heard = client.on("c:d");
    let (mut to_client, mut from_client) = peer.into_socket().split();
    let data = "x".repeat(1_900);
    let emitting = async {
        for _ in 0..MESSAGES {
            client.emit("a:b", &data, None).await.unwrap();
        }
    };
    let node_sending = async {
        for number in 0..MESSAGES {
            let text = as_text(number as u64, serde_json::json!({"type": "c:d", "data": data}));
            to_client.send(Message::text(text)).await.unwrap();
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
