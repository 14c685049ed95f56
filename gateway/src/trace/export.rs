//! Carries spans to the collector: one task, one request at a time, each under a deadline. What the collector does not take is
//! counted and forgotten: a collector that is away costs a node nothing but the spans.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, StatusCode};
use thiserror::Error;
use tokio::sync::mpsc::Receiver;
use tokio::time::sleep;

use super::{Finished, Inner, otlp};
use crate::node::Node;
use crate::outbound::{Address, AskError, Bounds, Server, Trusted, UnusableCertificates};

/// Spans of one request.
const BATCH_MAX: usize = 512;
/// How long spans gather.
const GATHER: Duration = Duration::from_secs(1);
/// How long a request may take, and the last one when the node ends.
const PATIENCE: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(1)];
/// Bytes of an answer; one that took all says `{}`, another why it did not.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Where a collector takes traces, below its address (OTLP over HTTP).
const PATH: &str = "/v1/traces";

/// Where spans go.
#[derive(Debug, Clone)]
pub struct Collector {
    /// What they are told to be of.
    service: String,
    server: Server,
}

/// Why a collector can't be told anything.
#[derive(Debug, Error)]
pub enum InvalidCollector {
    /// Not an address.
    #[error(
        "trace.otlp_endpoint has to be http://host:port or https://host:port, without a password or a query"
    )]
    Address,
    /// Nobody could be believed.
    #[error("trace.otlp_ca_file")]
    Tls(#[from] UnusableCertificates),
}

#[derive(Debug, Error)]
enum ExportError {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("the answer is {0}")]
    Status(StatusCode),
}

impl Collector {
    /// The collector at `address`, which is told that spans are of `service`. Reads the certificates that vouch for it.
    ///
    /// # Errors
    /// [`InvalidCollector`].
    pub fn try_new(address: &str, ca_file: Option<&Path>, service: &str) -> Result<Self, InvalidCollector> {
        let address: Address = address.parse().map_err(|_| InvalidCollector::Address)?;
        if address.has_query() {
            return Err(InvalidCollector::Address);
        }
        let server = Server::try_new(address, || Trusted::authorities(ca_file, "trace.otlp_ca_file"))?;
        Ok(Self { service: service.to_owned(), server })
    }

    async fn tell(&self, body: Vec<u8>, patience: Duration) -> Result<(), ExportError> {
        let below = self.server.address().path().trim_end_matches('/');
        let request = self.server.request(Method::POST, &format!("{below}{PATH}"));
        let request = request.header(CONTENT_TYPE, "application/json").body(Full::new(Bytes::from(body)));
        let request = request.expect("the parts of an address make a request");
        let bounds = Bounds { time: patience, bytes_max: ANSWER_BYTES_MAX };
        let status = self.server.ask(request, bounds).await?.status;
        if status.is_success() { Ok(()) } else { Err(ExportError::Status(status)) }
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
        match collector.tell(otlp::request(&resource, batch), patience).await {
            Ok(()) => self.inner.count("exported", batch.len()),
            Err(error) => {
                self.inner.count("failed", batch.len());
                if !self.in_trouble {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%error, cause, "spans can't be exported");
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
