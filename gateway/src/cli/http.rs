//! A client of the HTTP API of one or several nodes: one connection, kept as long as the node keeps it.
//!
//! What must stay true: every call ends within the time given, whatever the peer does, and an error tells
//! whether the node may have acted.

use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::api::{encoded, refusal};
use super::credentials::Credentials;

const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Calls to any node are tried so often, and the pause after the first failure; it doubles.
const ATTEMPTS: u32 = 7;
const PAUSE: Duration = Duration::from_millis(100);

/// Asks one node, one question after the other; after a failure the next node.
#[derive(Debug)]
pub(super) struct Http {
    bases: Vec<Uri>,
    /// Which of them is asked now.
    at: usize,
    /// Absent: the node decides, by the token or by default.
    tenant: Option<String>,
    credentials: Credentials,
    limit: Duration,
    sender: Option<SendRequest<Full<Bytes>>>,
    /// Each drives a connection, and ends with it.
    drivers: TaskTracker,
}

/// Whatever a node answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(super) enum CallError {
    /// Nothing was sent.
    #[error("no node answers at {base}")]
    NotSent { base: Uri, source: anyhow::Error },
    /// It may have been done.
    #[error("no answer from {base} within {limit:?}")]
    Late { base: Uri, limit: Duration },
    /// It may have been done.
    #[error("the answer of {base} could not be read")]
    Lost { base: Uri, source: anyhow::Error },
}

impl Http {
    /// For the nodes at `bases`, of which there is at least one. Each call may take `limit`.
    pub(super) fn new(bases: Vec<Uri>, tenant: Option<&str>, limit: Duration) -> Self {
        Self {
            bases,
            at: 0,
            tenant: tenant.map(str::to_owned),
            credentials: Credentials::default(),
            limit,
            sender: None,
            drivers: TaskTracker::new(),
        }
    }

    /// The same, which shows a token.
    pub(super) fn showing(self, credentials: Credentials) -> Self {
        Self { credentials, ..self }
    }

    /// `GET path?query`.
    pub(super) async fn get(&mut self, path: &str, query: &[(&str, &str)]) -> Result<Answer, CallError> {
        self.call(Method::GET, path, query, Bytes::new()).await
    }

    /// Any request; `body` is JSON or empty.
    ///
    /// # Cancel safety
    /// What was asked may be done; the next call has a connection of its own.
    pub(super) async fn call(
        &mut self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Answer, CallError> {
        let tenant = self.tenant.as_deref().map(|tenant| ("tenant", tenant));
        let target =
            tenant.iter().chain(query).enumerate().fold(path.to_owned(), |target, (at, (name, value))| {
                format!("{target}{}{name}={}", if at == 0 { '?' } else { '&' }, encoded(value))
            });
        let authority = self.base().authority().map(ToString::to_string).unwrap_or_default();
        let request = self
            .credentials
            .on(Request::builder())
            .method(method)
            .uri(target)
            .header(HOST, authority)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body.into()))
            .map_err(|error| self.not_sent(error.into()))?;
        let late = CallError::Late { base: self.base().clone(), limit: self.limit };
        let answer = timeout(self.limit, self.exchange(request)).await.unwrap_or(Err(late));
        if answer.as_ref().map_or(true, Answer::is_from_a_node_in_trouble) {
            self.at = (self.at + 1) % self.bases.len();
            self.sender = None;
        }
        answer
    }

    /// A request that may be made twice, until a node does it or refuses, or none could for some seconds.
    pub(super) async fn insist(
        &mut self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Answer> {
        let body = body.into();
        let mut pause = PAUSE;
        let mut attempt = 0;
        loop {
            attempt += 1;
            let answer = self.call(method.clone(), path, query, body.clone()).await;
            match answer {
                Ok(answer) if attempt == ATTEMPTS || !answer.is_from_a_node_in_trouble() => {
                    return Ok(answer);
                }
                Err(error) if attempt == ATTEMPTS => return Err(error.into()),
                Ok(_) | Err(_) => {}
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    fn base(&self) -> &Uri {
        &self.bases[self.at]
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, CallError> {
        // Taken: a connection whose exchange is given up halfway is not used again.
        let mut sender = self.connection().await.map_err(|error| self.not_sent(error))?;
        let base = self.base().clone();
        let lost = |source| CallError::Lost { base: base.clone(), source };
        let response = sender.send_request(request).await.map_err(|error| lost(error.into()))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| lost(anyhow!(error)))?.to_bytes();
        self.sender = Some(sender);
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// The connection of the last call, if it still stands, or a new one.
    async fn connection(&mut self) -> anyhow::Result<SendRequest<Full<Bytes>>> {
        if let Some(mut sender) = self.sender.take()
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        let base = self.base();
        let host = base.host().unwrap_or_default().trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, base.port_u16().unwrap_or(80))).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // What it ends with, the exchange hears as well.
        self.drivers.spawn(async { drop(connection.await) });
        Ok(sender)
    }

    fn not_sent(&self, source: anyhow::Error) -> CallError {
        CallError::NotSent { base: self.base().clone(), source }
    }
}

impl Answer {
    /// What is in it, if it is a success.
    pub(super) fn json<T: for<'de> Deserialize<'de>>(&self) -> anyhow::Result<T> {
        self.success()?;
        serde_json::from_slice(&self.body).context("the answer is not what this version expects")
    }

    /// Whether the same may succeed later, or at another node.
    pub(super) fn is_from_a_node_in_trouble(&self) -> bool {
        matches!(
            self.status,
            StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::TOO_MANY_REQUESTS
                | StatusCode::GATEWAY_TIMEOUT
                | StatusCode::REQUEST_TIMEOUT
        )
    }

    /// Nothing, or what the node said instead of doing it.
    pub(super) fn success(&self) -> anyhow::Result<()> {
        if self.status.is_success() { Ok(()) } else { Err(refusal(self.status.as_u16(), &self.body)) }
    }
}

impl CallError {
    /// Whether the node can't have acted.
    pub(super) fn nothing_was_done(&self) -> bool {
        matches!(self, Self::NotSent { .. })
    }
}
