//! Asking others over HTTP: one request, TLS where the address says so, a bounded answer, within a deadline.
//!
//! For what a node asks (an issuer's keys, a collector) and what the commands ask of nodes. There is no task: whoever
//! asks drives the connection, and it ends with him. Redirections are not followed, and nobody is trusted blindly.

mod address;
mod line;
mod stream;
mod trusted;

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::HOST;
use hyper::http::request::Builder;
use hyper::{Method, Request};
use thiserror::Error;
use tokio::time::timeout;

pub use self::address::{Address, InvalidAddress};
pub use self::line::{Answer, Line};
pub use self::stream::{Stream, open};
pub use self::trusted::{Trusted, UnusableCertificates};

/// What an exchange may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// From the look-up of the name to the end of the answer.
    pub time: Duration,
    /// Bytes of the answer's body.
    pub bytes_max: usize,
}

/// A server that can be asked; clones share whom it has to prove itself to.
#[derive(Debug, Clone)]
pub struct Server {
    address: Address,
    trusted: Option<Trusted>,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// Nobody there, or nobody who is believed: nothing was sent.
    #[error("no connection")]
    Connect(#[source] io::Error),
    /// Something came that is no HTTP.
    #[error("what answers is no HTTP (if it serves TLS, say https://)")]
    NotHttp(#[source] hyper::Error),
    /// It ended before the answer did.
    #[error("the exchange broke off")]
    Exchange(#[source] hyper::Error),
    /// The answer is longer than was allowed.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    /// Its end did not come in time.
    #[error("no answer within {0:?}")]
    Late(Duration),
}

impl Server {
    /// The server at `address`. For https `trusted` tells whom to believe; it is not asked otherwise.
    ///
    /// # Errors
    /// What `trusted` says.
    pub fn try_new<E>(address: Address, trusted: impl FnOnce() -> Result<Trusted, E>) -> Result<Self, E> {
        let trusted = address.is_encrypted().then(trusted).transpose()?;
        Ok(Self { address, trusted })
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Whom it has to prove itself to be; nobody asks over http.
    pub fn trusted(&self) -> Option<&Trusted> {
        self.trusted.as_ref()
    }

    /// Begins a request for `target`, a path and perhaps a query.
    pub fn request(&self, method: Method, target: &str) -> Builder {
        Request::builder().method(method).uri(target).header(HOST, self.address.authority())
    }

    /// Asks over a connection of its own.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn ask(&self, request: Request<Full<Bytes>>, bounds: Bounds) -> Result<Answer, AskError> {
        let asking = async { self.connect().await?.ask(request, bounds.bytes_max).await };
        timeout(bounds.time, asking).await.unwrap_or(Err(AskError::Late(bounds.time)))
    }

    /// Opens a connection, for as long as that takes.
    ///
    /// # Errors
    /// [`AskError::Connect`], or what broke off.
    pub async fn connect(&self) -> Result<Line, AskError> {
        let (host, port) = (self.address.host(), self.address.port());
        let stream = open(host, port, self.trusted.as_ref()).await.map_err(AskError::Connect)?;
        Line::begin(stream).await
    }
}

#[cfg(test)]
mod tests;
