//! Each limit of the list, from outside: what whoever hits it is told, and that it is counted. A new limit without a
//! case does not compile.

use std::time::Duration;

use serde_json::{Value, json};
use signalbox_gateway::config::Config;
use signalbox_gateway::limits::Limit;
use signalbox_protocol::limits::WAITS_MAX;
use signalbox_testkit::eventually;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Client, PATIENCE};
use crate::fixture::{TestNode, config};
use crate::http::call;
use crate::limits::{handshake, hits, say};
use crate::plain_http::{crowded, filled, unread};

/// What has to be sent at most for a limit of one a second to be hit.
const OFTEN: usize = 200;

/// How a limit is hit.
enum Case {
    /// A second handshake on this path beside a first, and its status.
    Second(fn(&mut Config), &'static str, u16),
    /// This message, again and again, answered with an error.
    Answered(fn(&mut Config), Value, &'static str),
    /// This frame, again and again, until the connection is closed.
    Closed(fn(&mut Config), Message, u16),
    /// A way of its own.
    Else,
}

fn case(limit: Limit) -> Case {
    use Case::{Answered, Closed, Else, Second};
    let ping = || json!({"type": "system:health_check"});
    match limit {
        Limit::NodeConnections => Second(|config| config.limits.connections_max = 1, "/ws", 503),
        Limit::TenantConnections => Second(|config| config.limits.tenant_connections_max = 1, "/ws", 429),
        Limit::AgentConnections => {
            Second(|config| config.limits.agent_connections_max = 1, "/ws?agent_type=driver&agent_id=D", 429)
        }
        Limit::AddressConnections => Second(|config| config.limits.address_connections_max = 1, "/ws", 429),
        Limit::Messages => Answered(|config| config.limits.messages_per_second = 1, ping(), "rate_limited"),
        Limit::Bytes => Answered(|config| config.limits.bytes_per_second = 1, ping(), "rate_limited"),
        Limit::TenantMessages => {
            Answered(|config| config.limits.tenant_messages_per_second = 1, ping(), "rate_limited")
        }
        Limit::TenantBytes => {
            Answered(|config| config.limits.tenant_bytes_per_second = 1, ping(), "rate_limited")
        }
        Limit::LockAttempts => {
            let ask = json!({"type": "lock:acquire", "data": {"resource": "r"}});
            Answered(|config| config.limits.lock_attempts_per_second = 1, ask, "rate_limited")
        }
        Limit::Subscriptions => {
            let ask = json!({"type": "system:subscribe", "data": {"topics": ["route:1", "route:2"]}});
            Answered(|config| config.connection.subscriptions_max = 1, ask, "too_large")
        }
        Limit::Refusals => {
            let set = |config: &mut Config| {
                config.limits.messages_per_second = 1;
                config.limits.refusals_max = 1;
            };
            Closed(set, Message::text(ping().to_string()), 4429)
        }
        Limit::Frames => {
            Closed(|config| config.flood.frames_max = 64, Message::Ping(vec![7; 125].into()), 4429)
        }
        Limit::MessageBytes => {
            Closed(|config| config.message.bytes_max = 1 << 10, Message::text("x".repeat(2 << 10)), 1009)
        }
        Limit::Malformed => Closed(|config| config.malformed.messages_max = 2, Message::text("{"), 4400),
        Limit::AddressConnects
        | Limit::Waits
        | Limit::HeaderBytes
        | Limit::HandshakeTime
        | Limit::HttpConnections
        | Limit::HttpBodies
        | Limit::AnswerTime => Else,
    }
}

async fn node_with(set: fn(&mut Config)) -> TestNode {
    let mut config = config(None);
    set(&mut config);
    TestNode::start(&config).await
}

async fn until_answered(node: &TestNode, message: &Value, code: &str) {
    let mut client = node.client("driver:D").await;
    for _ in 0..OFTEN {
        let answer = client.request(message.clone()).await;
        if answer["data"]["code"] == code {
            return;
        }
    }
    panic!("{message} was never answered with {code}");
}

async fn until_closed(node: &TestNode, frame: &Message) -> Option<u16> {
    let mut client = node.client("driver:D").await;
    let sending = async {
        while !node.node.hub.is_empty() {
            client.send_lossy(frame.clone()).await;
        }
    };
    tokio::time::timeout(PATIENCE, sending).await.expect("it is closed");
    loop {
        if let Err(code) = client.try_next().await {
            return code;
        }
    }
}

/// More waits than a connection may have; the rest stay.
async fn until_too_many_wait(node: &TestNode) {
    let mut holder = node.client("driver:H").await;
    holder.request(json!({"type": "lock:acquire", "data": {"resource": "r", "ttl_ms": 60_000}})).await;
    let mut client = node.client("driver:D").await;
    for number in 0..=WAITS_MAX {
        let wait = json!({"resource": "r", "wait_ms": 30_000, "request_id": format!("w{number}")});
        client.send(json!({"type": "lock:acquire", "id": format!("w{number}"), "data": wait})).await;
    }
    let answer = client.expect("system:error").await;
    assert_eq!(answer["code"], "rate_limited", "{answer}");
}

async fn until_an_address_comes_too_often() -> TestNode {
    let node = node_with(|config| config.limits.address_connects_per_second = 1).await;
    let mut open = Vec::new();
    for _ in 0..OFTEN {
        let (answer, socket) = say(node.address, handshake("").as_bytes()).await;
        if answer.starts_with("http/1.1 429 ") {
            return node;
        }
        open.push(socket);
    }
    panic!("nobody came too often");
}

/// Those that are hit in a way of their own.
async fn hit(limit: Limit) -> TestNode {
    let publish = r#"{"type": "a:b", "target": "driver:D"}"#;
    match limit {
        Limit::AddressConnects => until_an_address_comes_too_often().await,
        Limit::Waits => {
            let node = node_with(|_| {}).await;
            until_too_many_wait(&node).await;
            node
        }
        Limit::HeaderBytes => {
            let node = node_with(|_| {}).await;
            let huge = handshake(&format!("cookie: {}\r\n", "x".repeat(32 << 10)));
            assert!(say(node.address, huge.as_bytes()).await.0.starts_with("http/1.1 431 "));
            node
        }
        Limit::HandshakeTime => {
            let node = node_with(|config| config.handshake.timeout = Duration::from_millis(200)).await;
            assert_eq!(say(node.address, b"GET /ws HTTP/1.1\r\nx-slow: ").await.0, "");
            node
        }
        Limit::HttpConnections => {
            let (node, _held) = crowded().await;
            assert_eq!(call(node.address, "GET", "/api/topics", "").await.0, 503);
            node
        }
        Limit::HttpBodies => {
            let (node, _held) = filled().await;
            assert_eq!(call(node.address, "POST", "/api/publish", publish).await.0, 503);
            node
        }
        Limit::AnswerTime => {
            let (node, _silent) = unread().await;
            eventually("it is given up", PATIENCE, || async { hits(&node, limit) == 1 }).await;
            node
        }
        _ => panic!("{limit:?} has no way of its own"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_told_and_counted_under_its_name() {
    for limit in Limit::ALL {
        let node = match case(limit) {
            Case::Second(set, path, status) => {
                let node = node_with(set).await;
                let _first = Client::connect(node.address, path).await;
                assert_eq!(Client::refusal(node.address, path).await, status, "{limit:?}");
                node
            }
            Case::Answered(set, message, code) => {
                let node = node_with(set).await;
                until_answered(&node, &message, code).await;
                node
            }
            Case::Closed(set, frame, code) => {
                let node = node_with(set).await;
                assert_eq!(until_closed(&node, &frame).await, Some(code), "{limit:?}");
                node
            }
            Case::Else => hit(limit).await,
        };
        eventually(limit.as_str(), PATIENCE, || async { hits(&node, limit) >= 1 }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_much_by_http_is_counted_as_a_message_that_is_too_large() {
    let node = node_with(|config| config.message.bytes_max = 1 << 10).await;
    let text = format!(r#"{{"type":"a:b","target":"driver:D","data":"{}"}}"#, "x".repeat(2 << 10));
    assert_eq!(call(node.address, "POST", "/api/publish", &text).await.0, 413);
    assert_eq!(hits(&node, Limit::MessageBytes), 1);
}
