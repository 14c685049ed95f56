//! Durable messages are sent until they are stored, and their senders are told the truth.

use std::time::Duration;

use serde_json::json;
use signalbox_client::protocol::ErrorCode;
use signalbox_client::{Event, RequestError, Unanswered};
use tokio::time::{Instant, timeout};

use crate::fake_node::soon;
use crate::pipes::{config, connected};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn an_unacknowledged_message_is_sent_again_with_its_id_and_in_order() {
    let (client, mut peer, mut pipes) = connected(config()).await;
    let limit = 60 * SECOND;
    let sending = async {
        let first = client.emit_acked_within(limit, "order:new", 1, "route:1");
        let second = client.emit_acked_within(limit, "order:new", 2, "route:1");
        tokio::join!(first, second)
    };
    let serving = async {
        let first = peer.receive().await;
        peer.cut();
        let (mut peer, _) = pipes.resume().await;
        let again = peer.receive().await;
        assert_eq!(again, first, "the same, to the letter");
        peer.acknowledge(&again).await;
        let second = peer.receive().await;
        assert_eq!(second["data"], 2);
        peer.acknowledge(&second).await;
        (first["id"].clone(), second["id"].clone())
    };
    let ((first, second), ids) = tokio::join!(sending, serving);
    assert_eq!(
        (first.unwrap().id, second.unwrap().id),
        (ids.0.as_str().unwrap().into(), ids.1.as_str().unwrap().into())
    );
    assert_eq!(client.stats().resent, 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_the_node_can_not_take_is_sent_again_a_little_later() {
    let (client, mut peer, _pipes) = connected(config()).await;
    let sending = client.emit_acked_within(60 * SECOND, "order:new", 1, "route:1");
    let serving = async {
        for code in ["unavailable", "outcome_unknown", "rate_limited"] {
            let message = peer.receive().await;
            peer.refuse(&message, code).await;
        }
        let message = peer.receive().await;
        peer.acknowledge(&message).await;
    };
    let (sent, ()) = tokio::join!(sending, serving);
    sent.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_never_written_is_certainly_not_sent_and_stays_so() {
    let (client, peer, mut pipes) = connected(config()).await;
    peer.cut();
    let arrival = pipes.arrival().await;
    let error = client.emit_acked("order:new", 1, "route:1").await.unwrap_err();
    assert!(matches!(error, RequestError::NotSent(Unanswered::Timeout(_))), "{error}");
    let error = client.request("system:stats", (), None, SECOND).await.unwrap_err();
    assert!(matches!(error, RequestError::NotSent(Unanswered::Timeout(_))), "{error}");
    client.emit("a:b", 2, None).await.unwrap();
    let (mut peer, _) = arrival.accept().await;
    peer.send(crate::fake_node::welcome()).await;
    let resume = peer.receive().await;
    peer.recover(&resume).await;
    assert_eq!(peer.receive().await["data"], 2, "the first that was not given up");
}

#[tokio::test(start_paused = true)]
async fn what_was_written_and_not_answered_is_unknown() {
    let (client, mut peer, _pipes) = connected(config()).await;
    let start = Instant::now();
    let sending = client.emit_acked_within(9 * SECOND, "order:new", 1, "route:1");
    let (error, _) = tokio::join!(sending, peer.receive());
    assert!(matches!(error.unwrap_err(), RequestError::Unknown(Unanswered::Timeout(_))));
    assert_eq!(start.elapsed(), 9 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_did_nothing_leaves_no_doubt_and_one_that_may_have_does() {
    for (code, doubt) in [("unavailable", false), ("outcome_unknown", true), ("timeout", true)] {
        let (client, mut peer, _pipes) = connected(config()).await;
        let serving = async {
            loop {
                let message = peer.receive().await;
                peer.refuse(&message, code).await;
            }
        };
        let error = tokio::select! {
            sent = client.emit_acked("order:new", 1, "route:1") => sent.unwrap_err(),
            () = serving => unreachable!("it serves without end"),
        };
        assert_eq!(matches!(error, RequestError::Unknown(_)), doubt, "{code}: {error}");
        assert_eq!(matches!(error, RequestError::NotSent(_)), !doubt, "{code}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_good_is_told_and_after_a_lost_answer_it_proves_nothing() {
    let (client, mut peer, mut pipes) = connected(config()).await;
    let serving = async {
        let message = peer.receive().await;
        peer.refuse(&message, "forbidden").await;
        peer.receive().await;
        peer.cut();
        let (mut peer, _) = pipes.resume().await;
        let message = peer.receive().await;
        peer.refuse(&message, "forbidden").await;
        peer
    };
    let sending = async {
        [
            client.emit_acked("order:new", 1, "route:1").await,
            client.emit_acked("order:new", 2, "route:1").await,
        ]
    };
    let ([first, second], _peer) = tokio::join!(sending, serving);
    assert!(matches!(first.unwrap_err(), RequestError::Refused(fault) if fault.code == ErrorCode::Forbidden));
    assert!(matches!(second.unwrap_err(), RequestError::Unknown(Unanswered::Refused(_))));
}

#[tokio::test(start_paused = true)]
async fn one_that_nobody_waits_for_is_tried_for_its_time_and_then_told() {
    let (client, mut peer, mut pipes) = connected(config().delivery_timeout(20 * SECOND)).await;
    let mut events = client.events();
    let start = Instant::now();
    client.emit("order:new", 1, "route:1").await.unwrap();
    client.emit("order:new", 2, "route:1").await.unwrap();
    peer.receive().await;
    peer.cut();
    let _arrival = pipes.arrival().await;
    let mut told = Vec::new();
    while told.len() < 2 {
        if let Some(Event::Undelivered { error, .. }) = events.next().await {
            told.push(error);
        }
    }
    assert_eq!(start.elapsed(), 20 * SECOND);
    assert!(matches!(&told[..], [RequestError::Unknown(_), RequestError::NotSent(_)]), "{told:?}");
    assert_eq!(client.stats().undelivered, 2);
}

#[tokio::test(start_paused = true)]
async fn only_as_many_as_configured_are_in_flight() {
    for in_flight in [1, 3] {
        let (client, mut peer, _pipes) = connected(config().durable_in_flight(in_flight)).await;
        for number in 0..5 {
            client.emit("order:new", number, "route:1").await.unwrap();
        }
        client.emit("a:b", "plain", None).await.unwrap();
        let mut messages = Vec::new();
        for number in 0..in_flight {
            messages.push(peer.receive().await);
            assert_eq!(messages[number]["data"], number);
        }
        assert_eq!(peer.receive().await["data"], "plain", "another class has another order");
        assert!(timeout(SECOND, peer.receive()).await.is_err());
        peer.acknowledge(&messages[0]).await;
        assert_eq!(peer.receive().await["data"], in_flight);
    }
}

#[tokio::test(start_paused = true)]
async fn the_gateways_answer_is_lost_with_the_connection() {
    let (client, mut peer, _pipes) = connected(config()).await;
    let cutting = async {
        peer.receive().await;
        peer.receive().await;
        peer.cut();
    };
    let asking = async {
        let command = client.request("lock:acquire", json!({"resource": "bay-1"}), None, 60 * SECOND);
        tokio::join!(command, client.emit_acked("a:b", 1, "route:1"))
    };
    let start = Instant::now();
    let ((command, event), ()) = tokio::join!(asking, cutting);
    for error in [command.map(drop).unwrap_err(), event.map(drop).unwrap_err()] {
        assert!(matches!(error, RequestError::Unknown(Unanswered::Closed(_))), "{error}");
    }
    assert_eq!(start.elapsed(), Duration::ZERO, "nobody waits for what can't come");
}

#[tokio::test(start_paused = true)]
async fn another_clients_answer_may_come_over_the_next_connection() {
    let (client, mut peer, mut pipes) = connected(config()).await;
    let asking = client.request("test:question", 1, "vehicle:V2", 60 * SECOND);
    let answering = async {
        let question = peer.receive().await;
        peer.cut();
        let (mut peer, _) = pipes.resume().await;
        peer.send(json!({"type": "test:answer", "correlationId": question["correlationId"], "data": 2}))
            .await;
        peer
    };
    let (answer, _peer) = tokio::join!(asking, answering);
    assert_eq!(answer.unwrap().data::<u64>().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_durable_question_is_sent_again_until_it_is_stored() {
    let (client, mut peer, mut pipes) = connected(config()).await;
    let asking = client.request("order:new", 1, "route:1", 60 * SECOND);
    let answering = async {
        let first = peer.receive().await;
        peer.cut();
        let (mut peer, _) = pipes.resume().await;
        let again = peer.receive().await;
        assert_eq!(again, first);
        peer.acknowledge(&again).await;
        peer.send(json!({"type": "order:seen", "correlationId": again["correlationId"], "data": 2})).await;
        peer
    };
    let (answer, _peer) = tokio::join!(asking, answering);
    assert_eq!(soon(async { answer.unwrap().data::<u64>().unwrap() }).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_durable_answer_is_sent_again_until_it_is_stored() {
    let (client, mut peer, mut pipes) = connected(config()).await;
    let (mut questions, mut any) = (client.on("test:question"), client.on("system:ack"));
    let question =
        json!({"type": "test:question", "source": "driver:7", "correlationId": "chosen by another"});
    peer.send(question).await;
    client.respond(&soon(questions.recv()).await.unwrap(), "order:seen", 1).await.unwrap();
    let first = peer.receive().await;
    assert_eq!(
        (&first["target"], &first["correlationId"]),
        (&json!("driver:7"), &json!("chosen by another"))
    );
    peer.cut();
    let (mut peer, _) = pipes.resume().await;
    let again = peer.receive().await;
    assert_eq!(again, first);
    peer.acknowledge(&again).await;
    client.emit("order:new", 2, "route:1").await.unwrap();
    assert_eq!(peer.receive().await["data"], 2, "the one before is acknowledged");
    assert!(any.try_recv().is_none(), "its acknowledgement is no message for the application");
}
