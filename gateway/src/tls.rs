//! TLS for those without a proxy: the certificate, and its renewal while sockets stay open.
//!
//! The files are looked at every few seconds, and at once on SIGHUP. New handshakes get the new certificate; who is
//! connected keeps the keys that were agreed on. Files that can't be used change nothing but a counter and a warning.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use thiserror::Error;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

use crate::files::Watch;
use crate::node::Node;

/// Where certificate and key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

/// Why a node can't serve TLS with its files.
#[derive(Debug, Error)]
pub enum UnusableTls {
    /// A file can't be read, or is no PEM.
    #[error("{path} can't be read as PEM")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: pem::Error,
    },
    /// There is no certificate in the file.
    #[error("{0} holds no certificate")]
    NoCertificate(PathBuf),
    /// Certificate and key don't belong together, or TLS can't use them.
    #[error("certificate and key can't be used")]
    Unfit(#[source] rustls::Error),
}

/// What a node serves TLS with; clones share it.
#[derive(Clone)]
pub struct Tls {
    files: TlsFiles,
    watch: Watch,
    current: Arc<ArcSwap<ServerConfig>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads certificate and key.
    ///
    /// # Errors
    /// [`UnusableTls`].
    pub fn load(files: TlsFiles) -> Result<Self, UnusableTls> {
        let watch = Watch::begin(vec![files.certificate.clone(), files.key.clone()]);
        let current = Arc::new(ArcSwap::from_pointee(server_config(&files)?));
        Ok(Self { files, watch, current })
    }

    /// What takes the next handshake.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }

    /// Reads both again; what was read before stays if they can't be used.
    ///
    /// # Errors
    /// [`UnusableTls`].
    pub fn reload(&self) -> Result<(), UnusableTls> {
        self.current.store(Arc::new(server_config(&self.files)?));
        Ok(())
    }
}

fn server_config(files: &TlsFiles) -> Result<ServerConfig, UnusableTls> {
    let in_file = |path: &Path| {
        let path = path.to_owned();
        |source| UnusableTls::File { path, source }
    };
    let chain = CertificateDer::pem_file_iter(&files.certificate).map_err(in_file(&files.certificate))?;
    let chain: Vec<_> = chain.collect::<Result<_, _>>().map_err(in_file(&files.certificate))?;
    if chain.is_empty() {
        return Err(UnusableTls::NoCertificate(files.certificate.clone()));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(in_file(&files.key))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(UnusableTls::Unfit)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Reads the files again whenever they change and on SIGHUP, until the node halts.
pub async fn keep_fresh(node: Arc<Node>, tls: Tls) {
    let keeping = tls.watch.clone().keep(|| note(&node, tls.reload()));
    node.halt.run_until_cancelled(keeping).await;
}

fn note(node: &Node, reloaded: Result<(), UnusableTls>) {
    let result = match reloaded {
        Ok(()) => {
            tracing::info!("new handshakes get the certificate that was just read");
            "read"
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(%error, cause, "the certificate stays what it was");
            "unusable"
        }
    };
    node.metrics.certificates.with_label_values(&[result]).inc();
}
