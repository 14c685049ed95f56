//! A network in memory: whoever dials gets one end of a pipe, the test gets the other. With a paused clock nothing
//! takes time but what is meant to.

use std::io;
use std::time::Duration;

use serde_json::{Value, json};
use signalbox_client::{Client, ClientConfig, Dial};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use crate::fake_node::{Peer, soon, welcome};

/// Longer than any back-off: the clock is paused, so waiting costs nothing.
const ARRIVAL_MAX: Duration = Duration::from_secs(900);

/// The client's side: what it dials.
pub(crate) struct Dialer {
    arrivals: mpsc::Sender<Arrival>,
    pipe_bytes: usize,
}

/// The nodes' side.
pub(crate) struct Pipes {
    arrivals: mpsc::Receiver<Arrival>,
}

/// Somebody who has dialled and said nothing yet.
pub(crate) struct Arrival {
    pub(crate) host: String,
    pub(crate) at: Instant,
    stream: DuplexStream,
}

/// What a handshake asked for.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    pub(crate) query: String,
    pub(crate) authorization: Option<String>,
}

impl Dial for Dialer {
    type Stream = DuplexStream;

    async fn dial(&mut self, host: &str, _port: u16) -> io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(self.pipe_bytes);
        let arrival = Arrival { host: host.to_owned(), at: Instant::now(), stream: theirs };
        self.arrivals.send(arrival).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(ours)
    }
}

pub(crate) fn network(pipe_bytes: usize) -> (Dialer, Pipes) {
    let (sender, arrivals) = mpsc::channel(1_000);
    (Dialer { arrivals: sender, pipe_bytes }, Pipes { arrivals })
}

pub(crate) fn config() -> ClientConfig {
    ClientConfig::new("ws://node/ws").jitter_seed(1)
}

impl Pipes {
    /// The next one who dials, however long that takes; `None` when the client has ended.
    pub(crate) async fn next_arrival(&mut self) -> Option<Arrival> {
        self.arrivals.recv().await
    }

    /// The next one who dials.
    pub(crate) async fn arrival(&mut self) -> Arrival {
        timeout(ARRIVAL_MAX, self.arrivals.recv()).await.expect("a client comes").expect("there is a client")
    }

    /// The next connection, not welcomed yet.
    pub(crate) async fn accept(&mut self) -> (Peer<DuplexStream>, Asked) {
        self.arrival().await.accept().await
    }

    /// The next connection, welcomed as `vehicle:V1`, with `vehicle:V1` at offset 7 of epoch `e`.
    pub(crate) async fn welcome(&mut self) -> (Peer<DuplexStream>, Asked) {
        let (mut peer, asked) = self.accept().await;
        peer.send(welcome()).await;
        (peer, asked)
    }

    /// The next connection, welcomed; its resume is answered with "recovered", without anything missed. Returns the
    /// positions that it named.
    pub(crate) async fn resume(&mut self) -> (Peer<DuplexStream>, Value) {
        let (mut peer, asked) = self.welcome().await;
        assert!(asked.query.contains("session_id=S&resume=1"), "{asked:?}");
        let resume = peer.receive().await;
        assert_eq!(resume["type"], "system:resume");
        let positions = resume["data"]["positions"].clone();
        peer.recover(&resume).await;
        (peer, positions)
    }

    /// A client of this network, welcomed, and the node's end of it.
    pub(crate) async fn connect(
        &mut self,
        config: ClientConfig,
        dialer: Dialer,
    ) -> (Client, Peer<DuplexStream>) {
        let (client, (peer, asked)) =
            tokio::join!(soon(Client::connect_over(config, dialer)), self.welcome());
        assert!(!asked.query.contains("resume"), "{asked:?}");
        (client.expect("it was welcomed"), peer)
    }
}

/// A connected client and its network.
pub(crate) async fn connected(config: ClientConfig) -> (Client, Peer<DuplexStream>, Pipes) {
    let (dialer, mut pipes) = network(64 * 1024);
    let (client, peer) = pipes.connect(config, dialer).await;
    (client, peer, pipes)
}

impl Arrival {
    pub(crate) async fn accept(self) -> (Peer<DuplexStream>, Asked) {
        let mut asked = Asked::default();
        #[expect(clippy::result_large_err, reason = "the callback's type is tungstenite's")]
        let read = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            asked.query = request.uri().query().unwrap_or_default().to_owned();
            let authorization = request.headers().get("authorization");
            asked.authorization = authorization.and_then(|value| Some(value.to_str().ok()?.to_owned()));
            Ok(response)
        };
        let socket = soon(accept_hdr_async(self.stream, read)).await.expect("the client upgrades");
        (Peer::new(socket), asked)
    }

    /// Answers the upgrade with another status.
    pub(crate) async fn refuse(mut self, head: &str) {
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            asked.push(soon(self.stream.read_u8()).await.expect("the client asks"));
        }
        let answer = format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n");
        soon(self.stream.write_all(answer.as_bytes())).await.expect("the client reads");
    }
}

impl Peer<DuplexStream> {
    /// Answers a resume: nothing was missed.
    pub(crate) async fn recover(&mut self, resume: &Value) {
        let positions = resume["data"]["positions"].as_object().expect("they are an object");
        let topic = |position: &Value| {
            json!({"recovered": true, "reason": null, "epoch": position["epoch"],
                "offset": position["offset"], "replayed": 0})
        };
        let topics: serde_json::Map<_, _> =
            positions.iter().map(|(name, position)| (name.clone(), topic(position))).collect();
        let answer =
            json!({"type": "system:resumed", "correlationId": resume["id"], "data": {"topics": topics}});
        self.send(answer).await;
    }

    /// Sends a durable message.
    pub(crate) async fn send_durable(&mut self, topic: &str, offset: u64) {
        self.send(json!({"id": format!("{topic}-{offset}"), "type": "order:new", "data": offset,
            "target": topic, "topic": topic, "offset": offset}))
            .await;
    }

    /// Answers the client's next message, which has to be a subscribe or an unsubscribe, for topics at `offset`.
    pub(crate) async fn acknowledge_topics(&mut self, offset: u64) -> Value {
        let request = self.receive().await;
        let topics = request["data"]["topics"].as_array().expect("it names topics").iter();
        let positions: serde_json::Map<_, _> = topics
            .map(|topic| {
                (topic.as_str().expect("a name").to_owned(), json!({"epoch": "e", "offset": offset}))
            })
            .collect();
        let id = request["correlationId"].as_str().or(request["id"].as_str()).expect("it can be answered");
        self.send(json!({"type": "system:ack", "correlationId": id, "data": {"topics": positions}})).await;
        request
    }

    /// Acknowledges a durable message.
    pub(crate) async fn acknowledge(&mut self, message: &Value) {
        let id = message["correlationId"].as_str().or(message["id"].as_str()).expect("it can be answered");
        let data = json!({"id": message["id"], "positions": {}});
        self.send(json!({"type": "system:ack", "correlationId": id, "data": data})).await;
    }

    /// Refuses any message.
    pub(crate) async fn refuse(&mut self, message: &Value, code: &str) {
        let id = message["correlationId"].as_str().or(message["id"].as_str()).expect("it can be answered");
        let fault = json!({"code": code, "message": "no", "retryable": false, "details": null});
        self.send(json!({"type": "system:error", "correlationId": id, "data": fault})).await;
    }
}
