//! An issuer on loopback, and what a node makes of what it publishes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;
use signalbox_identity::{Algorithm, Rejected, SigningKey};
use signalbox_registry::memory::MemoryCluster;
use signalbox_testkit::eventually;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::task::TaskTracker;

use super::publisher::ReadError;
use super::{KeySetUrl, Publisher, PublisherSettings, keep_published_keys};
use crate::node::{Node, Settings};
use crate::outbound::AskError;
use crate::stamps::now_ms;
use crate::testing::{default_settings, node_in};

const ED: &[u8] = include_bytes!("../../../identity/src/tests/ed.pem");
const CA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/trust/tests/ca.pem");
const OTHER_CA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/trust/tests/other.pem");
const SERVER: &[u8] = include_bytes!("tests/server.pem");
const SERVER_KEY: &[u8] = include_bytes!("tests/server.key.pem");

/// A set with that Ed25519 key under this id.
fn set(id: &str) -> String {
    let key = json!({
        "kty": "OKP", "crv": "Ed25519", "kid": id, "use": "sig",
        "x": "Rao-AT8h51HK8rcmY-8XhiEsi7LDa3hvQT-BsR0uO28",
    });
    json!({ "keys": [key] }).to_string()
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// A token that names the key of this id.
fn token(id: &str) -> String {
    token_of(&SigningKey::try_new(Some(id), Algorithm::EdDsa, ED).unwrap())
}

fn token_of(signing: &SigningKey) -> String {
    let claims = json!({
        "tenant": "acme", "agent_type": "vehicle", "agent_id": "V1", "exp": now_ms() / 1_000 + 60,
    });
    signing.mint(claims.as_object().unwrap()).unwrap()
}

/// Answers every request with the same bytes, until told others; none: never answers.
struct Issuer {
    port: u16,
    answer: watch::Sender<Option<String>>,
    asked: Arc<AtomicUsize>,
    _tasks: TaskTracker,
}

impl Issuer {
    async fn start(answer: Option<String>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (answer, answers) = watch::channel(answer);
        let (tasks, asked) = (TaskTracker::new(), Arc::<AtomicUsize>::default());
        let (of_each, counted) = (tasks.clone(), Arc::clone(&asked));
        tasks.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, answers, counted) = (tls.clone(), answers.clone(), Arc::clone(&counted));
                of_each.spawn(async move {
                    match tls {
                        None => answer_once(stream, answers, &counted).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                answer_once(stream, answers, &counted).await;
                            }
                        }
                    }
                });
            }
        });
        Self { port, answer, asked, _tasks: tasks }
    }

    fn url(&self, scheme: &str) -> KeySetUrl {
        KeySetUrl::try_new(&format!("{scheme}://127.0.0.1:{}/keys", self.port)).unwrap()
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Acquire)
    }
}

async fn answer_once(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answers: watch::Receiver<Option<String>>,
    asked: &AtomicUsize,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    assert!(head.starts_with(b"GET /keys HTTP/1.1\r\n"));
    asked.fetch_add(1, Ordering::AcqRel);
    let answer = answers.borrow().clone();
    match answer {
        Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
        None => std::future::pending().await,
    }
    // The client closes.
    drop(stream.read_u8().await);
}

fn settings(url: KeySetUrl) -> PublisherSettings {
    PublisherSettings {
        url,
        ca_file: None,
        timeout: Duration::from_secs(5),
        bytes_max: 4_096,
        refresh: Duration::from_secs(3_600),
        reread: Duration::from_millis(10),
    }
}

fn tls() -> TlsAcceptor {
    let certificates = CertificateDer::pem_slice_iter(SERVER).collect::<Result<_, _>>().unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, PrivateKeyDer::from_pem_slice(SERVER_KEY).unwrap())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A node that reads keys there.
async fn node_of(settings: PublisherSettings) -> Arc<Node> {
    let publisher = Some(Publisher::try_new(settings).unwrap());
    let settings = Settings { publisher, ..default_settings() };
    let node = node_in(&MemoryCluster::new(), "n1", settings).await;
    node.tasks.spawn(keep_published_keys(Arc::clone(&node)));
    node
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    eventually(what, Duration::from_secs(20), || std::future::ready(holds())).await;
}

fn key_check(node: &Node) -> bool {
    node.checks().iter().any(|(name, well)| *name == "keys" && *well)
}

#[test]
fn keys_are_read_where_nobody_can_change_them_on_the_way() {
    for good in [
        "https://id.example.org/jwks",
        "https://h",
        "http://127.0.0.1:9/x",
        "http://[::1]/",
        "http://localhost:1/x",
    ] {
        assert!(KeySetUrl::try_new(good).is_ok(), "{good}");
    }
    for bad in [
        "http://id.example.org/jwks",
        "http://10.0.0.1/",
        "ftp://h/",
        "/jwks",
        "",
        "https://u:p@h/",
        "http://127.0.0.1.evil.org/",
    ] {
        assert!(KeySetUrl::try_new(bad).is_err(), "{bad}");
    }
}

/// The public keys of RSA and P-256 that belong to the private ones of `identity`'s tests.
fn rsa_and_ec() -> [serde_json::Value; 2] {
    let modulus = "0iTvFKwevm66sKFZdsUU78dDFXHMZyZPv031RLHkvhvjemlYRyXeA4c-_tL-DZz0nPg7Pxi963k-X3qdpRSa6XOaESbRiJsjC3hq4KMx87dPwGhj\
                   0ho4o0tJ691cHUlV_pKyhY9csruqtQmZ82PEH8WD4l0kzYHXyfwfO9ysA2CRSc2gb5T3yDbWiaKyi3o27d4sGPKlzmc1ISvNys__E-dOvsmF6zVG\
                   0eRwYitvt-fmJSf85UA-C3G1Oe8EU991l2182kJ2HgfWuDLInniD-Zk1gkb5et98-27aSyFzMAdgu9MCB6VEpjXgDhX8RFsdnkOXe3ptAtuWfJMr\
                   OICHNw";
    [
        json!({ "kty": "RSA", "kid": "rsa", "use": "sig", "alg": "RS256", "n": modulus, "e": "AQAB" }),
        json!({
            "kty": "EC", "crv": "P-256", "kid": "ec", "use": "sig",
            "x": "tYTi4SUo_Dx54FqBbmvbOq6ek38T96EjOd4ys8_4QfE", "y": "K2bNLOp29BFC_TMZiagxDBV5fkOhvNbRWBsBKGRjpsw",
        }),
    ]
}

#[tokio::test]
async fn published_keys_of_each_algorithm_are_believed_under_their_own_names() {
    let [rsa, ec] = rsa_and_ec();
    let mut all: serde_json::Value = serde_json::from_str(&set("ed")).unwrap();
    all["keys"].as_array_mut().unwrap().extend([rsa, ec]);
    let issuer = Issuer::start(Some(ok(&all.to_string())), None).await;
    let node = node_of(settings(issuer.url("http"))).await;
    until("the keys are there", || key_check(&node)).await;
    let signers: [(&str, Algorithm, &[u8]); 3] = [
        ("ed", Algorithm::EdDsa, ED),
        ("rsa", Algorithm::Rs256, include_bytes!("../../../identity/src/tests/rsa.pem")),
        ("ec", Algorithm::Es256, include_bytes!("../../../identity/src/tests/ec.pem")),
    ];
    for (name, algorithm, key) in signers {
        for id in ["ed", "rsa", "ec"] {
            let verified =
                node.trust.verify(&token_of(&SigningKey::try_new(Some(id), algorithm, key).unwrap()));
            assert_eq!(verified.is_ok(), id == name, "{algorithm:?} as {id}: {verified:?}");
        }
    }
}

#[tokio::test]
async fn published_keys_are_believed_once_they_were_read() {
    let issuer = Issuer::start(Some(ok(&set("k1"))), None).await;
    let node = node_of(settings(issuer.url("http"))).await;
    until("the keys are there", || key_check(&node)).await;
    assert_eq!(node.trust.verify(&token("k1")).unwrap().agent.as_str(), "vehicle:V1");
    assert_eq!(node.trust.verify(&token("k2")), Err(Rejected::UnknownKey));
}

#[tokio::test]
async fn a_token_with_an_unknown_key_has_the_keys_read_again() {
    let issuer = Issuer::start(Some(ok(&set("k1"))), None).await;
    let node = node_of(settings(issuer.url("http"))).await;
    until("the keys are there", || key_check(&node)).await;
    issuer.answer.send_replace(Some(ok(&set("k2"))));
    until("the new key is known", || node.trust.verify(&token("k2")).is_ok()).await;
    assert_eq!(node.trust.verify(&token("k1")), Err(Rejected::UnknownKey), "what was withdrawn is gone");
}

#[tokio::test]
async fn made_up_tokens_do_not_have_the_issuer_asked_without_end() {
    let issuer = Issuer::start(Some(ok(&set("k1"))), None).await;
    let reread = Duration::from_secs(3_600);
    let node = node_of(PublisherSettings { reread, ..settings(issuer.url("http")) }).await;
    until("the keys are there", || key_check(&node)).await;
    for number in 0..1_000 {
        assert!(node.trust.verify(&token(&format!("made-up-{number}"))).is_err());
        tokio::task::yield_now().await;
    }
    node.halt.cancel();
    node.tasks.close();
    node.tasks.wait().await;
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn while_the_issuer_is_away_its_last_keys_stay() {
    let issuer = Issuer::start(Some(ok(&set("k1"))), None).await;
    let refresh = Duration::from_millis(10);
    let node = node_of(PublisherSettings { refresh, ..settings(issuer.url("http")) }).await;
    until("the keys are there", || key_check(&node)).await;
    issuer.answer.send_replace(Some("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n".to_owned()));
    let before = issuer.asked();
    until("it was asked again", || issuer.asked() > before + 2).await;
    assert!(node.trust.verify(&token("k1")).is_ok());
    let told = String::from_utf8(node.metrics.render(&node.readings())).unwrap();
    assert!(!told.contains("signalbox_jwks_reads_total{result=\"failed\"} 0"), "{told}");
}

#[tokio::test]
async fn until_keys_were_read_the_node_is_not_ready() {
    let issuer =
        Issuer::start(Some("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned()), None).await;
    let node = node_of(settings(issuer.url("http"))).await;
    until("it was asked, and asked again", || issuer.asked() > 1).await;
    assert!(!key_check(&node) && !node.is_ready());
    issuer.answer.send_replace(Some(ok(&set("k1"))));
    until("the keys are there", || key_check(&node)).await;
}

#[tokio::test]
async fn what_is_no_set_is_not_taken() {
    let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", " ".repeat(5_000));
    let moved = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_owned();
    for (answer, expected) in [
        (Some(ok("{}")), "what is published"),
        (Some(ok(r#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#)), "what is published"),
        (Some(endless), "the answer is longer than 4096 bytes"),
        (Some(moved), "the answer is 302"),
        (Some("rubbish\r\n\r\n".to_owned()), "what answers is no HTTP"),
        (None, "no answer within 20ms"),
    ] {
        let issuer = Issuer::start(answer, None).await;
        let timeout = if expected == "no answer within 20ms" { 20 } else { 5_000 };
        let timeout = Duration::from_millis(timeout);
        let settings = PublisherSettings { timeout, ..settings(issuer.url("http")) };
        let told = Publisher::try_new(settings).unwrap().read().await.unwrap_err().to_string();
        assert!(told.starts_with(expected), "{told}");
    }
}

#[tokio::test]
async fn over_tls_only_a_server_that_is_vouched_for_is_believed() {
    let issuer = Issuer::start(Some(ok(&set("k1"))), Some(tls())).await;
    let vouched = PublisherSettings { ca_file: Some(CA.to_owned()), ..settings(issuer.url("https")) };
    assert_eq!(Publisher::try_new(vouched).unwrap().read().await.unwrap().len(), 1);
    let of_others = PublisherSettings { ca_file: Some(OTHER_CA.to_owned()), ..settings(issuer.url("https")) };
    let refused = Publisher::try_new(of_others).unwrap().read().await;
    assert!(matches!(refused, Err(ReadError::Ask(AskError::Connect(_)))), "{refused:?}");
    let missing =
        PublisherSettings { ca_file: Some("/nowhere/ca.pem".to_owned()), ..settings(issuer.url("https")) };
    assert!(Publisher::try_new(missing).is_err());
}
