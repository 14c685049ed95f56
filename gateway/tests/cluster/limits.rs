//! The bounds that an operator may set, from outside: what is beyond one is refused with its documented answer, is
//! counted, and comes back when somebody goes.

use std::net::SocketAddr;

use serde_json::json;
use signalbox_gateway::config::Config;
use signalbox_gateway::limits::Limit;
use signalbox_testkit::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Client, PATIENCE};
use crate::fixture::{TestNode, config};
use crate::http::{call, call_with};

async fn node_with(set: impl FnOnce(&mut Config)) -> TestNode {
    let mut config = config(None);
    set(&mut config);
    TestNode::start(&config).await
}

pub(crate) fn hits(node: &TestNode, limit: Limit) -> u64 {
    node.node.metrics.limits_hit.with_label_values(&[limit.as_str()]).get()
}

/// What comes back for these bytes, up to the end of its head; the socket stays open as long as what is returned.
pub(crate) async fn say(address: SocketAddr, bytes: &[u8]) -> (String, TcpStream) {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        (String::from_utf8(head).unwrap().to_lowercase(), stream)
    };
    timeout(PATIENCE, exchange).await.unwrap()
}

pub(crate) fn handshake(more: &str) -> String {
    format!(
        "GET /ws HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_beyond_a_bound_are_refused_and_a_place_comes_back() {
    type Set = fn(&mut Config);
    let cases: [(Set, Limit, &str, &str, u16); 4] = [
        (|config| config.limits.connections_max = 1, Limit::NodeConnections, "/ws", "/ws?tenant=b", 503),
        (
            |config| config.limits.tenant_connections_max = 1,
            Limit::TenantConnections,
            "/ws?tenant=a",
            "/ws?tenant=a",
            429,
        ),
        (
            |config| config.limits.agent_connections_max = 1,
            Limit::AgentConnections,
            "/ws?agent_type=driver&agent_id=D",
            "/ws?agent_type=driver&agent_id=D",
            429,
        ),
        (
            |config| config.limits.address_connections_max = 1,
            Limit::AddressConnections,
            "/ws",
            "/ws?tenant=b",
            429,
        ),
    ];
    for (set, limit, first, second, status) in cases {
        let node = node_with(set).await;
        let held = Client::connect(node.address, first).await;
        let (answer, _) = say(node.address, handshake("").replace("/ws", second).as_bytes()).await;
        assert!(answer.starts_with(&format!("http/1.1 {status} ")), "{limit:?}: {answer}");
        assert!(answer.contains("\r\nretry-after: "), "{limit:?}: {answer}");
        assert_eq!(hits(&node, limit), 1, "{limit:?}");
        held.close().await;
        eventually("its place is free", PATIENCE, || async { node.node.hub.is_empty() }).await;
        // The place is given back at the end of the connection's task, just behind the hub's.
        let again = || async { Client::refusal_or_welcome(node.address, second).await == 0 };
        eventually("another is let in", PATIENCE, again).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_are_those_that_a_trusted_proxy_tells() {
    let node = node_with(|config| {
        config.limits.address_connections_max = 1;
        config.proxy.trusted = vec!["127.0.0.0/8".to_owned()];
    })
    .await;
    let mut open = Vec::new();
    for (forwarded, status) in [("198.51.100.7", 101), ("9.9.9.9, 198.51.100.7", 429), ("198.51.100.8", 101)]
    {
        let request = handshake(&format!("x-forwarded-for: {forwarded}\r\n"));
        let (answer, socket) = say(node.address, request.as_bytes()).await;
        assert!(answer.starts_with(&format!("http/1.1 {status} ")), "{forwarded}: {answer}");
        open.push(socket);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_are_those_of_the_proxy_protocol_and_without_its_header_nobody_is_let_in() {
    let node = node_with(|config| {
        config.limits.address_connections_max = 1;
        config.proxy.trusted = vec!["127.0.0.1".to_owned()];
        config.proxy.protocol = true;
    })
    .await;
    let v2 =
        [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".as_slice(), &[198, 51, 100, 9, 10, 0, 0, 1, 0, 80, 1, 187]]
            .concat();
    let mut open = Vec::new();
    for (header, status) in [
        (&b"PROXY TCP4 198.51.100.7 10.0.0.1 4711 443\r\n"[..], "http/1.1 101 "),
        (b"PROXY TCP4 198.51.100.7 10.0.0.1 4712 443\r\n", "http/1.1 429 "),
        (&v2, "http/1.1 101 "),
        (b"", ""),
    ] {
        let (answer, socket) = say(node.address, &[header, handshake("").as_bytes()].concat()).await;
        assert!(answer.starts_with(status), "{answer}");
        assert_eq!(answer.is_empty(), status.is_empty(), "{answer}");
        open.push(socket);
    }
}

/// Ten seconds' worth may come at once; this many do not come in time.
const TOO_OFTEN: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_too_often_is_told_so_before_anything_is_read_of_it() {
    let (header, hello) = ("PROXY TCP4 198.51.100.7 10.0.0.1 4711 443\r\n", handshake(""));
    let forwarded = handshake("x-forwarded-for: 198.51.100.7\r\n");
    for (trusted, protocol, words) in
        [(false, false, hello.clone()), (true, true, format!("{header}{hello}")), (true, false, forwarded)]
    {
        let node = node_with(|config| {
            config.limits.address_connects_per_second = 1;
            config.proxy.protocol = protocol;
            config.proxy.trusted = trusted.then(|| "127.0.0.0/8".to_owned()).into_iter().collect();
        })
        .await;
        let mut open = Vec::new();
        let refused = loop {
            let (answer, socket) = say(node.address, words.as_bytes()).await;
            if !answer.starts_with("http/1.1 101 ") {
                break answer;
            }
            open.push(socket);
            assert!(open.len() < TOO_OFTEN);
        };
        assert!(refused.starts_with("http/1.1 429 "), "{refused}");
        assert!(refused.contains("\r\nretry-after: "), "{refused}");
        assert!(open.len() >= 10, "{}", open.len());
        assert_eq!(hits(&node, Limit::AddressConnects), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_messages_are_answered_and_closed_with_4429_when_it_goes_on() {
    let node = node_with(|config| {
        config.limits.messages_per_second = 1;
        config.limits.refusals_max = 3;
    })
    .await;
    let mut client = node.client("driver:D").await;
    let mut refused = 0;
    let code = loop {
        // More than three a second come, however slow the machine: some are refused.
        let envelope = json!({"type": "system:health_check", "id": "asked", "data": {}});
        for _ in 0..10 {
            client.send_lossy(Message::text(envelope.to_string())).await;
        }
        match client.try_next().await {
            Ok(answer) if answer["type"] == "system:error" => {
                refused += 1;
                assert_eq!(answer["correlationId"], "asked", "{answer}");
                let data = &answer["data"];
                assert_eq!((&data["code"], &data["retryable"]), (&json!("rate_limited"), &json!(true)));
                assert_eq!(data["details"]["limit"], "messages");
                assert!(data["details"]["retry_after_ms"].as_u64().unwrap() <= 1_000, "{answer}");
            }
            Ok(_) => {}
            Err(code) => break code,
        }
    };
    assert_eq!(code, Some(4429));
    assert!(refused >= 2, "the last one closes: {refused}");
    assert!(hits(&node, Limit::Messages) >= 3);
    assert_eq!(hits(&node, Limit::Refusals), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_s_rate_holds_for_http_and_sockets_together() {
    let node = node_with(|config| config.limits.tenant_messages_per_second = 1).await;
    let mut client = node.client("driver:D").await;
    let one = json!({"type": "test:hello", "target": "driver:D"}).to_string();
    let list = format!("[{}]", vec![one.as_str(); 500].join(","));
    assert_eq!(
        call(node.address, "POST", "/api/publish", &list).await.0,
        200,
        "one list is taken, and owed for"
    );
    let (status, problem) = call(node.address, "POST", "/api/publish", &one).await;
    assert_eq!(status, 429, "{problem}");
    assert!(problem.contains("tenant_messages"), "{problem}");
    for _ in 0..500 {
        client.expect("test:hello").await;
    }
    let answer = client.request(json!({"type": "system:health_check"})).await;
    assert_eq!(answer["data"]["details"]["limit"], "tenant_messages", "{answer}");
    assert_eq!(call(node.address, "POST", "/api/publish?tenant=other", &one).await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_to_get_locks_are_bounded() {
    let node = node_with(|config| config.limits.lock_attempts_per_second = 1).await;
    let mut client = node.client("driver:D").await;
    let mut limited = 0;
    for _ in 0..50 {
        let answer = client.request(json!({"type": "lock:acquire", "data": {"resource": "r"}})).await;
        limited += u64::from(answer["data"]["details"]["limit"] == "lock_attempts");
    }
    assert!(limited > 0);
    assert_eq!(hits(&node, Limit::LockAttempts), limited);
    client.expect_nothing().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_to_get_locks_by_http_are_bounded_for_each_agent() {
    let node = node_with(|config| config.limits.lock_attempts_per_second = 1).await;
    let acquire = |path: &'static str| call_with(node.address, "POST", path, &[], "");
    let mut asked = 0;
    let (head, problem) = loop {
        let (status, head, body) = acquire("/api/locks/r").await;
        if status == 429 {
            break (head, body);
        }
        asked += 1;
        assert!(asked < TOO_OFTEN);
    };
    assert!(head.contains("retry-after: "), "{head}");
    assert!(problem.contains("lock_attempts"), "{problem}");
    assert_eq!(hits(&node, Limit::LockAttempts), 1);
    assert_eq!(acquire("/api/locks/r?tenant=other").await.0, 201, "another tenant's caller is another");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_pings_are_a_flood_as_well() {
    let node = node_with(|config| config.flood.frames_max = 64).await;
    let mut client = node.client("driver:D").await;
    let ping = || Message::Ping(vec![7; 125].into());
    let flooding = async {
        loop {
            client.send_lossy(ping()).await;
            if node.node.hub.is_empty() {
                break;
            }
        }
    };
    timeout(PATIENCE, flooding).await.expect("the flood is ended");
    assert_eq!(hits(&node, Limit::Frames), 1);
    assert_eq!(client.close_code().await, Some(4429));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_that_are_too_large_are_told_so() {
    let node = node_with(|_| {}).await;
    let huge = format!("cookie: {}\r\n", "x".repeat(32 << 10));
    let many: String = (0..100).map(|number| format!("x-{number}: 1\r\n")).collect();
    for more in [huge, many] {
        let (answer, _) = say(node.address, handshake(&more).as_bytes()).await;
        assert!(answer.starts_with("http/1.1 431 "), "{answer}");
    }
    eventually("both are counted", PATIENCE, || async { hits(&node, Limit::HeaderBytes) == 2 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_never_ends_is_given_up() {
    let node = node_with(|config| config.handshake.timeout = std::time::Duration::from_millis(200)).await;
    let (answer, _) = say(node.address, b"GET /ws HTTP/1.1\r\nhost: localhost\r\nx-slow: ").await;
    assert_eq!(answer, "");
    eventually("it is counted", PATIENCE, || async { hits(&node, Limit::HandshakeTime) == 1 }).await;
}
