//! Certificates made here, and clients that believe only these.

use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use signalbox_gateway::config;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::client::PATIENCE;

/// Somebody who vouches for servers.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Writes a fresh certificate for localhost and its key.
    pub(crate) fn issue(&self, certificate: &Path, key: &Path) {
        let own = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let signed = params.signed_by(&own, &self.0).unwrap();
        std::fs::write(key, own.serialize_pem()).unwrap();
        std::fs::write(certificate, signed.pem()).unwrap();
    }

    /// A connection to localhost, if it shows a certificate of this authority.
    pub(crate) async fn connect(&self, port: u16) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        timeout(PATIENCE, self.believer().connect(name, stream)).await.unwrap()
    }

    /// What a client needs that believes this authority alone.
    fn believer(&self) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }

    /// Writes its own certificate, for clients.
    pub(crate) fn write(&self, path: &Path) {
        std::fs::write(path, self.0.pem()).unwrap();
    }

    /// The settings of a node with a certificate of its own, in files of this name.
    pub(crate) fn serving(&self, dir: &Path, name: &str) -> config::Tls {
        let files = ["crt", "key"].map(|kind| dir.join(format!("{name}.{kind}")));
        self.issue(&files[0], &files[1]);
        let [certificate, key] = files.map(|file| Some(file.to_str().unwrap().to_owned()));
        config::Tls { certificate, key }
    }
}
