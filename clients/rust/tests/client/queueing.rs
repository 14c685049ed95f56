//! What waits while there is no connection, or no reader, and what happens at the bounds.

use std::time::Duration;

use serde_json::json;
use signalbox_client::{
    Client, CloseCause, Event, RecvError, RequestError, SendError, WhenFull, WhenOffline,
};
use tokio::time::{Instant, timeout};

use crate::fake_node::soon;
use crate::pipes::{config, connected, network};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn what_is_sent_before_and_between_connections_goes_out_in_order() {
    let (dialer, mut pipes) = network(64 * 1024);
    let client = Client::start_over(config(), dialer);
    for number in 0..5 {
        client.emit("a:b", number, None).await.unwrap();
    }
    let (mut peer, _) = pipes.welcome().await;
    for number in 0..5 {
        assert_eq!(peer.receive().await["data"], number);
    }
    peer.cut();
    let mut state = client.watch();
    state.wait_for(|state| *state == signalbox_client::ClientState::Waiting).await.unwrap();
    for number in 5..10 {
        client.emit("a:b", number, None).await.unwrap();
    }
    let (mut peer, _) = pipes.resume().await;
    for number in 5..10 {
        assert_eq!(peer.receive().await["data"], number);
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_the_newest_at_once_or_after_a_while() {
    for (policy, waited) in [(WhenFull::Refuse, Duration::ZERO), (WhenFull::Wait, 3 * SECOND)] {
        let bounded = config().outgoing_queue(2, 1_000_000).when_full(policy).send_timeout(3 * SECOND);
        let (dialer, mut pipes) = network(64 * 1024);
        let client = Client::start_over(bounded, dialer);
        for number in 0..2 {
            client.emit("a:b", number, None).await.unwrap();
        }
        let start = Instant::now();
        let error = client.emit("a:b", 2, None).await.unwrap_err();
        assert!(matches!(error, SendError::QueueFull(time) if time == waited), "{error}");
        assert_eq!((start.elapsed(), client.stats().refused), (waited, 1));
        let (mut peer, _) = pipes.welcome().await;
        for number in 0..2 {
            assert_eq!(peer.receive().await["data"], number);
        }
        client.emit("a:b", 3, None).await.unwrap();
        assert_eq!(peer.receive().await["data"], 3);
    }
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_in_bytes_and_counts_what_is_not_acknowledged() {
    let bounded = config().outgoing_queue(100, 3_000).when_full(WhenFull::Refuse);
    let (client, mut peer, _pipes) = connected(bounded).await;
    let data = "x".repeat(1_300);
    for _ in 0..2 {
        client.emit("order:new", &data, "route:1").await.unwrap();
    }
    let first = peer.receive().await;
    let error = client.emit("order:new", &data, "route:1").await.unwrap_err();
    assert!(matches!(error, SendError::QueueFull(_)), "{error}");
    peer.acknowledge(&first).await;
    peer.receive().await;
    client.emit("order:new", &data, "route:1").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn ephemeral_events_may_be_refused_while_there_is_no_connection() {
    let (dialer, mut pipes) = network(64 * 1024);
    let client = Client::start_over(config().when_offline(WhenOffline::Refuse), dialer);
    let error = client.emit("vehicle:position_update", 1, None).await.unwrap_err();
    assert!(matches!(error, SendError::Offline), "{error}");
    client.emit("order:new", 2, "route:1").await.unwrap();
    let (mut peer, _) = pipes.welcome().await;
    assert_eq!(peer.receive().await["data"], 2, "what must not be lost waits");
    client.emit("vehicle:position_update", 3, None).await.unwrap();
    assert_eq!(peer.receive().await["data"], 3);
}

#[tokio::test(start_paused = true)]
async fn what_a_node_would_not_take_is_refused_when_it_says_so() {
    let (dialer, mut pipes) = network(64 * 1024);
    let client = Client::start_over(config(), dialer);
    let mut events = client.events();
    // The welcome allows 2,000 bytes.
    let long = "x".repeat(3_000);
    client.emit("a:b", &long, None).await.unwrap();
    client.emit("order:new", &long, "route:1").await.unwrap();
    client.emit("a:b", "short", None).await.unwrap();
    let asking = client.emit_acked("a:b", &long, "route:1");
    let serving = async {
        let (mut peer, _) = pipes.welcome().await;
        assert_eq!(peer.receive().await["data"], "short");
        peer
    };
    let (asked, _peer) = tokio::join!(asking, serving);
    assert!(matches!(asked.unwrap_err(), RequestError::Send(SendError::TooLarge { bytes_max: 2_000, .. })));
    let told = soon(events.next()).await;
    assert!(
        matches!(
            told,
            Some(Event::Undelivered { error: RequestError::Send(SendError::TooLarge { .. }), .. })
        ),
        "{told:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_acknowledgements_but_not_for_ever() {
    let (client, mut peer, _pipes) = connected(config()).await;
    client.emit("order:new", 1, "route:1").await.unwrap();
    let acknowledging = async {
        let message = peer.receive().await;
        tokio::time::sleep(2 * SECOND).await;
        peer.acknowledge(&message).await;
        assert_eq!(peer.receive_close().await, 1000);
        peer.cut();
    };
    let start = Instant::now();
    tokio::join!(client.close(), acknowledging);
    assert_eq!(start.elapsed(), 2 * SECOND);
    assert_eq!(client.stats().undelivered, 0);

    let (client, mut peer, _pipes) = connected(config().closing_timeout(3 * SECOND)).await;
    let mut events = client.events();
    client.emit("order:new", 1, "route:1").await.unwrap();
    let ignoring = async {
        peer.receive().await;
        assert_eq!(peer.receive_close().await, 1000);
        peer.cut();
    };
    let start = Instant::now();
    tokio::join!(client.close(), ignoring);
    assert_eq!(start.elapsed(), 3 * SECOND);
    assert_eq!(client.stats().undelivered, 1);
    assert!(matches!(events.next().await, Some(Event::Disconnected { .. })));
    assert!(matches!(events.next().await, Some(Event::Undelivered { error: RequestError::Unknown(_), .. })));
}

#[tokio::test(start_paused = true)]
async fn closing_without_a_connection_ends_at_once() {
    let (dialer, _pipes) = network(64 * 1024);
    let client = Client::start_over(config(), dialer);
    let asking = client.emit_acked("order:new", 1, "route:1");
    let closing = async {
        tokio::task::yield_now().await;
        client.close().await
    };
    let start = Instant::now();
    let (asked, closed) = tokio::join!(asking, closing);
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(matches!(closed.cause, CloseCause::ByClient), "{closed}");
    assert!(matches!(asked.unwrap_err(), RequestError::NotSent(_)));
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_slows_the_node_down_and_loses_nothing() {
    const MESSAGES: u64 = 200;
    let (dialer, mut pipes) = network(1_024);
    let (client, mut peer) = pipes.connect(config().event_queue(3, 1_000_000), dialer).await;
    let mut messages = client.on("order:new");
    let sending = async {
        let mut sent = 0;
        for offset in 8..8 + MESSAGES {
            if timeout(SECOND, peer.send_durable("vehicle:V1", offset)).await.is_err() {
                break;
            }
            sent += 1;
        }
        sent
    };
    let sent: u64 = sending.await;
    assert!((4..30).contains(&sent), "{sent} went into the pipe, the read buffer and the queue");
    // What can be sent is sent all the same.
    client.emit("a:b", 1, None).await.unwrap();
    assert_eq!(peer.receive().await["data"], 1);
    // The node has had enough, and the client goes on behind what it had in hand.
    peer.cut();
    let reading = async {
        for offset in 8..8 + MESSAGES {
            assert_eq!(soon(messages.recv()).await.unwrap().offset, Some(offset));
        }
    };
    let replaying = async {
        let (mut peer, positions) = pipes.resume().await;
        let from = positions["vehicle:V1"]["offset"].as_u64().unwrap();
        assert!((10..8 + sent).contains(&from), "{from} after {sent}");
        for offset in from + 1..8 + MESSAGES {
            peer.send_durable("vehicle:V1", offset).await;
        }
        peer
    };
    let ((), _peer) = tokio::join!(reading, replaying);
    assert_eq!((client.stats().missed, client.stats().losses), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn ephemeral_messages_never_wait_for_a_reader() {
    let (client, mut peer, _pipes) = connected(config().event_queue(3, 1_000_000)).await;
    let (mut slow, mut last) = (client.on("a:b"), client.on("test:last"));
    for number in 0..50 {
        peer.send(json!({"type": "a:b", "data": number})).await;
    }
    peer.send(json!({"type": "test:last"})).await;
    soon(last.recv()).await.unwrap();
    assert!(matches!(slow.recv().await, Err(RecvError::Missed(47))));
}

#[tokio::test(start_paused = true)]
async fn a_node_is_not_called_silent_while_nobody_listens_to_it() {
    let (client, mut peer, _pipes) = connected(config().event_queue(1, 1_000_000)).await;
    let mut messages = client.on("order:new");
    for offset in [8, 9] {
        peer.send_durable("vehicle:V1", offset).await;
    }
    tokio::time::sleep(300 * SECOND).await;
    for offset in [8, 9] {
        assert_eq!(soon(messages.recv()).await.unwrap().offset, Some(offset));
    }
    peer.send_durable("vehicle:V1", 10).await;
    assert_eq!(soon(messages.recv()).await.unwrap().offset, Some(10));
    assert_eq!(client.stats().reconnects, 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_reader_stands_still_does_not_reconnect_over_and_over() {
    let (client, mut peer, mut pipes) = connected(config().event_queue(1, 1_000_000)).await;
    let mut messages = client.on("order:new");
    for offset in [8, 9] {
        peer.send_durable("vehicle:V1", offset).await;
    }
    // The first is in the queue, the second in hand: nothing more is read.
    tokio::time::sleep(SECOND).await;
    client.reconnect();
    let (mut peer, positions) = pipes.resume().await;
    assert_eq!(positions["vehicle:V1"]["offset"], 8, "the second is not handed over");
    for offset in [9, 10] {
        peer.send_durable("vehicle:V1", offset).await;
    }
    // Longer than an answer to a resume may take.
    tokio::time::sleep(50 * SECOND).await;
    assert_eq!(client.stats().reconnects, 1);
    for offset in [8, 9, 10] {
        assert_eq!(soon(messages.recv()).await.unwrap().offset, Some(offset));
    }
    assert_eq!((client.stats().reconnects, client.stats().duplicates), (1, 1));
}
