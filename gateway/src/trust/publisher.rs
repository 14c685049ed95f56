//! Where an issuer publishes its keys, and one reading of them: one connection, one request, under one deadline and
//! within one bound.

use std::io;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::handshake;
use hyper::header::{ACCEPT, HOST};
use hyper::rt::{Read, Write};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use signalbox_identity::{InvalidKeySet, Keyring};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// The address of a published set: https, or http where nobody can be in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySetUrl(Uri);

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
        let url = Self(text.parse().map_err(|_| InvalidKeySetUrl)?);
        let has_password = url.0.authority().is_some_and(|authority| authority.as_str().contains('@'));
        let is_safe = match url.0.scheme_str() {
            Some("https") => true,
            Some("http") => is_loopback(url.host()),
            _ => false,
        };
        if is_safe && !has_password && !url.host().is_empty() { Ok(url) } else { Err(InvalidKeySetUrl) }
    }

    fn is_https(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    fn host(&self) -> &str {
        self.0.host().unwrap_or_default().trim_matches(['[', ']'])
    }

    fn port(&self) -> u16 {
        self.0.port_u16().unwrap_or(if self.is_https() { 443 } else { 80 })
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
#[derive(Clone)]
pub struct Publisher {
    pub(super) settings: PublisherSettings,
    tls: Option<TlsConnector>,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Why a publisher's server could never be believed.
#[derive(Debug, Error)]
pub enum UnusableCertificates {
    /// The file can't be read.
    #[error("can't be read as certificates in PEM")]
    File(#[source] rustls::pki_types::pem::Error),
    /// One of its certificates is none.
    #[error("holds something that is no certificate")]
    Certificate(#[source] rustls::Error),
    /// There are none.
    #[error("gives no certificate")]
    None,
    /// TLS itself can't be used.
    #[error("TLS can't be used")]
    Tls(#[source] rustls::Error),
}

/// Why published keys could not be read. Temporary, as far as one can know.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Nobody there, or nobody who is vouched for.
    #[error("no connection")]
    Connect(#[source] io::Error),
    /// It is no HTTP, or it ended too early.
    #[error("the exchange broke off")]
    Exchange(#[source] hyper::Error),
    /// Its end did not come, or too late.
    #[error("the answer broke off, or is too long")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Another status than 200; redirections are not followed.
    #[error("the answer is {0}")]
    Status(StatusCode),
    /// Nothing came in time.
    #[error("no answer in time")]
    Late,
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
        let tls = settings.url.is_https().then(|| connector(settings.ca_file.as_deref())).transpose()?;
        Ok(Self { settings, tls })
    }

    /// The keys that are published now.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn read(&self) -> Result<Keyring, ReadError> {
        timeout(self.settings.timeout, self.exchange()).await.unwrap_or(Err(ReadError::Late))
    }

    async fn exchange(&self) -> Result<Keyring, ReadError> {
        let url = &self.settings.url;
        let stream = TcpStream::connect((url.host(), url.port())).await.map_err(ReadError::Connect)?;
        let body = match &self.tls {
            None => self.ask(TokioIo::new(stream)).await?,
            Some(tls) => {
                let unnamed = |_| ReadError::Connect(io::ErrorKind::InvalidInput.into());
                let name = ServerName::try_from(url.host().to_owned()).map_err(unnamed)?;
                let stream = tls.connect(name, stream).await.map_err(ReadError::Connect)?;
                self.ask(TokioIo::new(stream)).await?
            }
        };
        Ok(Keyring::of_set(&body)?)
    }

    async fn ask(&self, stream: impl Read + Write + Unpin + Send + 'static) -> Result<Bytes, ReadError> {
        let (mut sender, connection) = handshake(stream).await.map_err(ReadError::Exchange)?;
        let exchange = async {
            let answer = sender.send_request(self.request()).await.map_err(ReadError::Exchange)?;
            if answer.status() != StatusCode::OK {
                return Err(ReadError::Status(answer.status()));
            }
            let body = Limited::new(answer.into_body(), self.settings.bytes_max).collect().await;
            Ok(body.map_err(ReadError::Body)?.to_bytes())
        };
        // What the connection ends with, the exchange hears as well.
        let driven = async {
            connection.await.ok();
            std::future::pending().await
        };
        tokio::select! {
            answer = exchange => answer,
            answer = driven => answer,
        }
    }

    fn request(&self) -> Request<Empty<Bytes>> {
        let url = &self.settings.url.0;
        let target = url.path_and_query().map_or("/", |target| target.as_str());
        let authority = url.authority().map_or("", |authority| authority.as_str());
        let request = Request::get(target).header(HOST, authority).header(ACCEPT, "application/json");
        request.body(Empty::new()).expect("the parts of an address make a request")
    }
}

/// TLS that believes the certificates of this file, or those of the machine.
pub(crate) fn connector(ca_file: Option<&str>) -> Result<TlsConnector, UnusableCertificates> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(UnusableCertificates::Tls)?
        .with_root_certificates(roots(ca_file)?)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots(ca_file: Option<&str>) -> Result<RootCertStore, UnusableCertificates> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            for certificate in CertificateDer::pem_file_iter(path).map_err(UnusableCertificates::File)? {
                let certificate = certificate.map_err(UnusableCertificates::File)?;
                roots.add(certificate).map_err(UnusableCertificates::Certificate)?;
            }
        }
        // Those of the machine that can't be read vouch for nobody.
        None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
    }
    if roots.is_empty() { Err(UnusableCertificates::None) } else { Ok(roots) }
}
