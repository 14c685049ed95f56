//! How a connection ends, and who is told.

use std::time::Duration;

use signalbox_client::protocol::CloseCode;
use signalbox_client::protocol::close::Advice;
use signalbox_client::{ClientState, CloseCause, RecvError, RequestError, SendError, Unanswered};

use crate::fake_node::{FakeNode, connected, soon};
use crate::pipes;

#[tokio::test]
async fn everybody_is_told_why_the_node_closed() {
    let node = FakeNode::start().await;
    let (client, mut peer) = node.welcome(node.config().without_reconnect()).await;
    let mut events = client.on_any();
    assert_eq!(client.stats().state, ClientState::Open);
    let asking = client.request("system:stats", (), None, Duration::from_secs(5));
    let closing = async {
        peer.receive().await;
        peer.close(1012, "restarting").await;
    };
    let (answer, ()) = tokio::join!(asking, closing);
    let restarting = |closed: &signalbox_client::Closed| {
        assert_eq!(closed.code(), Some(CloseCode::ServiceRestart));
        assert_eq!(closed.advice, Advice::Reconnect);
    };
    let Err(RequestError::Unknown(Unanswered::Closed(closed))) = answer else { panic!("{answer:?}") };
    restarting(&closed);
    restarting(&soon(client.closed()).await);
    let Err(RecvError::Closed(closed)) = soon(events.recv()).await else { panic!("no end") };
    restarting(&closed);
    let Err(SendError::Closed(closed)) = client.emit("a:b", (), None).await else { panic!("sent") };
    restarting(&closed);
    let Some(Err(RecvError::Closed(closed))) = client.on("a:b").try_recv() else { panic!("no end") };
    restarting(&closed);
    assert_eq!(client.stats().state, ClientState::Closed);
    assert_eq!(client.stats().uptime, client.stats().uptime, "the clock stops with the connection");
}

#[tokio::test]
async fn a_cut_connection_is_lost() {
    let node = FakeNode::start().await;
    let (client, peer) = node.welcome(node.config().without_reconnect()).await;
    peer.cut();
    let closed = soon(client.closed()).await;
    assert!(matches!(closed.cause, CloseCause::Lost(_)), "{closed}");
    assert_eq!((closed.code(), closed.advice), (None, Advice::Reconnect));
}

#[tokio::test(start_paused = true)]
async fn closing_sends_what_is_queued_first() {
    let (client, mut peer, _pipes) = pipes::connected(pipes::config()).await;
    for number in 0..1_000 {
        soon(client.emit("a:b", number, None)).await.unwrap();
    }
    let reading = async {
        for number in 0..1_000 {
            assert_eq!(peer.receive().await["data"], number);
        }
        assert_eq!(peer.receive_close().await, 1000);
        peer
    };
    let (closed, _peer) = tokio::join!(soon(client.close()), reading);
    assert!(matches!(closed.cause, CloseCause::ByClient), "{closed}");
    assert!(matches!(soon(client.close()).await.cause, CloseCause::ByClient));
    assert!(matches!(client.emit("a:b", (), None).await, Err(SendError::Closed(_))));
}

#[tokio::test]
async fn the_last_handle_that_is_dropped_closes() {
    let (client, mut peer) = connected().await;
    let mut events = client.on_any();
    let other = client.clone();
    drop(client);
    other.emit("a:b", (), None).await.unwrap();
    assert_eq!(peer.receive().await["type"], "a:b");
    drop(other);
    assert_eq!(peer.receive_close().await, 1000);
    peer.cut();
    assert!(matches!(soon(events.recv()).await, Err(RecvError::Closed(_))));
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_for_a_node_that_does_not_answer() {
    let (client, _peer, _pipes) = pipes::connected(pipes::config()).await;
    // The peer's end stays open, and nobody reads it.
    soon(client.close()).await;
}

#[test]
fn a_client_whose_runtime_is_gone_has_ended() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (doomed, other) = (runtime(), runtime());
    let (dialer, mut pipes) = pipes::network(4_096);
    let (client, _peer) = doomed.block_on(pipes.connect(pipes::config(), dialer));
    let mut events = client.on_any();
    drop(doomed);
    other.block_on(async {
        assert!(matches!(soon(client.closed()).await.cause, CloseCause::Aborted));
        assert!(soon(events.recv()).await.is_err());
        assert!(soon(client.opened()).await.is_err());
        let asked = soon(client.request("system:stats", (), None, Duration::from_secs(60))).await;
        assert!(matches!(asked, Err(RequestError::Send(SendError::Closed(_)))), "{asked:?}");
    });
}
