//! TLS to Redis, with the cryptography that everything else here uses.

use std::io;
use std::sync::Arc;

use redis::{Client, ConnectionInfo, TlsCertificates};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::Error;

/// How a server has to prove that it is the one that was named.
#[derive(Clone)]
pub(super) struct Secret(TlsConnector);

impl Secret {
    /// Servers are vouched for by these certificates, or by those of the machine.
    pub(super) fn try_new(ca: Option<&[u8]>) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        match ca {
            Some(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    let certificate = certificate.map_err(|error| Error::Url(error.into()))?;
                    roots.add(certificate).map_err(|error| Error::Url(error.into()))?;
                }
            }
            None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        }
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Url(error.into()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// With the server of this name. The caller bounds the time.
    pub(super) async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        self.0.connect(name, stream).await
    }
}

/// The same for the connections that the redis crate opens by itself (the pool's).
pub(super) fn trusting(info: ConnectionInfo, ca: Option<Vec<u8>>) -> Result<ConnectionInfo, Error> {
    let client = Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: ca });
    client.map(|client| client.get_connection_info().clone()).map_err(|error| Error::Url(error.into()))
}
