//! Bad input from outside: each gets its documented answer, is counted, and hurts nobody else.

use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::client::Client;
use crate::fixture::{TestNode, config};
use crate::http::call;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handshakes_that_make_no_sense_are_refused_with_a_status() {
    let node = TestNode::start(&config(None)).await;
    for (path, status) in [
        ("/ws/no-such-namespace", 404),
        ("/ws?agent_type=martian", 400),
        ("/ws?agent_id=a%20b", 400),
        ("/ws?tenant=", 400),
        ("/ws?session_id=%07", 400),
        ("/ws?agent_id=a&agent_id=b", 400),
        ("/ws?agent_type=service&agent_id=signalbox", 400),
    ] {
        assert_eq!(Client::refusal(node.address, path).await, status, "{path}");
    }
    assert_eq!(call(node.address, "GET", "/ws", "").await.0, 426);
    let metrics = call(node.address, "GET", "/metrics", "").await.1;
    assert!(metrics.contains("signalbox_handshakes_total{result=\"malformed\"} 7"), "{metrics}");
    assert!(metrics.contains("signalbox_handshakes_total{result=\"unknown_namespace\"} 1"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_two_mebibytes_closes_with_1009_and_a_neighbour_notices_nothing() {
    let node = TestNode::start(&config(None)).await;
    let mut neighbour = node.client("driver:D").await;
    let mut client = node.client("vehicle:V").await;
    let text = json!({"type": "a:b", "target": "driver:D", "data": "x".repeat(2 << 20)}).to_string();
    client.send_lossy(Message::text(text)).await;
    assert_eq!(client.close_code().await, Some(1009));
    neighbour.expect_nothing().await;
    let counted = || async {
        call(node.address, "GET", "/metrics", "").await.1.contains("signalbox_closes_total{code=\"1009\"} 1")
    };
    signalbox_testkit::eventually("the close is counted", crate::client::PATIENCE, counted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_never_arrives_is_given_up() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut config = config(None);
    config.handshake.timeout = std::time::Duration::from_millis(200);
    let node = TestNode::start(&config).await;
    let mut stream = tokio::net::TcpStream::connect(node.address).await.unwrap();
    stream
        .write_all(b"POST /api/publish HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n{")
        .await
        .unwrap();
    let mut answer = vec![0; 64];
    tokio::time::timeout(crate::client::PATIENCE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subprotocol_is_echoed_if_offered() {
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;
    let node = TestNode::start(&config(None)).await;
    let mut request = format!("ws://{}/ws", node.address).into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "signalbox.v1.json, other".parse().unwrap());
    let (_, response) = tokio_tungstenite::connect_async(request).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "signalbox.v1.json");
}
