//! A node that says and hears exactly what a test wants. Every step has a deadline.
//!
//! Over a socket on loopback ([`FakeNode`]), or over a pipe in memory and under a paused clock
//! ([`Pipes`](crate::pipes::Pipes)).

use std::future::Future;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use signalbox_client::{Client, ClientConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, accept_async};

/// Where clients connect to.
pub(crate) struct FakeNode {
    listener: TcpListener,
}

/// The node's end of one connection.
pub(crate) struct Peer<S = TcpStream> {
    socket: WebSocketStream<S>,
    sent: u64,
}

/// Waits for `step`, which must not take long.
pub(crate) async fn soon<T>(step: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(5), step).await.expect("it happens within 5 s")
}

impl FakeNode {
    pub(crate) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port") }
    }

    pub(crate) fn config(&self) -> ClientConfig {
        let address = self.listener.local_addr().expect("it is bound");
        ClientConfig::new(format!("ws://{address}/ws"))
    }

    /// A TCP connection on which nothing was said yet.
    pub(crate) async fn accept_tcp(&self) -> TcpStream {
        soon(self.listener.accept()).await.expect("a client connects").0
    }

    /// A WebSocket that was not welcomed yet.
    pub(crate) async fn accept(&self) -> Peer {
        Peer::new(soon(accept_async(self.accept_tcp().await)).await.expect("the client upgrades"))
    }

    /// A client with this configuration, welcomed as `vehicle:V1`, and the node's end of it.
    pub(crate) async fn welcome(&self, config: ClientConfig) -> (Client, Peer) {
        let accepting = async {
            let mut peer = self.accept().await;
            peer.send(welcome()).await;
            peer
        };
        let (client, peer) = tokio::join!(soon(Client::connect(config)), accepting);
        (client.expect("it was welcomed"), peer)
    }
}

/// A welcomed client and the node's end of it.
pub(crate) async fn connected() -> (Client, Peer) {
    let node = FakeNode::start().await;
    node.welcome(node.config()).await
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(crate) fn new(socket: WebSocketStream<S>) -> Self {
        Self { socket, sent: 0 }
    }

    /// Sends a message; what every message has is filled in.
    pub(crate) async fn send(&mut self, message: Value) {
        self.sent += 1;
        self.send_frame(Message::text(as_text(self.sent, message))).await;
    }

    /// As [`Peer::send`]; whether the client is still there.
    pub(crate) async fn try_send(&mut self, message: Value) -> bool {
        self.sent += 1;
        let frame = Message::text(as_text(self.sent, message));
        // A client that reads slowly may take its time.
        timeout(Duration::from_secs(60), self.socket.send(frame)).await.is_ok_and(|sent| sent.is_ok())
    }

    /// The next message from a client that may say nothing for long; `None` if it has gone.
    pub(crate) async fn hear(&mut self) -> Option<Value> {
        loop {
            match self.socket.next().await?.ok()? {
                Message::Text(text) => return Some(serde_json::from_str(&text).expect("it sends JSON")),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// Says goodbye to a client that may have gone.
    pub(crate) async fn shut(&mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        let closing = self.socket.close(Some(frame));
        timeout(Duration::from_secs(60), closing).await.ok();
    }

    pub(crate) fn into_socket(self) -> WebSocketStream<S> {
        self.socket
    }

    pub(crate) async fn send_frame(&mut self, frame: Message) {
        soon(self.socket.send(frame)).await.expect("the client is connected");
    }

    /// The next message from the client.
    pub(crate) async fn receive(&mut self) -> Value {
        let frame = self.receive_frame().await;
        serde_json::from_str(frame.to_text().expect("it sends text")).expect("it sends JSON")
    }

    pub(crate) async fn receive_frame(&mut self) -> Message {
        soon(self.socket.next()).await.expect("the client is connected").expect("it speaks WebSocket")
    }

    /// The close frame that the client sends next; the number in it.
    pub(crate) async fn receive_close(&mut self) -> u16 {
        match soon(self.socket.next()).await {
            Some(Ok(Message::Close(Some(frame)))) => frame.code.into(),
            other => panic!("no close frame but {other:?}"),
        }
    }

    pub(crate) async fn close(&mut self, code: u16, reason: &'static str) {
        self.send_frame(Message::Close(Some(CloseFrame { code: code.into(), reason: reason.into() }))).await;
        while soon(self.socket.next()).await.is_some_and(|frame| frame.is_ok()) {}
    }

    /// Hangs up without a word.
    pub(crate) fn cut(self) {
        drop(self.socket);
    }
}

/// A message as text; what every message has is filled in.
pub(crate) fn as_text(number: u64, message: Value) -> String {
    let mut whole = json!({"id": format!("0192-{number}"), "timestamp": "2026-01-01T08:00:00.000Z",
        "source": "service:gateway", "data": {}, "target": null, "correlationId": null, "metadata": {}});
    let Value::Object(fields) = message else { panic!("a message is an object") };
    whole.as_object_mut().expect("a message is an object").extend(fields);
    whole.to_string()
}

pub(crate) fn welcome() -> Value {
    json!({"type": "system:welcome", "data": {
        "connection_id": "n1-0", "session_id": "S", "node_id": "n1", "agent": "vehicle:V1",
        "subject": "vehicle:V1", "tenant": "default", "namespaces": ["vehicle-events"],
        "heartbeat_seconds": 25, "timeout_seconds": 60, "message_bytes_max": 2000,
        "positions": {"vehicle:V1": {"epoch": "e", "offset": 7}}}})
}
