//! Events out and in.

use serde_json::{Value, json};
use signalbox_client::protocol::Target;
use signalbox_client::{RecvError, SendError};
use tokio_tungstenite::tungstenite::Message;

use crate::fake_node::{FakeNode, connected, soon};

#[tokio::test]
async fn an_event_is_sent_as_the_wire_wants_it() {
    let (client, mut peer) = connected().await;
    let data = json!({"lat": 1.5});
    client.emit("vehicle:position_update", &data, None).await.unwrap();
    assert_eq!(peer.receive().await, json!({"type": "vehicle:position_update", "data": data}));
    client.emit("a:b", &data, "route:12").await.unwrap();
    assert_eq!(peer.receive().await, json!({"type": "a:b", "data": data, "target": "route:12"}));
    client.emit("a:b", (), ["route:12", "depot:4"]).await.unwrap();
    assert_eq!(peer.receive().await, json!({"type": "a:b", "data": null, "target": ["route:12", "depot:4"]}));
}

#[tokio::test]
async fn events_keep_their_order() {
    let (client, mut peer) = connected().await;
    for number in 0..3_000 {
        if number % 100 == 99 {
            tokio::task::yield_now().await;
        }
        let sending = client.emit("a:b", number, None);
        let reading = async {
            if number >= 1_000 {
                assert_eq!(peer.receive().await["data"], number - 1_000);
            }
        };
        let (sent, ()) = tokio::join!(soon(sending), reading);
        sent.unwrap();
    }
}

#[tokio::test]
async fn what_is_not_a_message_is_refused_before_it_is_sent() {
    let (client, mut peer) = connected().await;
    for wrong in ["", "a", "a:b:c", "A:b", "a:b1"] {
        let error = client.emit(wrong, (), None).await.unwrap_err();
        assert!(matches!(error, SendError::InvalidType(_)), "{wrong}: {error}");
    }
    let error = client.emit("a:b", (), "nowhere").await.unwrap_err();
    assert!(matches!(error, SendError::InvalidTarget(_)), "{error}");
    let error = client.emit("a:b", &std::collections::HashMap::from([((1, 2), 3)]), None).await.unwrap_err();
    assert!(matches!(error, SendError::InvalidData(_)), "{error}");
    // The welcome allows 2,000 bytes.
    let error = client.emit("a:b", "x".repeat(2_000), None).await.unwrap_err();
    assert!(matches!(error, SendError::TooLarge { bytes_max: 2_000, .. }), "{error}");
    client.emit("a:b", "x".repeat(1_900), Target::Default).await.unwrap();
    assert_eq!(peer.receive().await["type"], "a:b", "the first that was sent");
    assert_eq!(client.stats().sent, 1);
}

#[tokio::test]
async fn events_reach_who_listens_to_their_type() {
    let (client, mut peer) = connected().await;
    let (mut orders, mut any) = (client.on("order:new"), client.on_any());
    for (number, message_type) in ["order:new", "order:gone", "order:new"].into_iter().enumerate() {
        peer.send(json!({"type": message_type, "data": number, "topic": "route:1", "offset": number})).await;
    }
    for number in [0, 2] {
        let order = soon(orders.recv()).await.unwrap();
        assert_eq!((order.data::<u64>().unwrap(), order.offset), (number, Some(number)));
    }
    for number in [0, 1, 2] {
        assert_eq!(soon(any.recv()).await.unwrap().data::<u64>().unwrap(), number);
    }
    assert_eq!(client.stats().received, 3);
}

#[tokio::test]
async fn a_slow_reader_is_told_what_it_missed_and_nobody_waits_for_it() {
    let node = FakeNode::start().await;
    let (client, mut peer) = node.welcome(node.config().event_queue(10, 1_000_000)).await;
    let (mut slow, mut last) = (client.on_any(), client.on("test:last"));
    for number in 0..100 {
        peer.send(json!({"type": "test:tick", "data": number})).await;
    }
    peer.send(json!({"type": "test:last", "data": 100})).await;
    soon(last.recv()).await.unwrap();
    assert!(matches!(slow.recv().await, Err(RecvError::Missed(91))));
    assert_eq!(slow.recv().await.unwrap().data::<u64>().unwrap(), 91);
    assert_eq!(client.stats().missed, 91);
}

#[tokio::test]
async fn what_can_not_be_read_is_counted_and_hurts_nobody() {
    let (client, mut peer) = connected().await;
    let mut any = client.on_any();
    peer.send_frame(Message::text("{")).await;
    peer.send_frame(Message::binary(vec![1, 2])).await;
    peer.send_frame(Message::text(r#"{"type": 5}"#)).await;
    peer.send(json!({"type": "system:error", "data": {"code": "internal", "message": "m"}})).await;
    assert_eq!(soon(any.recv()).await.unwrap().message_type, "system:error");
    let stats = client.stats();
    assert_eq!((stats.errors, stats.received), (4, 1));
}

#[tokio::test]
async fn data_is_kept_byte_for_byte() {
    let (client, mut peer) = connected().await;
    let mut any = client.on_any();
    let data = r#"{"n": 1.10, "big": 123456789012345678901234567890,  "s": "\u00e9"}"#;
    let text = format!(
        r#"{{"id":"1","type":"a:b","timestamp":"t","source":"s:s","data":{data},"target":null,"metadata":{{}}}}"#
    );
    peer.send_frame(Message::text(text)).await;
    let message = soon(any.recv()).await.unwrap();
    assert_eq!(message.data.get(), data);
    assert_eq!(message.data::<Value>().unwrap()["s"], "é");
}
