//! TLS: by a node itself, and to Redis, with certificates made here and clients that believe only these.

use std::path::Path;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use signalbox_gateway::config::Config;
use signalbox_testkit::{Nginx, RedisServer, TlsEnd, eventually};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::authority::Authority;
use crate::client::PATIENCE;
use crate::fixture::{TestNode, config};
use crate::http::call;

/// A Redis that speaks TLS as well, and its address.
async fn secret_redis(authority: &Authority, dir: &Path) -> (RedisServer, String) {
    let redis = RedisServer::start().await;
    let (certificate, key) = (dir.join("redis.crt"), dir.join("redis.key"));
    authority.issue(&certificate, &key);
    let port = RedisServer::not_started().port().to_string();
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let both = ["config", "set", "tls-cert-file", certificate, "tls-key-file", key];
    assert_eq!(redis.cli(&[&both[..], &["tls-auth-clients", "no", "tls-port", &port]].concat()), "OK");
    (redis, format!("rediss://localhost:{port}/"))
}

/// A node that serves TLS, and where its certificate is.
struct Secret {
    node: TestNode,
    dir: TempDir,
    authority: Authority,
}

type Socket = WebSocketStream<TlsStream<TcpStream>>;

impl Secret {
    async fn start() -> Self {
        Self::start_with(config(None)).await
    }

    async fn start_with(mut config: Config) -> Self {
        let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
        config.tls = authority.serving(dir.path(), "tls");
        Self { node: TestNode::start(&config).await, dir, authority }
    }

    async fn tls(&self) -> std::io::Result<TlsStream<TcpStream>> {
        self.authority.connect(self.node.address.port()).await
    }

    async fn connect(&self, agent: &str) -> Socket {
        welcomed(self.tls().await.unwrap(), agent).await
    }

    /// What the node shows new clients.
    async fn shown(&self) -> CertificateDer<'static> {
        let stream = self.tls().await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
    }

    fn reloads(&self, result: &str) -> u64 {
        self.node.node.metrics.certificates.with_label_values(&[result]).get()
    }
}

async fn welcomed(stream: TlsStream<TcpStream>, agent: &str) -> Socket {
    let url = format!("wss://localhost/ws?agent_type=driver&agent_id={agent}");
    let (mut socket, _) = timeout(PATIENCE, client_async(url, stream)).await.unwrap().unwrap();
    assert_eq!(read(&mut socket).await["type"], "system:welcome");
    socket
}

async fn read(socket: &mut Socket) -> Value {
    loop {
        if let Message::Text(text) = timeout(PATIENCE, socket.next()).await.unwrap().unwrap().unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

async fn send(socket: &mut Socket, envelope: Value) {
    timeout(PATIENCE, socket.send(Message::text(envelope.to_string()))).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_talk_over_tls_and_whoever_speaks_in_clear_gets_nothing() {
    let secret = Secret::start().await;
    let mut receiver = secret.connect("R").await;
    let mut sender = secret.connect("S").await;
    // More than a socket's buffers take at once: what TLS holds back has to come as well.
    let data = "x".repeat(900_000);
    for _ in 0..8 {
        send(&mut sender, json!({"type": "test:large", "target": "driver:R", "data": data})).await;
        let received = read(&mut receiver).await;
        assert_eq!(
            (&received["type"], received["data"].as_str()),
            (&json!("test:large"), Some(data.as_str()))
        );
    }
    receiver.close(None).await.unwrap();
    let refused = std::panic::AssertUnwindSafe(call(secret.node.address, "GET", "/livez", ""));
    let refused = futures_util::FutureExt::catch_unwind(refused).await;
    assert!(refused.is_err(), "no HTTP in clear");
    eventually("it is counted", PATIENCE, || async { secret.node.node.metrics.tls_failures.get() >= 1 })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_shown_and_open_sockets_stay() {
    let secret = Secret::start().await;
    let mut socket = secret.connect("D").await;
    let first = secret.shown().await;
    std::fs::write(secret.dir.path().join("tls.crt"), "no certificate").unwrap();
    eventually("what can't be used is noticed", PATIENCE, || async { secret.reloads("unusable") >= 1 }).await;
    assert_eq!(secret.shown().await, first, "the old one stays");
    secret.authority.issue(&secret.dir.path().join("tls.crt"), &secret.dir.path().join("tls.key"));
    eventually("it is read", PATIENCE, || async { secret.reloads("read") >= 1 }).await;
    assert_ne!(secret.shown().await, first);
    send(&mut socket, json!({"type": "system:health_check"})).await;
    assert_eq!(read(&mut socket).await["type"], "system:health_check");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tls_handshake_that_never_ends_is_given_up() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut config = config(None);
    config.handshake.timeout = std::time::Duration::from_millis(200);
    let secret = Secret::start_with(config).await;
    let mut stream = TcpStream::connect(secret.node.address).await.unwrap();
    stream.write_all(&[0x16, 0x03, 0x01, 0x02]).await.unwrap();
    let ended = timeout(PATIENCE, stream.read(&mut [0; 16])).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_share_a_redis_over_tls_and_believe_only_whom_they_shall() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let (_redis, url) = secret_redis(&authority, dir.path()).await;
    let ca = |name: &str, authority: &Authority| {
        let path = dir.path().join(name);
        authority.write(&path);
        Some(path.to_str().unwrap().to_owned())
    };
    let mut config = config(Some(&url));
    config.redis.ca_file = ca("ca.pem", &authority);
    let (one, two) = (TestNode::start(&config).await, TestNode::start(&config).await);
    let mut receiver = two.client("driver:R").await;
    let mut sender = one.client("driver:S").await;
    assert_eq!(sender.emit("order:new", "driver:R", json!({"order_id": "O"})).await["type"], "system:ack");
    assert_eq!(receiver.expect("order:new").await["order_id"], "O");
    // The pool's connections are made by others than the links'.
    assert_eq!(
        crate::http::get(one.address, "/api/connections").await.1["items"].as_array().unwrap().len(),
        2
    );

    config.redis.ca_file = ca("other.pem", &Authority::new());
    let stranger = TestNode::start_unready(&config);
    let refused = || async { call(stranger.address, "GET", "/readyz", "").await.0 == 503 };
    eventually("it runs, and reaches nobody", PATIENCE, refused).await;
    assert!(!stranger.node.checks()[0].1, "not even over an encrypted connection to somebody else");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_that_ends_at_nginx_carries_websockets() {
    let node = TestNode::start(&config(None)).await;
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let (certificate, key) = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
    authority.issue(&certificate, &key);
    let [certificate, key] = [certificate, key].map(|path| std::fs::read_to_string(path).unwrap());
    let tls = TlsEnd { certificate: &certificate, key: &key };
    let nginx = Nginx::start_tls(&[node.address.port()], tls).await;
    let mut receiver = welcomed(authority.connect(nginx.port()).await.unwrap(), "R").await;
    let mut sender = welcomed(authority.connect(nginx.port()).await.unwrap(), "S").await;
    let data = "x".repeat(900_000);
    send(&mut sender, json!({"type": "test:large", "target": "driver:R", "data": data})).await;
    assert_eq!(read(&mut receiver).await["data"], data);
    assert!(
        Authority::new().connect(nginx.port()).await.is_err(),
        "another authority vouches for nobody here"
    );
    let in_clear = ([127, 0, 0, 1], nginx.port()).into();
    assert_eq!(call(in_clear, "GET", "/readyz", "").await.0, 400);
}
