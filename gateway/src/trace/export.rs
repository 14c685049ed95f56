//! Carries spans to the collector: one task, one request at a time, each under a deadline. What the collector does not take is
//! counted and forgotten: a collector that is away costs a node nothing but the spans.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::handshake;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::rt::{Read, Write};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::sync::mpsc::Receiver;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::{Finished, Inner, otlp};
use crate::node::Node;
use crate::trust::{UnusableCertificates, connector};

/// Spans of one request.
const BATCH_MAX: usize = 512;
/// How long spans gather.
const GATHER: Duration = Duration::from_secs(1);
/// How long a request may take, and the last one when the node ends.
const PATIENCE: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(1)];
/// Where a collector takes traces, below its address (OTLP over HTTP).
const PATH: &str = "/v1/traces";

/// Where spans go.
#[derive(Clone)]
pub struct Collector {
    /// What they are told to be of.
    service: String,
    address: Uri,
    tls: Option<TlsConnector>,
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector").field("service", &self.service).finish_non_exhaustive()
    }
}

/// Why a collector can't be told anything.
#[derive(Debug, Error)]
pub enum InvalidCollector {
    /// Not an address.
    #[error("has to be http://host:port or https://host:port, without a password or a query")]
    Address,
    /// Nobody could be believed.
    #[error("TLS can't be used")]
    Tls(#[from] UnusableCertificates),
}

#[derive(Debug, Error)]
enum ExportError {
    #[error("no connection: {0}")]
    Connect(#[from] io::Error),
    #[error("the exchange broke off: {0}")]
    Exchange(#[from] hyper::Error),
    #[error("the answer is {0}")]
    Status(StatusCode),
    #[error("no answer in time")]
    Late,
}

impl Collector {
    /// The collector at `address`, which is told that spans are of `service`.
    ///
    /// # Errors
    /// [`InvalidCollector`].
    pub fn try_new(address: &str, service: &str) -> Result<Self, InvalidCollector> {
        let address: Uri = address.parse().map_err(|_| InvalidCollector::Address)?;
        let plain = address.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        let tls = match address.scheme_str() {
            Some("http") if plain && address.query().is_none() => None,
            Some("https") if plain && address.query().is_none() => Some(connector(None)?),
            _ => return Err(InvalidCollector::Address),
        };
        Ok(Self { service: service.to_owned(), address, tls })
    }

    async fn tell(&self, body: Vec<u8>) -> Result<(), ExportError> {
        let host = self.address.host().unwrap_or_default().trim_matches(['[', ']']);
        let port = self.address.port_u16().unwrap_or(if self.tls.is_some() { 443 } else { 80 });
        let stream = TcpStream::connect((host, port)).await?;
        match &self.tls {
            None => self.post(TokioIo::new(stream), body).await,
            Some(tls) => {
                let name = ServerName::try_from(host.to_owned()).map_err(|_| io::ErrorKind::InvalidInput);
                let stream = tls.connect(name.map_err(io::Error::from)?, stream).await?;
                self.post(TokioIo::new(stream), body).await
            }
        }
    }

    async fn post(
        &self,
        stream: impl Read + Write + Unpin + Send + 'static,
        body: Vec<u8>,
    ) -> Result<(), ExportError> {
        let (mut sender, connection) = handshake(stream).await?;
        let exchange = async {
            let answer = sender.send_request(self.request(body)).await?;
            if answer.status().is_success() { Ok(()) } else { Err(ExportError::Status(answer.status())) }
        };
        // What the connection ends with, the exchange hears as well.
        let driven = async {
            connection.await.ok();
            std::future::pending().await
        };
        tokio::select! {
            told = exchange => told,
            told = driven => told,
        }
    }

    fn request(&self, body: Vec<u8>) -> Request<Full<Bytes>> {
        let below = self.address.path().trim_end_matches('/');
        let authority = self.address.authority().map_or("", |authority| authority.as_str());
        Request::post(format!("{below}{PATH}"))
            .header(HOST, authority)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .expect("the parts of an address make a request")
    }
}

/// Exports until the node halts, and then what is left. Without a collector there is nothing to do but wait for that.
pub(crate) async fn run(node: Arc<Node>) {
    let Some((inner, waiting)) = node.tracer.take_waiting() else { return node.halt.cancelled().await };
    let mut exporter = Exporter { node, inner, waiting, in_trouble: false };
    let halt = exporter.node.halt.clone();
    while halt.run_until_cancelled(sleep(GATHER)).await.is_some() {
        exporter.export_all(PATIENCE[0]).await;
    }
    exporter.export_all(PATIENCE[1]).await;
}

struct Exporter {
    node: Arc<Node>,
    inner: Arc<Inner>,
    waiting: Receiver<Finished>,
    in_trouble: bool,
}

impl Exporter {
    /// What waits now; what comes meanwhile is for the next time.
    async fn export_all(&mut self, patience: Duration) {
        for _ in 0..=self.waiting.len() / BATCH_MAX {
            let mut batch = Vec::with_capacity(BATCH_MAX.min(self.waiting.len()));
            while batch.len() < BATCH_MAX
                && let Ok(span) = self.waiting.try_recv()
            {
                batch.push(span);
            }
            if !batch.is_empty() {
                self.export(&batch, patience).await;
            }
        }
    }

    async fn export(&mut self, batch: &[Finished], patience: Duration) {
        let collector = &self.inner.collector;
        let node_id = self.node.cluster.node.id().to_string();
        let resource = [
            ("service.name", collector.service.as_str()),
            ("service.version", env!("CARGO_PKG_VERSION")),
            ("service.instance.id", &node_id),
        ];
        let told = timeout(patience, collector.tell(otlp::request(&resource, batch))).await;
        match told.unwrap_or(Err(ExportError::Late)) {
            Ok(()) => self.inner.count("exported", batch.len()),
            Err(error) => {
                self.inner.count("failed", batch.len());
                if !self.in_trouble {
                    tracing::warn!(%error, "spans can't be exported");
                }
                self.in_trouble = true;
                return;
            }
        }
        if std::mem::take(&mut self.in_trouble) {
            tracing::info!("spans can be exported again");
        }
    }
}
