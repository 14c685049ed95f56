//! Where an issuer publishes its keys, and one reading of them: one connection, one request, under one deadline and
//! within one bound.

use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::ACCEPT;
use hyper::{Method, StatusCode};
use signalbox_identity::{InvalidKeySet, Keyring};
use thiserror::Error;

use crate::outbound::{Address, AskError, Bounds, Server, Trusted, UnusableCertificates};

/// The address of a published set: https, or http where nobody can be in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySetUrl(Address);

/// An address that keys must not be read from.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("has to be https://host/path, or http:// on a loopback address")]
pub struct InvalidKeySetUrl;

impl KeySetUrl {
    /// Checks `text`.
    ///
    /// # Errors
    /// [`InvalidKeySetUrl`].
    pub fn try_new(text: &str) -> Result<Self, InvalidKeySetUrl> {
        let address: Address = text.parse().map_err(|_| InvalidKeySetUrl)?;
        let is_safe = address.is_encrypted() || is_loopback(address.host());
        if is_safe { Ok(Self(address)) } else { Err(InvalidKeySetUrl) }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || IpAddr::from_str(host).is_ok_and(|address| address.to_canonical().is_loopback())
}

/// What a publisher needs of the configuration.
#[derive(Debug, Clone)]
pub struct PublisherSettings {
    /// Where the keys are.
    pub url: KeySetUrl,
    /// Certificates that vouch for the server, in a file in PEM; none: those of the machine.
    pub ca_file: Option<String>,
    /// How long one reading may take.
    pub timeout: Duration,
    /// Bytes of the answer.
    pub bytes_max: usize,
    /// How often keys are read.
    pub refresh: Duration,
    /// The least time between two readings.
    pub reread: Duration,
}

/// An issuer's published keys.
#[derive(Debug, Clone)]
pub struct Publisher {
    pub(super) settings: PublisherSettings,
    server: Server,
}

/// Why published keys could not be read. Temporary, as far as one can know.
#[derive(Debug, Error)]
pub enum ReadError {
    /// There is no answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// Another status than 200; redirections are not followed.
    #[error("the answer is {0}")]
    Status(StatusCode),
    /// Something else than keys.
    #[error("what is published is {0}")]
    Set(#[from] InvalidKeySet),
}

impl Publisher {
    /// A publisher that was not asked yet. Reads certificates.
    ///
    /// # Errors
    /// [`UnusableCertificates`].
    pub fn try_new(settings: PublisherSettings) -> Result<Self, UnusableCertificates> {
        let ca_file = settings.ca_file.as_deref().map(Path::new);
        let trusted = || Trusted::authorities(ca_file, "auth.jwks_ca_file");
        let server = Server::try_new(settings.url.0.clone(), trusted)?;
        Ok(Self { settings, server })
    }

    /// The keys that are published now.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read(&self) -> Result<Keyring, ReadError> {
        let target = self.server.address().target();
        let request = self.server.request(Method::GET, target).header(ACCEPT, "application/json");
        let request = request.body(Full::<Bytes>::default()).expect("the parts of an address make a request");
        let bounds = Bounds { time: self.settings.timeout, bytes_max: self.settings.bytes_max };
        let answer = self.server.ask(request, bounds).await?;
        if answer.status != StatusCode::OK {
            return Err(ReadError::Status(answer.status));
        }
        Ok(Keyring::of_set(&answer.body)?)
    }
}
