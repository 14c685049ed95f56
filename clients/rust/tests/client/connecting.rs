//! From a URL to a welcomed connection, and all the ways in which that fails.

use std::time::Duration;

use serde_json::json;
use signalbox_client::protocol::close::Advice;
use signalbox_client::{Client, ClientConfig, ConnectError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

use crate::fake_node::{FakeNode, Peer, connected, soon, welcome};

#[tokio::test]
async fn a_client_knows_what_its_welcome_said() {
    let (client, _peer) = connected().await;
    let welcome = client.welcome().unwrap();
    assert_eq!(welcome.agent.as_str(), "vehicle:V1");
    assert_eq!(welcome.node_id.as_str(), "n1");
    assert_eq!(welcome.positions.values().next().unwrap().offset, 7);
}

#[tokio::test]
async fn query_and_token_reach_the_node() {
    let node = FakeNode::start().await;
    let config = node.config().query("agent_id", "a+b").token("t-1").connect_timeout(Duration::from_secs(1));
    let reading = async {
        let mut stream = node.accept_tcp().await;
        let mut head = vec![0; 4_096];
        let bytes = stream.read(&mut head).await.unwrap();
        String::from_utf8_lossy(&head[..bytes]).into_owned()
    };
    let (_, head) = tokio::join!(Client::connect(config), reading);
    assert!(head.starts_with("GET /ws?agent_id=a%2Bb HTTP/1.1\r\n"), "{head}");
    assert!(head.to_lowercase().contains("\r\nauthorization: bearer t-1\r\n"), "{head}");
}

#[tokio::test]
async fn what_comes_right_after_the_welcome_reaches_subscriptions_made_before() {
    let node = FakeNode::start().await;
    let config = node.config();
    let (mut one, mut any) = (config.on("order:new"), config.on_any());
    let accepting = async {
        let mut peer = node.accept().await;
        peer.send(welcome()).await;
        peer.send(json!({"type": "order:new"})).await;
        peer
    };
    let (client, _peer) = tokio::join!(Client::connect(config), accepting);
    assert_eq!(soon(one.recv()).await.unwrap().message_type, "order:new");
    assert_eq!(soon(any.recv()).await.unwrap().message_type, "order:new");
    drop(client);
}

async fn refused_with(response: &str) -> ConnectError {
    let node = FakeNode::start().await;
    let answering = async {
        let mut stream = node.accept_tcp().await;
        let asked = stream.read(&mut [0; 4_096]).await.expect("the client is connected");
        assert_ne!(asked, 0, "the client asks first");
        stream.write_all(response.as_bytes()).await.expect("the client is connected");
        stream
    };
    let (client, _stream) = tokio::join!(soon(Client::connect(node.config())), answering);
    client.expect_err("it is no node")
}

#[tokio::test]
async fn a_refusal_carries_status_wait_and_words() {
    let error = refused_with(
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 7\r\nContent-Length: 9\r\n\r\noverload\n",
    )
    .await;
    let ConnectError::Refused { status, retry_after, body } = error else { panic!("{error}") };
    assert_eq!((status, retry_after, body.as_str()), (503, Some(Duration::from_secs(7)), "overload"));
}

#[tokio::test]
async fn what_is_no_websocket_server_is_told_so() {
    let error = refused_with("SSH-2.0-OpenSSH\r\n\r\n").await;
    assert!(matches!(error, ConnectError::Upgrade(_)), "{error:?}");
}

/// Connects to a node that greets with something else than a welcome.
async fn greeted(greeting: impl AsyncFnOnce(&mut Peer)) -> ConnectError {
    let node = FakeNode::start().await;
    let accepting = async {
        let mut peer = node.accept().await;
        greeting(&mut peer).await;
        peer
    };
    let config = node.config().connect_timeout(Duration::from_millis(500));
    let (client, _peer) = tokio::join!(soon(Client::connect(config)), accepting);
    client.expect_err("it was not welcomed")
}

#[tokio::test]
async fn a_close_instead_of_a_welcome_says_what_to_do() {
    let error = greeted(async |peer| peer.close(4401, "no valid token").await).await;
    let ConnectError::Closed(closed) = error else { panic!("{error}") };
    assert_eq!(closed.code().unwrap().as_u16(), 4401);
    assert_eq!(closed.advice, Advice::Reauthenticate);
}

#[tokio::test]
async fn the_first_frame_has_to_be_a_welcome() {
    let error = greeted(async |peer| peer.send(json!({"type": "order:new"})).await).await;
    assert!(matches!(error, ConnectError::NoWelcome(None)), "{error:?}");
    let error = greeted(async |peer| peer.send(json!({"type": "system:welcome"})).await).await;
    assert!(matches!(error, ConnectError::NoWelcome(Some(_))), "{error:?}");
    let error = greeted(async |peer| peer.send_frame(Message::text("hello")).await).await;
    assert!(matches!(error, ConnectError::NoWelcome(Some(_))), "{error:?}");
}

#[tokio::test]
async fn a_node_that_never_welcomes_is_given_up() {
    let error = greeted(async |peer| peer.send_frame(Message::Ping("".into())).await).await;
    assert!(matches!(error, ConnectError::Timeout(_)), "{error:?}");
}

#[tokio::test]
async fn what_is_not_a_websocket_url_or_not_there_is_told_apart() {
    for url in ["", "127.0.0.1:8080", "http://127.0.0.1/ws", "wss://127.0.0.1/ws", "ws:///ws"] {
        let error = soon(Client::connect(ClientConfig::new(url))).await.unwrap_err();
        assert!(matches!(error, ConnectError::InvalidUrl { scheme: "ws", .. }), "{url}: {error:?}");
    }
    let nobody = FakeNode::start().await.config();
    let error = soon(Client::connect(nobody)).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable { .. }), "{error:?}");
}
