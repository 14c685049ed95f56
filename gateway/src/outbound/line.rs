//! One open connection: it carries one question after the other, as long as the server keeps it.

use std::pin::Pin;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::Fuse;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Body;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::AskError;

/// One open connection. It moves only while somebody asks.
pub struct Line {
    sender: SendRequest<Full<Bytes>>,
    /// What it ends with, the exchange hears as well.
    driver: Fuse<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").finish_non_exhaustive()
    }
}

/// What a server said.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// All of its body.
    pub body: Bytes,
}

impl Line {
    /// HTTP over an open stream.
    pub(super) async fn begin(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> Result<Self, AskError> {
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(AskError::Exchange)?;
        let driver: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(connection.map(drop));
        Ok(Self { sender, driver: driver.fuse() })
    }

    /// Whether it can carry another question, as far as one can know.
    pub async fn is_open(&mut self) -> bool {
        tokio::select! {
            // First, so that a server that closed it meanwhile is noticed.
            biased;
            () = &mut self.driver => false,
            ready = self.sender.ready() => ready.is_ok(),
        }
    }

    /// Asks, for as long as that takes; an answer of more bytes is refused.
    ///
    /// # Errors
    /// [`AskError`].
    ///
    /// # Cancel safety
    /// What was asked may be done. The connection must not be used again.
    pub async fn ask(&mut self, request: Request<Full<Bytes>>, bytes_max: usize) -> Result<Answer, AskError> {
        let Self { sender, driver } = self;
        let exchange = async {
            let (head, body) = sender.send_request(request).await.map_err(exchange_error)?.into_parts();
            if body.size_hint().lower() > bytes_max as u64 {
                return Err(AskError::TooLong(bytes_max));
            }
            let body = Limited::new(body, bytes_max).collect().await;
            let body = body.map_err(|error| body_error(error, bytes_max))?.to_bytes();
            Ok(Answer { status: head.status, headers: head.headers, body })
        };
        let driven = async {
            driver.await;
            std::future::pending().await
        };
        tokio::select! {
            answer = exchange => answer,
            answer = driven => answer,
        }
    }
}

fn exchange_error(error: hyper::Error) -> AskError {
    if error.is_parse() { AskError::NotHttp(error) } else { AskError::Exchange(error) }
}

fn body_error(error: Box<dyn std::error::Error + Send + Sync>, bytes_max: usize) -> AskError {
    match error.downcast::<hyper::Error>() {
        Ok(error) => exchange_error(*error),
        Err(error) => {
            debug_assert!(error.is::<LengthLimitError>(), "{error}");
            AskError::TooLong(bytes_max)
        }
    }
}
