//! A server of the test's own, and what is made of its answers.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::*;
use crate::tls::{Tls, TlsFiles};

const BOUNDS: Bounds = Bounds { time: Duration::from_secs(20), bytes_max: 1_000 };

/// Answers every question of a connection with the same bytes; none: never answers.
struct Peer {
    port: u16,
    connections: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

impl Peer {
    async fn start(answer: Option<&'static str>, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tasks, connections) = (TaskTracker::new(), Arc::<AtomicUsize>::default());
        let counted = Arc::clone(&connections);
        let task = tasks.clone().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::AcqRel);
                let tls = tls.clone();
                tasks.spawn(async move {
                    match tls {
                        None => serve(stream, answer).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => serve(stream, answer).await,
                            Err(_) => None,
                        },
                    }
                });
            }
        });
        Self { port, connections, _task: AbortOnDropHandle::new(task) }
    }

    fn address(&self, origin: &str) -> Address {
        format!("{origin}:{}/a?b=c", self.port).parse().unwrap()
    }

    /// Asked in clear.
    fn server(&self) -> Server {
        let nobody = || Err(UnusableCertificates::None);
        Server::try_new(self.address("http://127.0.0.1"), nobody).unwrap()
    }

    async fn ask(&self, bounds: Bounds) -> Result<Answer, AskError> {
        let server = self.server();
        server.ask(question(&server), bounds).await
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: Option<&str>) -> Option<()> {
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("GET /a?b=c HTTP/1.1\r\nhost: "), "{head}");
        let Some(answer) = answer else { std::future::pending().await };
        stream.write_all(answer.as_bytes()).await.ok()?;
        if answer.contains("connection: close") {
            return stream.shutdown().await.ok();
        }
    }
}

fn question(server: &Server) -> Request<Full<Bytes>> {
    server.request(Method::GET, server.address().target()).body(Full::default()).unwrap()
}

/// The error and its causes.
fn told(error: &dyn Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", told(cause)),
        None => error.to_string(),
    }
}

/// Somebody who vouches for servers, and the certificate of one.
struct Authority {
    dir: TempDir,
}

impl Authority {
    /// That server is `name`.
    fn vouching_for(name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let own = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        for (file, text) in [("ca", issuer.pem()), ("own", own.pem()), ("key", key.serialize_pem())] {
            std::fs::write(dir.path().join(file), text).unwrap();
        }
        Self { dir }
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    fn acceptor(&self) -> TlsAcceptor {
        Tls::load(TlsFiles { certificate: self.file("own"), key: self.file("key") }).unwrap().acceptor()
    }

    fn trusted(&self) -> Trusted {
        Trusted::authorities(Some(&self.file("ca")), "--ca-file").unwrap()
    }
}

#[tokio::test]
async fn an_answer_is_read_within_its_bounds() {
    let peer = Peer::start(Some("HTTP/1.1 404 No\r\nx-a: b\r\ncontent-length: 2\r\n\r\nno"), None).await;
    let answer = peer.ask(BOUNDS).await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["x-a"], &answer.body[..]),
        (404, &"b".parse().unwrap(), &b"no"[..])
    );
    for bytes_max in [0, 1] {
        let refused = peer.ask(Bounds { bytes_max, ..BOUNDS }).await;
        assert!(matches!(refused, Err(AskError::TooLong(most)) if most == bytes_max), "{refused:?}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_say_how_long_it_is_is_bounded_as_well() {
    let endless = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nworld\r\n";
    let peer = Peer::start(Some(endless), None).await;
    let refused = peer.ask(Bounds { bytes_max: 9, ..BOUNDS }).await.unwrap_err();
    assert_eq!(refused.to_string(), "the answer is longer than 9 bytes");
}

#[tokio::test]
async fn who_does_not_answer_is_given_up() {
    let time = Duration::from_millis(20);
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhal";
    for answer in [None, Some("HTTP/1.1 200"), Some(half)] {
        let peer = Peer::start(answer, None).await;
        let late = peer.ask(Bounds { time, ..BOUNDS }).await;
        assert!(matches!(late, Err(AskError::Late(waited)) if waited == time), "{late:?}");
    }
    // Nor does who takes a connection and no handshake.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", silent.local_addr().unwrap()).parse().unwrap();
    let authority = Authority::vouching_for("localhost");
    let server = Server::try_new(address, || Ok::<_, UnusableCertificates>(authority.trusted())).unwrap();
    let late = server.ask(question(&server), Bounds { time, ..BOUNDS }).await;
    assert!(matches!(late, Err(AskError::Late(_))), "{late:?}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_is_none_is_no_answer() {
    let half = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 9\r\n\r\nhal";
    let broken = Peer::start(Some(half), None).await.ask(BOUNDS).await;
    assert!(matches!(broken, Err(AskError::Exchange(_))), "{broken:?}");
    let rubbish = Peer::start(Some("220 mail.example ESMTP\r\n\r\n"), None).await.ask(BOUNDS).await;
    assert!(matches!(rubbish, Err(AskError::NotHttp(_))), "{rubbish:?}");
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = Peer { port: free.local_addr().unwrap().port(), ..Peer::start(None, None).await };
    drop(free);
    let refused = nobody.ask(BOUNDS).await.unwrap_err();
    assert!(told(&refused).starts_with("no connection: Connection refused"), "{refused:?}");
}

#[tokio::test]
async fn a_connection_carries_questions_until_its_server_closes_it() {
    let peer = Peer::start(Some("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), None).await;
    let server = peer.server();
    let mut line = server.connect().await.unwrap();
    for _ in 0..3 {
        assert!(line.is_open().await);
        line.ask(question(&server), 0).await.unwrap();
    }
    assert_eq!(peer.connections.load(Ordering::Acquire), 1);
    let closing = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let peer = Peer::start(Some(closing), None).await;
    let mut line = peer.server().connect().await.unwrap();
    line.ask(question(&peer.server()), 0).await.unwrap();
    assert!(!line.is_open().await && !line.is_open().await);
}

#[tokio::test]
async fn over_tls_only_who_proves_itself_is_asked() {
    let (own, other) = (Authority::vouching_for("localhost"), Authority::vouching_for("localhost"));
    let peer = Peer::start(Some("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), Some(own.acceptor())).await;
    let ask = async |origin: &str, trusted: Trusted| {
        let server =
            Server::try_new(peer.address(origin), || Ok::<_, UnusableCertificates>(trusted)).unwrap();
        let answer = server.ask(question(&server), BOUNDS).await;
        answer.map(|answer| answer.status.as_u16()).map_err(|error| told(&error))
    };
    let [localhost, address] = ["https://localhost", "https://127.0.0.1"];
    let exactly = |authority: &Authority| Trusted::certificate(&authority.file("own")).unwrap();
    let either = |certificate: &Authority, ca: &Authority| {
        Trusted::certificate_or_authorities(&certificate.file("own"), Some(&ca.file("ca")), "--ca-file")
            .unwrap()
    };
    assert_eq!(ask(localhost, own.trusted()).await, Ok(200));
    assert_eq!(ask(address, exactly(&own)).await, Ok(200), "its very certificate is believed under any name");
    assert_eq!(ask(address, either(&own, &other)).await, Ok(200));
    assert_eq!(ask(localhost, either(&other, &own)).await, Ok(200));
    for (origin, trusted, expected) in [
        (
            localhost,
            other.trusted(),
            "of an authority that is not trusted here: name that authority's with --ca-file",
        ),
        (localhost, either(&other, &other), "of an authority that is not trusted here"),
        (address, own.trusted(), "ask it by a name that is in its certificate"),
        (localhost, exactly(&other), "it shows another certificate than the one in its file"),
    ] {
        let refused = ask(origin, trusted).await.unwrap_err();
        assert!(refused.starts_with("no connection: ") && refused.contains(expected), "{refused}");
    }
}

#[tokio::test]
async fn who_speaks_tls_and_who_does_not_are_told_apart() {
    let authority = Authority::vouching_for("localhost");
    let in_clear = Peer::start(Some("HTTP/1.1 400 No\r\ncontent-length: 0\r\n\r\n"), None).await;
    // It answers whatever comes, as web servers do.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = Peer { port: listener.local_addr().unwrap().port(), ..in_clear };
    let answering = AbortOnDropHandle::new(TaskTracker::new().spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_u8().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream.shutdown().await.unwrap();
        while stream.read_u8().await.is_ok() {}
    }));
    let trusted = || Ok::<_, UnusableCertificates>(authority.trusted());
    let server = Server::try_new(plain.address("https://localhost"), trusted).unwrap();
    let refused = server.ask(question(&server), BOUNDS).await.unwrap_err();
    assert!(told(&refused).contains("it does not speak TLS"), "{}", told(&refused));
    drop(answering);
    let encrypted = Peer::start(Some(""), Some(authority.acceptor())).await;
    let refused = encrypted.ask(BOUNDS).await.unwrap_err();
    assert!(told(&refused).contains("say https://"), "{}", told(&refused));
}
