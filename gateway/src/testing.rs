//! What unit tests of this crate share: nodes over the memory back end, and a WebSocket client on a pipe.

pub(crate) mod failing;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::HeaderMap;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use signalbox_identity::{Algorithm, Key, Keyring, SigningKey, Verifier};
use signalbox_protocol::vocabulary::Vocabulary;
use signalbox_protocol::{ConnectionId, NodeId, Tenant, Topic};
use signalbox_registry::memory::MemoryCluster;
use signalbox_registry::{Cluster, ThisNode};
use tokio::io::DuplexStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::gateway::settings;
use crate::hub::Connection;
use crate::identity::{self, Identity, Policy};
use crate::node::{Node, Settings};
use crate::roster;
use crate::stamps::now_ms;
use crate::trust::Trust;
use crate::ws::entrance::{Opened, enter};
use crate::ws::newcomer::Newcomer;
use crate::ws::socket::Socket;

/// Longer than anything here may take, by the paused clock of most tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn tenant(name: &str) -> Tenant {
    Tenant::try_new(name).unwrap()
}

pub(crate) fn topic(text: &str) -> Topic {
    Topic::try_new(text).unwrap()
}

pub(crate) fn default_settings() -> Settings {
    let config = Config::default();
    settings(&config, config.listen)
}

/// A node of `cluster` with its lease begun and its background tasks not started.
pub(crate) async fn node_in(cluster: &Arc<MemoryCluster>, name: &str, settings: Settings) -> Arc<Node> {
    let this = ThisNode::new(NodeId::try_new(name).unwrap());
    node_over(cluster.join(this), settings).await
}

/// The same over parts that may be a test's own.
pub(crate) async fn node_over(cluster: Cluster, settings: Settings) -> Arc<Node> {
    let node =
        Node::new(settings, Vocabulary::default(), cluster, TaskTracker::new(), CancellationToken::new());
    node.cluster.node.next_generation();
    node.cluster.lease.acquire(&crate::keeper::card(&node)).await.unwrap();
    node.lease_held.store(true, Ordering::Release);
    node
}

/// A node alone.
pub(crate) async fn lone_node() -> Arc<Node> {
    node_in(&MemoryCluster::new(), "n1", default_settings()).await
}

pub(crate) fn identity_of(query: &str) -> Identity {
    let (vocabulary, trust) = (Vocabulary::default(), Trust::none());
    let policy = Policy { anonymous: true, vocabulary: &vocabulary, trust: &trust };
    identity::identify(None, query, "made-up", &policy).unwrap()
}

/// Whom a node of a test believes.
#[derive(Debug)]
pub(crate) struct Issuer(SigningKey);

const ISSUERS_SECRET: &[u8] = b"what the issuer of all tests signs with";

impl Default for Issuer {
    fn default() -> Self {
        Self(SigningKey::try_new(None, Algorithm::Hs256, ISSUERS_SECRET).unwrap())
    }
}

impl Issuer {
    pub(crate) fn verifier(&self) -> Verifier {
        let key = Key::try_new(None, Algorithm::Hs256, ISSUERS_SECRET).unwrap();
        Verifier { keys: Keyring::new(vec![key]), ..Verifier::default() }
    }

    /// A token with these claims that is good for an hour.
    pub(crate) fn token(&self, mut claims: Value) -> String {
        claims["exp"] = (now_ms() / 1_000 + 3_600).into();
        self.mint(&claims)
    }

    /// A token with these claims and no others.
    pub(crate) fn mint(&self, claims: &Value) -> String {
        self.0.mint(claims.as_object().expect("claims are an object")).unwrap()
    }
}

/// A registered connection without a socket.
pub(crate) async fn join(node: &Arc<Node>, query: &str) -> Arc<Connection> {
    roster::join(node, identity_of(query), None).await.unwrap()
}

/// What waits in a connection's outbox, as JSON.
pub(crate) fn queued(connection: &Connection) -> Vec<Value> {
    let mut batch = Vec::new();
    connection.outbox().take(&mut batch, usize::MAX, usize::MAX);
    batch.iter().map(|frame| payload(frame)).collect()
}

fn payload(frame: &[u8]) -> Value {
    let header = match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    serde_json::from_slice(&frame[header..]).unwrap()
}

/// A client at the other end of a pipe whose near end is a connection of `node`.
#[derive(Debug)]
pub(crate) struct Client {
    ws: WebSocketStream<DuplexStream>,
    pub(crate) connection: Arc<Connection>,
}

impl Client {
    pub(crate) async fn connect(node: &Arc<Node>, query: &str) -> Self {
        Self::connect_through(node, query, 64 * 1_024).await
    }

    /// The pipe holds `pipe_bytes` each way: what a kernel would buffer.
    pub(crate) async fn connect_through(node: &Arc<Node>, query: &str, pipe_bytes: usize) -> Self {
        let (near, far) = tokio::io::duplex(pipe_bytes);
        let connection = join(node, query).await;
        let socket = Socket::new(near, Arc::clone(node), Arc::clone(&connection), &[]);
        let positions = roster::own_positions(node, &connection);
        node.spawn_socket(socket.starting_at(positions, identity_of(query).resume).run());
        let ws = WebSocketStream::from_raw_socket(far, Role::Client, None).await;
        Self { ws, connection }
    }

    /// Through the handshake, with a token; welcomed, or the code with which it was sent away.
    pub(crate) async fn with_token(node: &Arc<Node>, token: &str, query: &str) -> Result<Self, u16> {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", format!("Bearer {token}").try_into().unwrap());
        let newcomer = Newcomer::try_new(node, None, &headers, query).expect("the query is good");
        let (near, far) = tokio::io::duplex(64 * 1_024);
        enter(node, Opened::new(near, &[][..]), newcomer).await;
        let mut ws = WebSocketStream::from_raw_socket(far, Role::Client, None).await;
        match timeout(PATIENCE, ws.next()).await.unwrap().unwrap().unwrap() {
            Message::Text(welcome) => {
                let welcome: Value = serde_json::from_str(&welcome).unwrap();
                let id = ConnectionId::try_new(welcome["data"]["connection_id"].as_str().unwrap()).unwrap();
                Ok(Self { ws, connection: node.hub.get(&id).expect("it is there") })
            }
            Message::Close(frame) => Err(frame.expect("with a code").code.into()),
            other => panic!("unexpected {other:?}"),
        }
    }

    pub(crate) async fn send(&mut self, envelope: Value) {
        self.send_raw(Message::text(envelope.to_string())).await;
    }

    pub(crate) async fn send_raw(&mut self, message: Message) {
        timeout(PATIENCE, self.ws.send(message)).await.unwrap().unwrap();
    }

    /// Bytes past the WebSocket layer.
    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        assert!(self.takes_bytes(bytes).await);
    }

    /// Bytes past the WebSocket layer; whether the other end was there to take them.
    pub(crate) async fn takes_bytes(&mut self, bytes: &[u8]) -> bool {
        use tokio::io::AsyncWriteExt;
        timeout(PATIENCE, self.ws.get_mut().write_all(bytes)).await.unwrap().is_ok()
    }

    pub(crate) async fn next_raw(&mut self) -> Option<Message> {
        timeout(PATIENCE, self.ws.next())
            .await
            .expect("something comes in time")
            .map(|message| message.unwrap())
    }

    /// The next envelope; pings and pongs are passed over.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            match self.next_raw().await.expect("the connection is open") {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    /// Reads until the close frame; its code.
    pub(crate) async fn close_code(&mut self) -> u16 {
        loop {
            if let Message::Close(frame) = self.next_raw().await.expect("a close frame comes first") {
                return frame.expect("with a code").code.into();
            }
        }
    }
}
