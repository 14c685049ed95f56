//! A collector of spans: takes OTLP over HTTP in its JSON form, and nothing else.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

/// What was told so far.
#[derive(Clone)]
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    bodies: Arc<Mutex<Vec<Value>>>,
}

/// One span, and which node told it.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) node: String,
    pub(crate) span: Value,
}

impl Span {
    pub(crate) fn text(&self, field: &str) -> &str {
        self.span[field].as_str().unwrap_or_else(|| panic!("{field} in {}", self.span))
    }

    /// An attribute, as text.
    pub(crate) fn fact(&self, key: &str) -> Option<&str> {
        let value = attribute(&self.span["attributes"], key)?;
        value["stringValue"].as_str().or(value["intValue"].as_str())
    }
}

fn attribute<'a>(attributes: &'a Value, key: &str) -> Option<&'a Value> {
    attributes
        .as_array()?
        .iter()
        .find(|attribute| attribute["key"] == key)
        .map(|attribute| &attribute["value"])
}

impl Collector {
    /// Listens until the test ends.
    pub(crate) async fn start() -> Self {
        Self::start_with(None).await
    }

    /// For nodes that speak TLS.
    pub(crate) async fn start_tls(tls: TlsAcceptor) -> Self {
        Self::start_with(Some(tls)).await
    }

    async fn start_with(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let collector = Self { address: listener.local_addr().unwrap(), bodies: Arc::default() };
        let (tasks, told) = (TaskTracker::new(), collector.clone());
        tasks.clone().spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (told, tls) = (told.clone(), tls.clone());
                tasks.spawn(async move {
                    match tls {
                        None => told.take(stream).await,
                        // Who does not believe this collector tells it nothing.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                told.take(stream).await;
                            }
                        }
                    }
                });
            }
        });
        collector
    }

    async fn take(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let (mut read, mut end) = (Vec::new(), None);
        while end.is_none_or(|end| read.len() < end) {
            assert!(stream.read_buf(&mut read).await.unwrap() > 0, "a whole request");
            end = end.or_else(|| end_of_request(&read));
        }
        let text = String::from_utf8(read).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
        assert!(head.to_lowercase().contains("content-type: application/json"), "{head}");
        self.bodies.lock().unwrap().push(serde_json::from_str(body).unwrap());
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await.unwrap();
    }

    /// Everything that was told, as it came.
    pub(crate) fn told(&self) -> String {
        self.bodies.lock().unwrap().iter().map(Value::to_string).collect()
    }

    /// The spans of this name.
    pub(crate) fn spans(&self, name: &str) -> Vec<Span> {
        let mut spans = Vec::new();
        for resource in self.bodies.lock().unwrap().iter().flat_map(|body| list(&body["resourceSpans"])) {
            let node = attribute(&resource["resource"]["attributes"], "service.instance.id");
            let node = node.unwrap()["stringValue"].as_str().unwrap().to_owned();
            for span in list(&resource["scopeSpans"]).iter().flat_map(|scope| list(&scope["spans"])) {
                spans.push(Span { node: node.clone(), span });
            }
        }
        spans.retain(|span| span.text("name") == name);
        spans
    }
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap()
}

fn end_of_request(read: &[u8]) -> Option<usize> {
    let head_end = read.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&read[..head_end]).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    Some(head_end + length.parse::<usize>().unwrap())
}
