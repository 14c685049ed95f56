//! A client comes back: when, where to, as whom, and when it doesn't. The clock is paused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use signalbox_client::protocol::CloseCode;
use signalbox_client::protocol::close::Advice;
use signalbox_client::{Client, ClientConfig, ClientState, CloseCause, Event};
use tokio::io::DuplexStream;
use tokio::time::{Instant, sleep};

use crate::fake_node::{Peer, soon};
use crate::pipes::{Pipes, config, connected, network};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_replaced_and_its_session_goes_on() {
    let (client, peer, mut pipes) = connected(config()).await;
    let mut events = client.events();
    peer.cut();
    let (mut peer, positions) = pipes.resume().await;
    assert_eq!(positions, json!({"vehicle:V1": {"epoch": "e", "offset": 7}}));
    assert!(
        matches!(events.next().await, Some(Event::Disconnected { closed }) if closed.advice == Advice::Reconnect)
    );
    assert!(matches!(events.next().await, Some(Event::Connected { .. })));
    client.emit("a:b", 1, None).await.unwrap();
    assert_eq!(peer.receive().await["data"], 1);
    let stats = client.stats();
    assert_eq!((stats.reconnects, stats.state), (1, ClientState::Open));
}

#[tokio::test(start_paused = true)]
async fn the_state_can_be_watched() {
    let (client, peer, mut pipes) = connected(config()).await;
    let mut state = client.watch();
    assert_eq!(*state.borrow_and_update(), ClientState::Open);
    sleep(3 * SECOND).await;
    peer.cut();
    let mut next = async || {
        state.changed().await.unwrap();
        *state.borrow_and_update()
    };
    assert_eq!(next().await, ClientState::Waiting);
    assert_eq!(next().await, ClientState::Connecting);
    let (opened, _peer) = tokio::join!(client.opened(), pipes.resume());
    opened.unwrap();
    assert_eq!(next().await, ClientState::Open);
    sleep(SECOND).await;
    let stats = client.stats();
    assert_eq!(stats.connected, 4 * SECOND);
    assert!(stats.uptime > stats.connected && stats.uptime < 6 * SECOND, "{stats:?}");
    assert!(matches!(soon(client.close()).await.cause, CloseCause::ByClient));
    assert_eq!(next().await, ClientState::Closed);
    assert!(client.opened().await.is_err());
}

/// The waits before the first attempts after a cut, when every attempt is refused.
async fn waits(config: ClientConfig, refusal: &str) -> [f64; 5] {
    let (_client, peer, mut pipes) = connected(config).await;
    peer.cut();
    let mut before = Instant::now();
    let mut waits = [0.0; 5];
    for wait in &mut waits {
        let arrival = pipes.arrival().await;
        *wait = (arrival.at - before).as_secs_f64();
        before = arrival.at;
        arrival.refuse(refusal).await;
    }
    waits
}

#[tokio::test(start_paused = true)]
async fn waits_are_jittered_up_to_a_limit_that_grows_to_the_longest() {
    let mut longest = [0.0_f64; 5];
    for seed in 0..100 {
        let waits = waits(config().jitter_seed(seed), "502 Bad Gateway").await;
        for (longest, wait) in longest.iter_mut().zip(waits) {
            *longest = longest.max(wait);
        }
    }
    for (longest, limit) in longest.into_iter().zip([1.0, 2.0, 4.0, 5.0, 5.0]) {
        assert!(longest <= limit + 0.002 && longest > limit * 0.9, "{longest} of {limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_says_when_to_come_is_obeyed() {
    for seed in 0..20 {
        let [first, later @ ..] =
            waits(config().jitter_seed(seed), "503 Service Unavailable\r\nRetry-After: 7").await;
        assert!(first <= 1.0, "nobody had said anything yet");
        for wait in later {
            assert!((7.0..12.1).contains(&wait), "{wait}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_tries_without_end() {
    let (client, peer, mut pipes) = connected(config()).await;
    peer.cut();
    for _ in 0..500 {
        pipes.arrival().await.refuse("500 Internal Server Error").await;
    }
    let (_peer, _) = pipes.resume().await;
    assert_eq!(client.stats().reconnects, 1);
}

/// Tells the client to come in 3 s and closes after `until_close`. Returns when the client came.
async fn drained(until_close: Duration) -> Duration {
    let (client, mut peer, mut pipes) = connected(config()).await;
    let mut events = client.events();
    let start = Instant::now();
    peer.send(json!({"type": "system:draining", "data": {"reconnect_in_ms": 3_000, "reason": "stopping"}}))
        .await;
    let told = soon(events.next()).await;
    assert!(
        matches!(told, Some(Event::Draining { reconnect_in, .. }) if reconnect_in == 3 * SECOND),
        "{told:?}"
    );
    sleep(until_close).await;
    peer.close(1012, "restarting").await;
    let arrival = pipes.arrival().await;
    arrival.at - start
}

#[tokio::test(start_paused = true)]
async fn a_draining_node_is_left_when_it_said() {
    assert_eq!(
        drained(Duration::ZERO).await.as_millis(),
        3_000,
        "closed before: the rest of the time is waited"
    );
    assert_eq!(drained(2 * SECOND).await.as_millis(), 3_000);
    assert_eq!(drained(4 * SECOND).await.as_millis(), 4_000, "closed later: at once, without a back-off");
}

#[tokio::test(start_paused = true)]
async fn a_draining_node_that_does_not_close_is_left_all_the_same() {
    let (_client, mut peer, mut pipes) = connected(config()).await;
    let start = Instant::now();
    peer.send(json!({"type": "system:draining", "data": {"reconnect_in_ms": 3_000, "reason": "fault"}}))
        .await;
    let leaving = async {
        sleep(4 * SECOND).await;
        assert_eq!(peer.receive_close().await, 1000);
        start.elapsed()
    };
    let (left_after, _next) = tokio::join!(leaving, pipes.resume());
    assert_eq!(left_after, 8 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_falls_silent_is_replaced() {
    let (_client, _peer, mut pipes) = connected(config()).await;
    let start = Instant::now();
    let (_next, _) = pipes.resume().await;
    assert!((60..=61).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn every_close_code_is_acted_on() {
    for code in CloseCode::ALL {
        let (client, mut peer, mut pipes) = connected(config()).await;
        peer.close(code.as_u16(), code.reason()).await;
        match code.advice() {
            Advice::Reconnect => drop(pipes.resume().await),
            Advice::Reauthenticate | Advice::GiveUp => {
                let closed = soon(client.closed()).await;
                assert_eq!((closed.code(), closed.advice), (Some(code), code.advice()));
            }
        }
    }
}

/// A client whose tokens are numbered, and its network.
fn with_tokens() -> (Client, Pipes) {
    let asked = Arc::new(AtomicU32::new(0));
    let provide = move || {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        async move { if number == 1 { Err("none at the moment".into()) } else { Ok(format!("t{number}")) } }
    };
    let (dialer, pipes) = network(4_096);
    (Client::start_over(config().token_provider(provide), dialer), pipes)
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced() {
    let (client, mut pipes) = with_tokens();
    let (peer, asked) = pipes.welcome().await;
    assert_eq!(asked.authorization.as_deref(), Some("Bearer t0"));
    peer.cut();
    let (mut peer, asked) = pipes.accept().await;
    assert_eq!(asked.authorization.as_deref(), Some("Bearer t0"), "nobody has refused it");
    peer.close(4401, "expired").await;
    let (mut peer, asked) = pipes.accept().await;
    assert_eq!(asked.authorization.as_deref(), Some("Bearer t2"), "after a provider that had none");
    peer.close(4403, "forbidden").await;
    let closed = soon(client.closed()).await;
    assert!(matches!(closed.cause, CloseCause::NotConnected(_)), "{closed}");
    assert_eq!(closed.code(), Some(CloseCode::Forbidden));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_good_is_the_end() {
    let (client, peer, mut pipes) = connected(config()).await;
    let mut any = client.on_any();
    peer.cut();
    pipes.arrival().await.refuse("404 Not Found").await;
    assert_eq!(soon(client.closed()).await.advice, Advice::GiveUp);
    assert!(any.recv().await.is_err());
    assert!(client.events().next().await.is_none());
    assert!(client.emit("a:b", (), None).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_addresses_of_a_cluster_are_tried_in_turn() {
    let cluster =
        config().endpoint("ws://second/ws").endpoint("ws://third/ws?pillar=x").query("agent_type", "vehicle");
    let (dialer, mut pipes) = network(4_096);
    let _client = Client::start_over(cluster, dialer);
    let mut hosts = Vec::new();
    for attempt in 0..6 {
        let arrival = pipes.arrival().await;
        hosts.push(arrival.host.clone());
        if attempt % 2 == 0 {
            arrival.refuse("503 Service Unavailable").await;
        } else {
            let (mut peer, asked) = arrival.accept().await;
            assert!(asked.query.contains("agent_type=vehicle"));
            peer.send(crate::fake_node::welcome()).await;
            peer.cut();
        }
    }
    assert_eq!(hosts[..3], hosts[3..]);
    hosts.sort();
    hosts.dedup();
    assert_eq!(hosts, ["node", "second", "third"]);
}

#[tokio::test(start_paused = true)]
async fn connecting_tries_every_address_once() {
    let cluster = || config().endpoint("ws://second/ws");
    let (dialer, mut pipes) = network(4_096);
    let refusing = async {
        for _ in 0..2 {
            pipes.arrival().await.refuse("503 Service Unavailable").await;
        }
    };
    let (client, ()) = tokio::join!(soon(Client::connect_over(cluster(), dialer)), refusing);
    assert!(client.is_err());
    let (dialer, mut pipes) = network(4_096);
    let accepting = async {
        pipes.arrival().await.refuse("503 Service Unavailable").await;
        pipes.welcome().await
    };
    let (client, _peer) = tokio::join!(soon(Client::connect_over(cluster(), dialer)), accepting);
    client.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_moves_when_it_is_told_to() {
    let cluster = config().endpoint("ws://second/ws").keep_order();
    let (dialer, mut pipes) = network(4_096);
    let (client, mut peer) = pipes.connect(cluster, dialer).await;
    let start = Instant::now();
    client.reconnect();
    assert_eq!(peer.receive_close().await, 1000);
    let arrival = pipes.arrival().await;
    assert_eq!((arrival.host.as_str(), start.elapsed()), ("second", Duration::ZERO));
    client.reconnect();
    let (mut peer, _) = arrival.accept().await;
    peer.send(crate::fake_node::welcome()).await;
    let resume = peer.receive().await;
    peer.recover(&resume).await;
    sleep(SECOND).await;
    assert_eq!(client.stats().reconnects, 1, "while it was connecting there was nothing to leave");
}

/// The node says that the token ends soon; what it is shown then.
async fn told_to_renew(peer: &mut Peer<DuplexStream>) -> Value {
    peer.send(json!({"type": "system:token_expiring", "data": {"expires_in_seconds": 60}})).await;
    let refresh = peer.receive().await;
    assert_eq!(refresh["type"], "system:refresh");
    refresh
}

#[tokio::test(start_paused = true)]
async fn a_token_that_ends_soon_is_renewed_on_the_open_connection() {
    let (dialer, mut pipes) = network(4_096);
    let asked = Arc::new(AtomicU32::new(0));
    let provide = move || {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        async move { Ok(format!("t{number}")) }
    };
    let client = Client::start_over(config().token_provider(provide), dialer);
    let mut events = client.events();
    let (mut peer, asked) = pipes.welcome().await;
    assert_eq!(asked.authorization.as_deref(), Some("Bearer t0"));
    let refresh = told_to_renew(&mut peer).await;
    assert_eq!(refresh["data"]["token"], "t1");
    let left = json!({"expires_in_seconds": 3_600, "left": ["route:1"]});
    peer.send(json!({"type": "system:refreshed", "correlationId": refresh["id"], "data": left})).await;
    assert!(matches!(soon(events.next()).await, Some(Event::Connected { .. })));
    let told = soon(events.next()).await;
    assert!(matches!(&told, Some(Event::NotAllowed { topics }) if topics.len() == 1), "{told:?}");
    // The next connection shows the token of now.
    peer.cut();
    let (_, asked) = pipes.accept().await;
    assert_eq!(asked.authorization.as_deref(), Some("Bearer t1"));
}

#[tokio::test(start_paused = true)]
async fn a_new_token_that_is_refused_or_does_not_come_leaves_the_connection_as_it_is() {
    let (client, mut pipes) = with_tokens();
    let mut any = client.on_any();
    let (mut peer, _) = pipes.welcome().await;
    // The provider has none.
    peer.send(json!({"type": "system:token_expiring", "data": {"expires_in_seconds": 60}})).await;
    peer.send(json!({"type": "a:first", "data": {}})).await;
    assert_eq!(soon(any.recv()).await.unwrap().message_type, "a:first");
    let refresh = told_to_renew(&mut peer).await;
    assert_eq!(refresh["data"]["token"], "t2");
    let fault = json!({"code": "forbidden", "message": "no", "retryable": false});
    peer.send(json!({"type": "system:error", "correlationId": refresh["id"], "data": fault})).await;
    peer.send(json!({"type": "a:second", "data": {}})).await;
    assert_eq!(soon(any.recv()).await.unwrap().message_type, "a:second", "nobody else is told");
    peer.close(4401, "expired").await;
    let (_, asked) = pipes.accept().await;
    assert_eq!(asked.authorization.as_deref(), Some("Bearer t3"));
}
