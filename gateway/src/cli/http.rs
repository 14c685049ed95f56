//! A client of the HTTP API of one or several nodes: one connection, kept as long as the node keeps it.
//!
//! What must stay true: every call ends within the time given, whatever the peer does, and an error tells
//! whether the node may have acted.

use std::io;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, StatusCode};
use serde::Deserialize;
use thiserror::Error;
use tokio::time::timeout;

use super::api::{encoded, refusal};
use super::credentials::Credentials;
use crate::outbound::{Address, Answer, AskError, Line, Server};

const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Calls to any node are tried so often, and the pause after the first failure; it doubles.
const ATTEMPTS: u32 = 7;
const PAUSE: Duration = Duration::from_millis(100);

/// Asks one node, one question after the other; after a failure the next node.
#[derive(Debug)]
pub(super) struct Http {
    servers: Vec<Server>,
    /// Which of them is asked now.
    at: usize,
    /// Absent: the node decides, by the token or by default.
    tenant: Option<String>,
    credentials: Credentials,
    limit: Duration,
    line: Option<Line>,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(super) enum CallError {
    /// Nothing was sent.
    #[error("no node answers at {base}")]
    NotSent { base: Address, source: io::Error },
    /// No request can be made of it.
    #[error("that can't be asked")]
    Unaskable(#[from] hyper::http::Error),
    /// It may have been done.
    #[error("no answer from {base}")]
    Lost { base: Address, source: AskError },
}

impl Http {
    /// For these nodes, of which there is at least one. Each call may take `limit`.
    pub(super) fn new(servers: Vec<Server>, tenant: Option<&str>, limit: Duration) -> Self {
        let tenant = tenant.map(str::to_owned);
        Self { servers, at: 0, tenant, credentials: Credentials::default(), limit, line: None }
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
        let request = self
            .credentials
            .on(self.server().request(method, &target))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body.into()))?;
        let late = Err(AskError::Late(self.limit));
        let answer = timeout(self.limit, self.exchange(request)).await.unwrap_or(late);
        let answer = answer.map_err(|error| CallError::of(self.server(), error));
        if answer.as_ref().map_or(true, Answer::is_from_a_node_in_trouble) {
            self.at = (self.at + 1) % self.servers.len();
            self.line = None;
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

    fn server(&self) -> &Server {
        &self.servers[self.at]
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, AskError> {
        // Taken: a connection whose exchange is given up halfway is not used again.
        let mut line = match self.kept().await {
            Some(line) => line,
            None => self.server().connect().await?,
        };
        let answer = line.ask(request, ANSWER_BYTES_MAX).await?;
        self.line = Some(line);
        Ok(answer)
    }

    /// The connection of the last call, if it still stands.
    async fn kept(&mut self) -> Option<Line> {
        let mut line = self.line.take()?;
        line.is_open().await.then_some(line)
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
    fn of(server: &Server, error: AskError) -> Self {
        let base = server.address().clone();
        match error {
            AskError::Connect(source) => Self::NotSent { base, source },
            source => Self::Lost { base, source },
        }
    }

    /// Whether the node can't have acted.
    pub(super) fn nothing_was_done(&self) -> bool {
        matches!(self, Self::NotSent { .. } | Self::Unaskable(_))
    }
}
