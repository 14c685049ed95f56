//! Web pages: which may open a WebSocket or call the API, and what browsers are told.

use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::fixture::{TestNode, config};
use crate::http::{call_as, call_with};
use crate::tokens::believing;

/// The status of a handshake that a page of `origin` begins.
async fn handshake(node: &TestNode, origin: Option<&str>) -> u16 {
    let mut request = format!("ws://{}/ws", node.address).into_client_request().unwrap();
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().unwrap());
    }
    match connect_async(request).await {
        Ok((_, response)) => response.status().as_u16(),
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_strangers_open_no_socket_and_send_nothing() {
    let node = TestNode::start(&config(None)).await;
    for (origin, status) in [
        (None, 101),
        (Some("http://localhost:3000"), 101),
        (Some("https://evil.example"), 403),
        (Some("null"), 403),
    ] {
        assert_eq!(handshake(&node, origin).await, status, "{origin:?}");
    }
    assert_eq!(node.node.metrics.handshakes.with_label_values(&["refused_origin"]).get(), 2);
    let evil = [("origin", "https://evil.example"), ("content-type", "text/plain")];
    let body = r#"{"type":"a:b","target":"driver:D"}"#;
    let (status, head, _) = call_with(node.address, "POST", "/api/publish", &evil, body).await;
    assert_eq!(status, 403, "a simple request is sent without asking first: {head}");
    assert!(!head.contains("access-control-allow-origin"), "{head}");
    assert_eq!(call_with(node.address, "GET", "/livez", &evil, "").await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listed_page_may_ask_first_and_read_its_answers() {
    let mut listed = config(None);
    listed.origins = vec!["https://app.example.com".to_owned()];
    let node = TestNode::start(&listed).await;
    assert_eq!(handshake(&node, Some("https://app.example.com")).await, 101);
    assert_eq!(handshake(&node, Some("http://localhost:3000")).await, 403, "the list is all");
    let page = [("origin", "https://app.example.com"), ("access-control-request-method", "PATCH")];
    let (status, head, _) = call_with(node.address, "OPTIONS", "/api/locks/r", &page, "").await;
    assert_eq!(status, 204, "{head}");
    for line in [
        "access-control-allow-origin: https://app.example.com",
        "access-control-allow-methods: get, post, put, patch, delete",
        "access-control-allow-headers: authorization, content-type, x-lock-token",
        "vary: origin",
    ] {
        assert!(head.contains(line), "{line} in {head}");
    }
    let (status, head, _) = call_with(node.address, "GET", "/api/topics", &page[..1], "").await;
    assert_eq!(status, 200);
    assert!(head.contains("access-control-allow-origin: https://app.example.com"), "{head}");
    let (status, head, _) = call_with(node.address, "GET", "/api/topics", &[], "").await;
    assert_eq!((status, head.contains("access-control")), (200, false), "{head}");
}

/// The status of what a page of `host` sends to a node that its name was made to lead to: no Origin.
async fn rebound(node: &TestNode, host: &str, path: &str) -> u16 {
    call_as(host, node.address, path).await.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_whose_name_was_made_to_lead_here_reads_nothing() {
    let node = TestNode::start(&config(None)).await;
    for path in [
        "/api/connections",
        "/api/passengers?route_id=1",
        "/api/locks",
        "/api/openapi.json",
        "/ws",
        "/ws/stats",
    ] {
        assert_eq!(rebound(&node, "evil.example:8080", path).await, 403, "{path}");
    }
    assert_eq!(node.node.metrics.handshakes.with_label_values(&["refused_origin"]).get(), 2);
    for path in ["/livez", "/readyz", "/health", "/metrics"] {
        assert_eq!(rebound(&node, "signalbox.svc.example", path).await, 200, "{path}");
    }
    for host in ["localhost:8080", "127.0.0.1", "[::1]:8080"] {
        assert_eq!(rebound(&node, host, "/api/connections").await, 200, "{host}");
    }
    let mut named = config(None);
    named.origins = vec!["https://rt.example.com".to_owned()];
    let node = TestNode::start(&named).await;
    assert_eq!(rebound(&node, "rt.example.com", "/api/connections").await, 200);
    assert_eq!(rebound(&node, "evil.example", "/api/connections").await, 403);
    // A keyed node has nothing for a page that has no token.
    let node = TestNode::start(&believing()).await;
    assert_eq!(rebound(&node, "evil.example", "/api/connections").await, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lets_everybody_in_is_asked_by_its_address_or_by_a_listed_name() {
    let mut open = config(None);
    (open.listen, open.allow_anonymous) = ("0.0.0.0:0".parse().unwrap(), true);
    let node = TestNode::start(&open).await;
    for (host, status) in [("10.0.0.7:8080", 200), ("gateway-1:8080", 200), ("evil.example", 403)] {
        let address = ([127, 0, 0, 1], node.address.port()).into();
        assert_eq!(call_as(host, address, "/api/connections").await.0, status, "{host}");
    }
}
