//! A client's connection: a real WebSocket over a pipe, with the node's own session at the other end.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use signalbox_gateway::ws::entrance::{Opened, enter};
use signalbox_gateway::ws::newcomer::Newcomer;
use tokio::io::DuplexStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::CancellationToken;

use crate::world::SimNode;

/// What a kernel would buffer.
const PIPE_BYTES: usize = 64 * 1_024;
/// How long a welcome is waited for.
const WELCOME_WITHIN: Duration = Duration::from_secs(15);

/// See the module.
pub(crate) struct Connection {
    ws: WebSocketStream<DuplexStream>,
    /// The node's process is gone.
    died: CancellationToken,
    /// The first thing that came.
    pub(crate) welcome: Value,
}

impl Connection {
    /// Connects to a node, unless it does not want to, or does not answer.
    pub(crate) async fn open(node: &SimNode, query: &str) -> Option<Self> {
        let died = node.died.clone();
        if died.is_cancelled() {
            return None;
        }
        let newcomer = Newcomer::try_new(&node.node, None, &HeaderMap::new(), query).ok()?;
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        let host = Arc::clone(&node.node);
        node.node.tasks.spawn(async move { enter(&host, Opened::new(near, &[][..]), newcomer).await });
        let ws = WebSocketStream::from_raw_socket(far, Role::Client, None).await;
        let mut connection = Self { ws, died, welcome: Value::Null };
        let welcome = timeout(WELCOME_WITHIN, connection.next()).await.ok()??;
        assert_eq!(welcome["type"], "system:welcome", "the first frame");
        connection.welcome = welcome["data"].clone();
        Some(connection)
    }

    /// The next message; none: it is over.
    ///
    /// # Cancel safety
    /// Nothing is lost when this is dropped while it waits.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            let message = tokio::select! {
                biased;
                () = self.died.cancelled() => return None,
                message = self.ws.next() => message?.ok()?,
            };
            match message {
                Message::Text(text) => return serde_json::from_str(&text).ok(),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// False: it is over.
    pub(crate) async fn send(&mut self, envelope: &Value) -> bool {
        !self.died.is_cancelled() && self.ws.send(Message::text(envelope.to_string())).await.is_ok()
    }

    /// Says goodbye first.
    pub(crate) async fn close(mut self) {
        let _ = timeout(Duration::from_secs(1), self.ws.close(None)).await;
    }
}
