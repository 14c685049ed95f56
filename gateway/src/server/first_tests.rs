//! Which handshakes are taken, and that each says to us what it says to hyper.

use std::convert::Infallible;
use std::future;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::{Method, Request, Response, request::Parts};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::testing::default_settings;

const USUAL: &str = "GET /ws/fleet?agent_type=vehicle&agent_id=V1 HTTP/1.1\r\nHost: localhost:8080\r\nConnection: Upgrade\r\n\
                     Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn parse(text: &str) -> Option<Handshake> {
    Handshake::parse(&Bytes::copy_from_slice(text.as_bytes()), &default_settings())
}

fn peer() -> Peer {
    Peer([127, 0, 0, 1].into())
}

#[test]
fn the_usual_handshake_is_taken_with_what_came_behind_it() {
    let handshake = parse(&format!("{USUAL}\u{1}\u{2}")).unwrap();
    let asked = handshake.asked(peer());
    assert_eq!(asked.namespace, Some("fleet"));
    assert_eq!(asked.query, "agent_type=vehicle&agent_id=V1");
    assert_eq!(asked.headers["sec-websocket-key"], "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(&handshake.leftover[..], b"\x01\x02");
    assert_eq!(parse(&USUAL.replace("/ws/fleet", "/ws")).unwrap().asked(peer()).namespace, None);
}

#[test]
fn all_else_is_left_to_the_http_server() {
    for (from, to) in [
        ("GET", "POST"),
        ("HTTP/1.1", "HTTP/1.0"),
        ("/ws/fleet", "/ws/stats"),
        ("/ws/fleet", "/ws/"),
        ("/ws/fleet", "/wss"),
        ("/ws/fleet", "/ws/a/b"),
        ("/ws/fleet", "/ws/%66leet"),
        ("/ws/fleet", "http://localhost/ws/fleet"),
        ("/ws/fleet", "/api/topics"),
        ("Upgrade: websocket\r\n", ""),
        ("\r\n\r\n", "\r\n"),
        ("\r\n\r\n", "\r\nContent-Length: 1\r\n\r\nx"),
        ("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("Host: ", "Ho st: "),
    ] {
        assert!(parse(&USUAL.replacen(from, to, 1)).is_none(), "{from} -> {to}");
    }
    let small = Settings { header_bytes_max: USUAL.len() - 1, ..default_settings() };
    assert!(Handshake::parse(&USUAL.into(), &small).is_none());
    let few = Settings { headers_max: 4, ..default_settings() };
    assert!(Handshake::parse(&USUAL.into(), &few).is_none());
}

/// What hyper makes of the bytes, if it takes them for a request.
async fn hyper_reads(bytes: &[u8]) -> Option<Parts> {
    let (near, mut far) = tokio::io::duplex(bytes.len() + 4_096);
    far.write_all(bytes).await.unwrap();
    far.shutdown().await.unwrap();
    let seen = Arc::new(Mutex::new(None));
    let sees = Arc::clone(&seen);
    let service = service_fn(move |request: Request<Incoming>| {
        sees.lock().unwrap().get_or_insert(request.into_parts().0);
        future::ready(Ok::<_, Infallible>(Response::new(Body::empty())))
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(near), service).await;
    seen.lock().unwrap().take()
}

/// A handshake, mostly usual, in which some bytes are others and some lines are more.
fn heads() -> impl Strategy<Value = Vec<u8>> {
    let lines = prop::sample::select(vec![
        "",
        "X: y\r\n",
        "Host: b\r\n",
        "Origin: https://a\r\n",
        " folded\r\n",
        "Upgrade:h2c\r\n",
        "Cookie: \u{e9}\r\n",
        "X : y\r\n",
        "Content-Length: 0\r\n",
        "connection: close\r\n",
        "X:\ty \r\n",
        "Expect: 100-continue\r\n",
        "X: a\rb\r\n",
    ]);
    let change = (0..USUAL.len(), prop_oneof![any::<u8>(), prop::sample::select(b"\r\n %/?#:\0\t".to_vec())]);
    (prop::collection::vec(lines, 0..3), prop::collection::vec(change, 0..3)).prop_map(|(lines, changes)| {
        let mut head = USUAL.as_bytes().to_vec();
        for (at, byte) in changes {
            head[at] = byte;
        }
        let at = head.len() - 2;
        head.splice(at..at, lines.concat().into_bytes());
        head
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_taken_is_read_as_hyper_reads_it(head in heads()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        if let Some(handshake) = Handshake::parse(&head.clone().into(), &default_settings()) {
            let parts = runtime.block_on(hyper_reads(&head)).expect("hyper takes it as well");
            let asked = handshake.asked(peer());
            prop_assert_eq!((parts.method, parts.version), (Method::GET, asked.version));
            prop_assert_eq!(&parts.headers, asked.headers);
            prop_assert_eq!(parts.uri.query().unwrap_or_default(), asked.query);
            prop_assert!(parts.uri.authority().is_none());
            let path = asked.namespace.map_or("/ws".to_owned(), |name| format!("/ws/{name}"));
            prop_assert_eq!(parts.uri.path(), path);
        }
    }
}

#[tokio::test]
async fn nothing_waits_to_fill_a_segment_of_an_accepted_socket() {
    let listener: TcpListener = crate::server::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = listener.local_addr().unwrap();
    let (_far, near) = tokio::join!(TcpStream::connect(address), listener.accept());
    assert!(near.unwrap().0.nodelay().unwrap());
}
