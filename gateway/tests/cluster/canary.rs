//! A token that is shown, wherever and however good, is nowhere to be read afterwards: not in a log line of any level,
//! not in a metric, not in an answer, not in a span. Nor is what a message holds.

use std::io::Write;
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use signalbox_testkit::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tracing_subscriber::fmt::MakeWriter;

use crate::client::PATIENCE;
use crate::collector::Collector;
use crate::fixture::{TestNode, config};
use crate::http::{call, call_with};
use crate::tokens::{bearer, believing, open, service, signed_with, token};

/// Everything that was written.
#[derive(Clone, Default)]
struct Evidence(Arc<Mutex<Vec<u8>>>);

impl Evidence {
    fn add(&self, bytes: &[u8]) {
        self.0.lock().unwrap().extend_from_slice(bytes);
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Evidence {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Evidence {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// What has everything traced that can be.
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// What every token and every message has inside.
const SECRET: &str = "not for anybody's eyes";

/// Characters of a token that are as good as all of it. Its first part is the same in all tokens of the world.
const TRACE_CHARS: usize = 16;

/// The telling pieces of a token.
fn traces(token: &str) -> Vec<String> {
    let telling = token.split('.').skip(1).flat_map(|part| {
        let pieces = part.as_bytes().chunks(TRACE_CHARS).filter(|piece| piece.len() == TRACE_CHARS);
        pieces.map(|piece| String::from_utf8(piece.to_vec()).unwrap()).collect::<Vec<_>>()
    });
    telling.collect()
}

/// Tokens, each with secrets of its own inside, as good as they can be and as bad.
fn tokens() -> Vec<String> {
    let claims = |id: u32| {
        json!({"tenant": "acme", "agent_type": "service", "agent_id": format!("canary-{id}"),
            "canary": format!("{SECRET}: {id}{id}{id}{id}")})
    };
    let with = |id, field: &str, value| {
        let mut claims = claims(id);
        claims[field] = value;
        token(claims)
    };
    vec![
        token(claims(1)),
        with(2, "exp", json!(1)),
        with(3, "tenant", json!("a b")),
        with(4, "agent_type", json!("tram")),
        with(5, "agent_id", json!("api")),
        with(6, "capabilities", json!(["nonsense"])),
        with(7, "namespaces", json!(["system-events"])),
        signed_with("another secret of at least 32 bytes", claims(8)),
        format!("{}x", token(claims(9))),
        token(claims(10)).replacen('.', "..", 1),
        format!("{}.{}", token(claims(11)), "a".repeat(9_000)),
    ]
}

/// Connects with these headers, and notes what comes until the answer to a message or the close.
async fn note_socket(node: &TestNode, path: &str, header: (&str, String), evidence: &Evidence) {
    let (mut ws, chosen) = open(node.address, path, &[header, ("traceparent", PARENT.to_owned())]).await;
    evidence.add(chosen.unwrap_or_default().as_bytes());
    while let Ok(Some(Ok(message))) = timeout(PATIENCE, ws.next()).await {
        match message {
            Message::Text(text) => {
                evidence.add(text.as_bytes());
                if text.contains("system:welcome") {
                    let metadata = json!({"ack": true, "traceparent": PARENT, "more": SECRET});
                    let sent = json!({"type": "test:canary", "target": "service:nobody", "data": SECRET, "metadata": metadata});
                    ws.send(Message::text(sent.to_string())).await.unwrap();
                } else {
                    ws.close(None).await.ok();
                }
            }
            Message::Close(Some(frame)) => evidence.add(frame.reason.as_bytes()),
            _ => {}
        }
    }
}

/// A request as it stands; notes the whole answer.
async fn note_request(node: &TestNode, path: &str, headers: &str, evidence: &Evidence) {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ntraceparent: {PARENT}\r\n{headers}\r\n",
        node.address
    );
    let exchange = async {
        let mut stream = TcpStream::connect(node.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        answer
    };
    evidence.add(&timeout(PATIENCE, exchange).await.unwrap());
}

/// On a connection of its own that has a token: shows this one as another, well and badly; notes all that comes.
async fn note_refresh(node: &TestNode, token: &str, evidence: &Evidence) {
    let own = bearer(&service("acme", None));
    for data in [
        json!({"token": token}),
        json!({"token": [token]}),
        json!({"token": {token: 1}}),
        json!(token),
        json!({token: 1}),
    ] {
        let (mut ws, _) = open(node.address, "/ws", std::slice::from_ref(&own)).await;
        let refresh = json!({"type": "system:refresh", "id": "r", "data": data});
        ws.send(Message::text(refresh.to_string())).await.unwrap();
        let mut answers = 0;
        while let Ok(Some(Ok(message))) = timeout(PATIENCE, ws.next()).await {
            evidence.add(&message.clone().into_data());
            answers += usize::from(message.is_text());
            // The welcome, and what is said to it.
            if answers == 2 || message.is_close() {
                break;
            }
        }
        drop(timeout(PATIENCE, ws.close(None)).await);
    }
}

/// In the body of a request that is believed, where something else belongs.
async fn note_body(node: &TestNode, token: &str, evidence: &Evidence) {
    let (name, value) = bearer(&service("acme", None));
    let passenger = json!({"passenger_id": "P", "pool": token, "position": {"lat": token, "lon": 1}});
    for (method, path, body) in [
        ("POST", "/api/publish", json!({"token": token}).to_string()),
        ("POST", "/api/publish", json!([token]).to_string()),
        ("POST", "/api/publish", token.to_owned()),
        ("POST", "/api/locks/bay", json!({"ttl_ms": token}).to_string()),
        ("POST", "/api/locks/bay", json!({token: 1}).to_string()),
        ("PATCH", "/api/locks/bay", json!({"token": token}).to_string()),
        ("PATCH", "/api/locks/bay", json!({"token": [token]}).to_string()),
        ("POST", "/api/passengers", passenger.to_string()),
        ("POST", "/api/revocations", json!({"agent": [token]}).to_string()),
    ] {
        let (_, head, text) = call_with(node.address, method, path, &[(name, &value)], &body).await;
        evidence.add(head.as_bytes());
        evidence.add(text.as_bytes());
    }
}

async fn show_everywhere(node: &TestNode, token: &str, evidence: &Evidence) {
    let (name, value) = bearer(token);
    let offered = ("sec-websocket-protocol", format!("signalbox.v1.json, bearer.{token}"));
    for path in ["/ws", "/ws/vehicle-events?tenant=other"] {
        note_socket(node, path, (name, value.clone()), evidence).await;
        note_socket(node, path, offered.clone(), evidence).await;
    }
    let none = ("x-nothing", String::new());
    note_socket(node, &format!("/ws?access_token={token}"), none, evidence).await;
    let header = format!("{name}: {value}\r\n");
    for path in ["/api/connections", "/api/nodes", "/api/locks/a%20b", "/metrics", "/ws", "/no/such/path"] {
        note_request(node, path, &header, evidence).await;
    }
    note_request(node, &format!("/api/connections?access_token={token}"), "", evidence).await;
    note_request(node, &format!("/ws?access_token={token}&resume=maybe"), "", evidence).await;
    note_request(node, "/api/connections?tenant=other", &header, evidence).await;
    if node.node.settings.take_tokens() {
        note_refresh(node, token, evidence).await;
        note_body(node, token, evidence).await;
    }
}

/// On one thread, so that all that is logged is logged here.
#[tokio::test]
async fn no_part_of_a_token_is_logged_counted_or_answered() {
    let evidence = Evidence::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(evidence.clone())
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let collector = Collector::start().await;
    let mut in_url = believing();
    in_url.auth.token_in_url = true;
    let mut trusting = config(None);
    trusting.allow_anonymous = true;
    let tokens = tokens();
    for mut config in [believing(), in_url, trusting] {
        config.trace.otlp_endpoint = Some(format!("http://{}", collector.address));
        let node = TestNode::start(&config).await;
        for token in &tokens {
            show_everywhere(&node, token, &evidence).await;
        }
        let (_, metrics) = call(node.address, "GET", "/metrics", "").await;
        evidence.add(metrics.as_bytes());
    }
    let names = ["handshake", "message", "request"];
    let all_told = || async { names.iter().all(|name| !collector.spans(name).is_empty()) };
    eventually("spans are exported", PATIENCE, all_told).await;
    evidence.add(collector.told().as_bytes());
    let seen = evidence.text();
    for expected in [
        "connection over",
        "signalbox_token_refusals_total",
        "system:welcome",
        "WWW-Authenticate",
        "invalid_data",
        "traceId",
    ] {
        assert!(seen.to_lowercase().contains(&expected.to_lowercase()), "{expected} was to be seen");
    }
    assert!(!seen.contains(SECRET), "nothing of what is inside either");
    for token in tokens {
        let traces = traces(&token);
        assert!(traces.len() > 3, "{token}");
        let told = seen.lines().find(|line| traces.iter().any(|trace| line.contains(trace)));
        assert_eq!(told, None, "{token}");
    }
}
