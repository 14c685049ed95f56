//! A WebSocket client that we did not write, with the few words that the tests need.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// How long anything that must come may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// One connection, welcomed.
pub(crate) struct Client {
    ws: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(crate) welcome: Value,
    next_id: u32,
}

impl Client {
    /// Connects to `path` (with its query) of a node.
    pub(crate) async fn connect(address: impl std::fmt::Display, path: &str) -> Self {
        let (ws, _) =
            timeout(PATIENCE, connect_async(format!("ws://{address}{path}"))).await.unwrap().unwrap();
        Self::welcomed(ws).await
    }

    /// Takes over a socket whose handshake is done, and waits for the welcome.
    pub(crate) async fn welcomed(mut ws: WebSocketStream<MaybeTlsStream<TcpStream>>) -> Self {
        let welcome = read(&mut ws).await.expect("a welcome comes first");
        assert_eq!(welcome["type"], "system:welcome", "{welcome}");
        Self { ws, welcome: welcome["data"].clone(), next_id: 0 }
    }

    /// As an agent, on `/ws`.
    pub(crate) async fn connect_as(address: impl std::fmt::Display, agent: &str, more: &str) -> Self {
        let (agent_type, agent_id) = agent.split_once(':').expect("type:id");
        Self::connect(address, &format!("/ws?agent_type={agent_type}&agent_id={agent_id}{more}")).await
    }

    /// Tries to connect; the status or the close code of the refusal.
    pub(crate) async fn refusal(address: impl std::fmt::Display, path: &str) -> u16 {
        match timeout(PATIENCE, connect_async(format!("ws://{address}{path}"))).await.unwrap() {
            Err(Error::Http(response)) => response.status().as_u16(),
            Err(error) => panic!("{error}"),
            Ok((mut ws, _)) => match timeout(PATIENCE, ws.next()).await.unwrap() {
                Some(Ok(Message::Close(Some(frame)))) => frame.code.into(),
                other => panic!("expected a close frame, got {other:?}"),
            },
        }
    }

    /// Tries to connect; 0 if it was let in, else as [`Client::refusal`].
    pub(crate) async fn refusal_or_welcome(address: impl std::fmt::Display, path: &str) -> u16 {
        match timeout(PATIENCE, connect_async(format!("ws://{address}{path}"))).await.unwrap() {
            Ok((ws, _)) => drop(Self::welcomed(ws).await),
            Err(Error::Http(response)) => return response.status().as_u16(),
            Err(error) => panic!("{error}"),
        }
        0
    }

    pub(crate) fn text(&self, field: &str) -> &str {
        self.welcome[field].as_str().unwrap_or_else(|| panic!("{field} in {}", self.welcome))
    }

    pub(crate) async fn send(&mut self, envelope: Value) {
        self.send_raw(Message::text(envelope.to_string())).await;
    }

    pub(crate) async fn send_raw(&mut self, message: Message) {
        timeout(PATIENCE, self.ws.send(message)).await.unwrap().unwrap();
    }

    /// Sends to a node that may hang up meanwhile.
    pub(crate) async fn send_lossy(&mut self, message: Message) {
        let sent = timeout(PATIENCE, self.ws.send(message)).await.expect("sent or refused in time");
        drop(sent);
    }

    /// Sends an event that is acknowledged or refused; the answer.
    pub(crate) async fn emit(&mut self, message_type: &str, target: &str, data: Value) -> Value {
        self.request(json!({"type": message_type, "target": target, "data": data, "metadata": {"ack": true}}))
            .await
    }

    /// Sends with a correlation id of its own and waits for the answer; what else comes meanwhile is an error.
    pub(crate) async fn request(&mut self, mut envelope: Value) -> Value {
        self.next_id += 1;
        let id = format!("request-{}", self.next_id);
        envelope["correlationId"] = json!(id);
        self.send(envelope).await;
        let mut answer = self.next().await;
        while answer["type"] == "system:resumed" && answer["correlationId"].is_null() {
            // A node says this unasked when Redis lost what it held.
            answer = self.next().await;
        }
        assert_eq!(answer["correlationId"], id.as_str(), "{answer}");
        answer
    }

    pub(crate) async fn subscribe(&mut self, topics: &[&str]) {
        let ack = self.request(json!({"type": "system:subscribe", "data": {"topics": topics}})).await;
        assert_eq!(ack["type"], "system:ack", "{ack}");
    }

    /// The next envelope.
    pub(crate) async fn next(&mut self) -> Value {
        read(&mut self.ws).await.expect("the connection is open")
    }

    /// The next envelope, if one comes within this time.
    pub(crate) async fn next_within(&mut self, time: Duration) -> Option<Value> {
        timeout(time, read(&mut self.ws)).await.ok()?
    }

    /// The next envelope, or the code of the close that comes instead.
    pub(crate) async fn try_next(&mut self) -> Result<Value, Option<u16>> {
        loop {
            match timeout(PATIENCE, self.ws.next()).await.expect("something comes in time") {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    /// The data of the next envelope, which is of this type.
    pub(crate) async fn expect(&mut self, message_type: &str) -> Value {
        let message = self.next().await;
        assert_eq!(message["type"], message_type, "{message}");
        message["data"].clone()
    }

    /// Proves that nothing came before now: a health check is answered, and its answer is the next thing.
    pub(crate) async fn expect_nothing(&mut self) {
        let answer = self.request(json!({"type": "system:health_check"})).await;
        assert_eq!(answer["type"], "system:health_check", "{answer}");
    }

    /// Reads until the close; its code, or `None` when the connection just ended.
    pub(crate) async fn close_code(&mut self) -> Option<u16> {
        loop {
            match timeout(PATIENCE, self.ws.next()).await.expect("the connection ends in time") {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }

    /// Closes in order.
    pub(crate) async fn close(mut self) {
        timeout(PATIENCE, self.ws.close(None)).await.unwrap().unwrap();
        while let Ok(Some(Ok(_))) = timeout(PATIENCE, self.ws.next()).await {}
    }
}

async fn read(ws: &mut WebSocketStream<MaybeTlsStream<TcpStream>>) -> Option<Value> {
    loop {
        match timeout(PATIENCE, ws.next()).await.expect("something comes in time")?.ok()? {
            Message::Text(text) => return Some(serde_json::from_str(&text).unwrap()),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("unexpected {other:?}"),
        }
    }
}
