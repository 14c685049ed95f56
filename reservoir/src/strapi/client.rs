//! HTTP towards Strapi: one request, one answer, under a deadline and within a bound. Knows no passenger.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client as Pooled;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioTimer;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::settings::{InvalidSettings, StrapiSettings};
use crate::store::StoreError;

/// How long a connection stays open that nobody uses. Node's HTTP server closes after 5 s.
const IDLE: Duration = Duration::from_secs(4);

/// One Strapi.
pub(super) struct Client {
    pooled: Pooled<HttpConnector, Full<Bytes>>,
    origin: String,
    authorization: Option<HeaderValue>,
    request_timeout: Duration,
    answer_bytes_max: usize,
}

impl fmt::Debug for Client {
    /// Leaves the token out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// Runs the connections: tasks of the node that end with it.
#[derive(Clone)]
struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, connection: F) {
        let stop = self.stop.clone();
        self.tracker.spawn(async move { stop.run_until_cancelled(connection).await });
    }
}

impl Client {
    pub(super) fn try_new(
        settings: &StrapiSettings,
        tracker: TaskTracker,
        stop: CancellationToken,
    ) -> Result<Self, InvalidSettings> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(settings.connect_timeout));
        connector.set_nodelay(true);
        let pooled = Pooled::builder(Tasks { tracker, stop })
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(settings.parallel)
            .build(connector);
        Ok(Self {
            pooled,
            origin: settings.origin()?,
            authorization: settings.authorization()?,
            request_timeout: settings.request_timeout,
            answer_bytes_max: settings.answer_bytes_max,
        })
    }

    /// Sends one request and reads the JSON of a good answer; null where there is no body. Never
    /// sends a request twice, unless none of it has been sent.
    ///
    /// # Errors
    /// Of [`StoreError`]: `Unreachable`, `Lost`, `Answered`, `Unreadable`.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, StoreError> {
        let request = self.request(method, path, body);
        let exchange = async {
            let answer = self.pooled.request(request).await.map_err(of_exchange)?;
            let status = answer.status().as_u16();
            let body = Limited::new(answer.into_body(), self.answer_bytes_max).collect().await;
            Ok((status, body.map_err(StoreError::Lost)?.to_bytes()))
        };
        let (status, body) =
            timeout(self.request_timeout, exchange).await.map_err(|late| StoreError::Lost(late.into()))??;
        match status {
            200..=299 if body.is_empty() => Ok(Value::Null),
            200..=299 => serde_json::from_slice(&body)
                .map_err(|_| StoreError::Unreadable { what: "body that is no JSON" }),
            _ => Err(refusal(status, &body)),
        }
    }

    fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Request<Full<Bytes>> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.origin));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        request.body(Full::new(body)).expect("a checked origin and an encoded path make a request")
    }
}

fn of_exchange(error: hyper_util::client::legacy::Error) -> StoreError {
    match error.is_connect() {
        true => StoreError::Unreachable(error.into()),
        false => StoreError::Lost(error.into()),
    }
}

/// What Strapi's error body says; a proxy's has no such body.
#[derive(Deserialize, Default)]
struct Body {
    #[serde(default)]
    error: Told,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Told {
    name: String,
    message: String,
    details: Value,
}

fn refusal(status: u16, body: &[u8]) -> StoreError {
    let Told { name, message, details } = serde_json::from_slice::<Body>(body).unwrap_or_default().error;
    let field = details.pointer("/errors/0/path/0").and_then(Value::as_str).map(str::to_owned);
    StoreError::Answered { status, name, message, field }
}
