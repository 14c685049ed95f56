//! A handshake is answered in the same words by either of the node's two ways: the short one, for what comes first and whole
//! over a plain socket, and the HTTP server, which all else goes through.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use signalbox_gateway::stop::StopPhase;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::PATIENCE;
use crate::fixture::{TestNode, config};

const KEY: &str = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const ASKS: &str = "connection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\nsec-websocket-version: 13\r\n";

/// Requests, with the status of their answers.
fn requests() -> Vec<(String, u16)> {
    let get = |target: &str, more: &str| format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n{more}\r\n");
    let asks = format!("{ASKS}{KEY}");
    let with = |more: &str| format!("{asks}{more}");
    let many: String = (0..40).map(|n| format!("x-{n}: {n}\r\n")).collect();
    vec![
        (get("/ws", &asks), 101),
        (get("/ws/vehicle-events?agent_type=vehicle&agent_id=V%201", &asks), 400),
        (get("/ws/vehicle-events?agent_type=vehicle&agent_id=V1", &asks), 101),
        (get("/ws/%76ehicle-events", &asks), 101),
        (get("/ws/nowhere", &asks), 404),
        (get("/ws/", &asks), 404),
        (get("/wsx", &asks), 404),
        (get("/ws/stats", &asks), 200),
        (get("http://localhost/ws", &asks), 101),
        (get("/ws", &with("sec-websocket-protocol: mqtt, signalbox.v1.json\r\n")), 101),
        (get("/ws", &with("origin: http://localhost:3000\r\n")), 101),
        (get("/ws?tenant=", &with("origin: http://localhost:3000\r\n")), 400),
        (get("/ws", &with("origin: https://evil.example\r\n")), 403),
        (get("/ws", &with("origin: http://localhost\r\norigin: http://localhost\r\n")), 403),
        (get("/ws", &with("host: evil.example\r\n")), 403),
        (get("/ws", &with(&many)), 101),
        (get("/ws", &with("authorization: Bearer nonsense\r\n")), 101),
        (get("/ws", &with("content-length: 0\r\n")), 101),
        (get("/ws", &format!("connection: upgrade\r\nupgrade: h2c\r\n{KEY}")), 426),
        (get("/ws", &format!("connection: close\r\nupgrade: websocket\r\n{KEY}")), 426),
        (
            get(
                "/ws",
                &format!("connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 8\r\n{KEY}"),
            ),
            426,
        ),
        (get("/ws", ASKS), 422),
        (get("/ws", &format!("{ASKS}sec-websocket-key: short\r\n")), 422),
        (get("/ws", "upgrade: websocket\r\n"), 426),
        (get("/ws", &asks).replace("HTTP/1.1", "HTTP/1.0"), 426),
        (get("/ws", &asks).replacen("GET", "POST", 1), 405),
    ]
}

/// What two answers to the same may differ in: when they were given, and whether the connection may stay, which the kept one
/// may.
const MAY_DIFFER: [&str; 3] = ["date:", "retry-after:", "connection: close"];

/// The head of an answer: its status line, and its headers in any order.
type Head = (String, BTreeSet<String>);

async fn head(stream: &mut TcpStream) -> Head {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, stream.read_u8()).await.unwrap().expect("an answer ends with its head"));
    }
    let text = String::from_utf8(head).unwrap();
    let mut lines = text.lines().filter(|line| !line.is_empty()).map(str::to_owned);
    let status = lines.next().unwrap();
    (status, lines.filter(|line| !MAY_DIFFER.iter().any(|may| line.starts_with(may))).collect())
}

async fn answered_first(address: SocketAddr, request: &str) -> Head {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    head(&mut stream).await
}

/// After another request: so the HTTP server reads it.
async fn answered_later(address: SocketAddr, request: &str) -> Head {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"HEAD /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert!(head(&mut stream).await.0.contains(" 200 "));
    stream.write_all(request.as_bytes()).await.unwrap();
    head(&mut stream).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_ways_give_the_same_answers_and_count_the_same() {
    let (short, long) = (TestNode::start(&config(None)).await, TestNode::start(&config(None)).await);
    for (request, status) in requests() {
        let (first, later) =
            (answered_first(short.address, &request).await, answered_later(long.address, &request).await);
        assert_eq!(first, later, "{request}");
        assert!(first.0.contains(&format!(" {status} ")), "{first:?}: {request}");
    }
    for class in ["1xx", "4xx"] {
        let answered = |node: &TestNode| node.node.metrics.http_requests.with_label_values(&[class]).get();
        assert_eq!(answered(&short), answered(&long), "{class}");
    }
    for result in ["accepted", "malformed", "unknown_namespace", "refused_origin"] {
        let ended = |node: &TestNode| node.node.metrics.handshakes.with_label_values(&[result]).get();
        assert_eq!(ended(&short), ended(&long), "{result}");
        assert!(ended(&short) > 0, "{result}");
    }
    for node in [short, long] {
        node.node.enter(StopPhase::Refusing);
        let request = &requests()[0].0;
        let (status, _) = answered_first(node.address, request).await;
        assert!(status.contains(" 503 "), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_with_the_handshake_is_the_clients_first_message() {
    let node = TestNode::start(&config(None)).await;
    let ping = [0x89, 0x82, 0, 0, 0, 0, b'h', b'i'];
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    stream.write_all(&[requests()[0].0.as_bytes(), &ping].concat()).await.unwrap();
    assert!(head(&mut stream).await.0.contains(" 101 "));
    let pong = [0x8a, 2, b'h', b'i'];
    let mut got = Vec::new();
    while !got.ends_with(&pong) {
        got.push(timeout(PATIENCE, stream.read_u8()).await.unwrap().expect("the pong comes"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_in_pieces_is_one_handshake() {
    let node = TestNode::start(&config(None)).await;
    let request = &requests()[0].0;
    for at in [1, 3, 30, request.len() - 1] {
        let mut stream = TcpStream::connect(node.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (before, behind) = request.as_bytes().split_at(at);
        stream.write_all(before).await.unwrap();
        // It has arrived, most probably alone: whether or not, the answer is the same.
        tokio::task::yield_now().await;
        stream.write_all(behind).await.unwrap();
        assert!(head(&mut stream).await.0.contains(" 101 "), "{at}");
    }
}
