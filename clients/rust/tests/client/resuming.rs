//! Topics go on over reconnects and gaps: nothing twice, nothing out of order, nothing missing without a word.

use std::time::Duration;

use serde_json::{Value, json};
use signalbox_client::{ClientState, Event, LossReason, RecvError, Subscription};
use tokio::io::DuplexStream;
use tokio::time::Instant;

use crate::fake_node::{Peer, soon};
use crate::pipes::{config, connected};

/// What comes next: the number in a message, or what was lost.
async fn next(messages: &mut Subscription) -> String {
    match soon(messages.recv()).await {
        Ok(message) => message.data.get().to_owned(),
        Err(RecvError::Lost(lost)) => format!("lost {} {:?}", lost.topic, lost.reason),
        Err(error) => panic!("{error}"),
    }
}

/// The client's next message, which has to be a resume.
async fn asked_to_resume(peer: &mut Peer<DuplexStream>) -> Value {
    let resume = peer.receive().await;
    assert_eq!(resume["type"], "system:resume", "{resume}");
    resume
}

/// Answers a resume: `topic` is not recovered and goes on behind `offset`.
async fn declare_lost(peer: &mut Peer<DuplexStream>, correlation_id: &Value, topic: &str, offset: u64) {
    let told =
        json!({"recovered": false, "reason": "trimmed", "epoch": "f", "offset": offset, "replayed": 0});
    peer.send(
        json!({"type": "system:resumed", "correlationId": correlation_id, "data": {"topics": {topic: told}}}),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_resumed_topic_goes_on_where_it_was() {
    let (client, mut peer, mut pipes) = connected(config()).await;
    let mut messages = client.on("order:new");
    for offset in [8, 9] {
        peer.send_durable("vehicle:V1", offset).await;
    }
    assert_eq!([next(&mut messages).await, next(&mut messages).await], ["8", "9"]);
    peer.cut();
    let (mut peer, positions) = pipes.resume().await;
    assert_eq!(positions, json!({"vehicle:V1": {"epoch": "e", "offset": 9}}));
    for offset in [8, 9, 10, 10, 11] {
        peer.send_durable("vehicle:V1", offset).await;
    }
    assert_eq!([next(&mut messages).await, next(&mut messages).await], ["10", "11"]);
    assert_eq!((client.stats().duplicates, client.stats().losses), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_not_recovered_says_so_in_its_place() {
    let (client, mut peer, mut pipes) = connected(config()).await;
    let (mut messages, mut others, mut events) = (client.on("order:new"), client.on("a:b"), client.events());
    peer.send_durable("vehicle:V1", 8).await;
    assert_eq!(next(&mut messages).await, "8");
    peer.cut();
    let (mut peer, _) = pipes.welcome().await;
    let resume = asked_to_resume(&mut peer).await;
    declare_lost(&mut peer, &resume["id"], "vehicle:V1", 30).await;
    peer.send_durable("vehicle:V1", 31).await;
    assert_eq!(next(&mut messages).await, "lost vehicle:V1 Trimmed");
    assert_eq!(next(&mut messages).await, "31");
    assert_eq!(next(&mut others).await, "lost vehicle:V1 Trimmed", "it may have been of any type");
    let told = std::iter::from_fn(|| Some(())).take(3);
    let mut lost = Vec::new();
    for () in told {
        if let Some(Event::Lost(one)) = soon(events.next()).await {
            lost.push((one.topic.to_string(), one.reason));
        }
    }
    assert_eq!(lost, [("vehicle:V1".to_owned(), LossReason::Trimmed)]);
    peer.cut();
    let (_peer, positions) = pipes.resume().await;
    assert_eq!(positions, json!({"vehicle:V1": {"epoch": "f", "offset": 31}}));
}

#[tokio::test(start_paused = true)]
async fn a_break_that_nobody_asked_about_is_told_too() {
    let (client, mut peer, _pipes) = connected(config()).await;
    let mut messages = client.on("order:new");
    declare_lost(&mut peer, &Value::Null, "vehicle:V1", 2).await;
    peer.send_durable("vehicle:V1", 3).await;
    assert_eq!(next(&mut messages).await, "lost vehicle:V1 Trimmed");
    assert_eq!(next(&mut messages).await, "3");
    assert_eq!(client.stats().state, ClientState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_skipped_message_is_asked_for_and_the_newer_ones_wait() {
    let (client, mut peer, _pipes) = connected(config()).await;
    let mut messages = client.on("order:new");
    for offset in [8, 10, 11] {
        peer.send_durable("vehicle:V1", offset).await;
    }
    let resume = asked_to_resume(&mut peer).await;
    assert_eq!(resume["data"]["positions"], json!({"vehicle:V1": {"epoch": "e", "offset": 8}}));
    assert_eq!(next(&mut messages).await, "8");
    assert!(messages.try_recv().is_none(), "10 and 11 are not handed over before 9");
    peer.recover(&resume).await;
    for offset in [9, 10, 11, 12] {
        peer.send_durable("vehicle:V1", offset).await;
    }
    for expected in ["9", "10", "11", "12"] {
        assert_eq!(next(&mut messages).await, expected);
    }
    assert_eq!(client.stats().gaps, 2);
}

#[tokio::test(start_paused = true)]
async fn joined_topics_are_resumed_and_left_ones_are_not() {
    let (client, mut peer, mut pipes) = connected(config()).await;
    let joining = client.subscribe(["route:1", "route:2", "pillar:x"]);
    let (joined, _) = tokio::join!(joining, peer.acknowledge_topics(4));
    joined.unwrap();
    let (left, _) = tokio::join!(client.unsubscribe("route:2"), peer.acknowledge_topics(4));
    left.unwrap();
    peer.cut();
    let (_peer, positions) = pipes.resume().await;
    assert_eq!(
        positions,
        json!({"pillar:x": {"epoch": "e", "offset": 4}, "route:1": {"epoch": "e", "offset": 4},
            "vehicle:V1": {"epoch": "e", "offset": 7}})
    );
}

#[tokio::test(start_paused = true)]
async fn a_subscribe_that_was_under_way_is_asked_again() {
    let (client, mut peer, mut pipes) = connected(config()).await;
    let joining = client.subscribe("route:1");
    let serving = async {
        assert_eq!(peer.receive().await["type"], "system:subscribe");
        peer.cut();
        let (mut peer, positions) = pipes.resume().await;
        assert!(positions.get("route:1").is_none());
        peer.acknowledge_topics(4).await;
        peer.cut();
        pipes.resume().await.1
    };
    let (joined, positions) = tokio::join!(joining, serving);
    joined.unwrap();
    assert_eq!(positions["route:1"], json!({"epoch": "e", "offset": 4}));
}

#[tokio::test(start_paused = true)]
async fn the_topic_of_the_connection_before_is_not_resumed() {
    let (_client, peer, mut pipes) = connected(config()).await;
    peer.cut();
    let (mut peer, _) = pipes.accept().await;
    let mut welcome = crate::fake_node::welcome();
    welcome["data"]["positions"] = json!({"connection:n2-0": {"epoch": "e", "offset": 0}});
    peer.send(welcome).await;
    let resume = asked_to_resume(&mut peer).await;
    assert_eq!(resume["data"]["positions"], json!({"connection:n2-0": {"epoch": "e", "offset": 0}}));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_through_two_topics_is_handed_over_once() {
    let (client, mut peer, mut pipes) = connected(config()).await;
    let mut messages = client.on("order:new");
    let (joined, _) = tokio::join!(client.subscribe(["route:1", "route:2"]), peer.acknowledge_topics(4));
    joined.unwrap();
    for topic in ["route:1", "route:2"] {
        peer.send(json!({"id": "twice", "type": "order:new", "data": 5, "topic": topic, "offset": 5})).await;
    }
    peer.send_durable("route:2", 6).await;
    assert_eq!([next(&mut messages).await, next(&mut messages).await], ["5", "6"]);
    assert_eq!(client.stats().duplicates, 1);
    peer.cut();
    let (_peer, positions) = pipes.resume().await;
    assert_eq!([&positions["route:1"]["offset"], &positions["route:2"]["offset"]], [5, 6], "both have moved");
}

#[tokio::test(start_paused = true)]
async fn a_resume_that_is_refused_for_the_moment_is_asked_again_and_sends_wait() {
    let (client, peer, mut pipes) = connected(config()).await;
    peer.cut();
    let (mut peer, _) = pipes.welcome().await;
    client.emit("a:b", 1, None).await.unwrap();
    for _ in 0..3 {
        let resume = asked_to_resume(&mut peer).await;
        peer.refuse(&resume, "unavailable").await;
    }
    let resume = asked_to_resume(&mut peer).await;
    assert_eq!(client.stats().state, ClientState::Connecting);
    peer.recover(&resume).await;
    assert_eq!(peer.receive().await["data"], 1);
    assert_eq!(client.stats().state, ClientState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_answer_a_resume_is_replaced() {
    let (_client, peer, mut pipes) = connected(config().request_timeout(Duration::from_secs(3))).await;
    peer.cut();
    let (mut peer, _) = pipes.welcome().await;
    asked_to_resume(&mut peer).await;
    let start = Instant::now();
    assert_eq!(peer.receive_close().await, 1000);
    assert_eq!(start.elapsed().as_secs(), 3);
    pipes.resume().await;
}

#[tokio::test(start_paused = true)]
async fn topics_that_a_node_does_not_resume_are_joined_anew_and_declared_lost() {
    let (client, mut peer, mut pipes) = connected(config()).await;
    let (mut messages, mut events) = (client.on("order:new"), client.events());
    let (joined, _) = tokio::join!(client.subscribe(["route:1", "route:2"]), peer.acknowledge_topics(4));
    joined.unwrap();
    peer.cut();
    let (mut peer, _) = pipes.welcome().await;
    let resume = asked_to_resume(&mut peer).await;
    peer.refuse(&resume, "unknown_type").await;
    assert_eq!(peer.acknowledge_topics(90).await["data"]["topics"], json!(["route:1"]));
    let second = peer.receive().await;
    assert_eq!(second["data"]["topics"], json!(["route:2"]));
    peer.refuse(&second, "forbidden").await;
    for topic in ["route:1", "route:2", "vehicle:V1"] {
        assert_eq!(next(&mut messages).await, format!("lost {topic} NotResumed"));
    }
    let not_rejoined = loop {
        match soon(events.next()).await {
            Some(Event::NotRejoined { topic, .. }) => break topic,
            Some(_) => {}
            None => panic!("it was not told"),
        }
    };
    assert_eq!(not_rejoined.as_str(), "route:2");
    peer.send_durable("route:1", 91).await;
    peer.send_durable("vehicle:V1", 55).await;
    assert_eq!([next(&mut messages).await, next(&mut messages).await], ["91", "55"]);
    peer.cut();
    let (_peer, positions) = pipes.resume().await;
    assert_eq!(positions["vehicle:V1"]["offset"], 55);
    assert!(positions.get("route:2").is_none());
}
