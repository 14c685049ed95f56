//! Whom a server's certificate has to be of, and what to say when it is not.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use thiserror::Error;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WantsClientCert;
use tokio_rustls::rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, ConfigBuilder, Error as TlsError, InvalidMessage, RootCertStore,
    WantsVerifier,
};

use self::own::Own;

mod own;

/// Whom a server's certificate has to be of. Cloning shares it.
#[derive(Clone)]
pub struct Trusted {
    connector: TlsConnector,
    /// What names other authorities: a flag or a setting.
    named_by: &'static str,
}

/// Certificates that nobody could be believed by.
#[derive(Debug, Error)]
pub enum UnusableCertificates {
    /// The file can't be read.
    #[error("can't be read as certificates in PEM")]
    File(#[source] pem::Error),
    /// One of its certificates is none.
    #[error("holds something that is no certificate")]
    Certificate(#[source] TlsError),
    /// There are none.
    #[error("gives no certificate")]
    None,
    /// They vouch for nobody.
    #[error("can't be used to judge others by")]
    Verifier(#[from] VerifierBuilderError),
    /// TLS itself can't be used.
    #[error("TLS can't be used")]
    Tls(#[source] TlsError),
}

/// Why a server is not believed.
#[derive(Debug, Error)]
enum Refused {
    #[error("its certificate is of an authority that is not trusted here: name that authority's with {0}")]
    Authority(&'static str),
    #[error("{0}: ask it by a name that is in its certificate")]
    Name(CertificateError),
    #[error("it shows another certificate than the one in its file")]
    NotOwn,
    #[error("it does not speak TLS, or a proxy between does not")]
    InClear,
    #[error("it is not believed: {0}")]
    Other(TlsError),
}

impl Trusted {
    /// The authorities in the file, in PEM, or those of the machine without one. `named_by` is what a user names
    /// such a file with, for advice.
    ///
    /// # Errors
    /// [`UnusableCertificates`].
    pub fn authorities(ca_file: Option<&Path>, named_by: &'static str) -> Result<Self, UnusableCertificates> {
        let verifier = authorities(ca_file)?;
        Ok(Self::of(builder()?.with_webpki_verifier(verifier), named_by))
    }

    /// Only who shows the very certificate that is first in this file; neither its name nor its date are asked for.
    ///
    /// # Errors
    /// [`UnusableCertificates`].
    pub fn certificate(file: &Path) -> Result<Self, UnusableCertificates> {
        Self::own(Own::try_new(file, None)?, "")
    }

    /// Who shows that certificate, and whom the authorities vouch for.
    ///
    /// # Errors
    /// [`UnusableCertificates`].
    pub fn certificate_or_authorities(
        file: &Path,
        ca_file: Option<&Path>,
        named_by: &'static str,
    ) -> Result<Self, UnusableCertificates> {
        Self::own(Own::try_new(file, Some(authorities(ca_file)?))?, named_by)
    }

    fn own(own: Own, named_by: &'static str) -> Result<Self, UnusableCertificates> {
        let builder = builder()?.dangerous().with_custom_certificate_verifier(Arc::new(own));
        Ok(Self::of(builder, named_by))
    }

    fn of(builder: ConfigBuilder<ClientConfig, WantsClientCert>, named_by: &'static str) -> Self {
        Self { connector: TlsConnector::from(Arc::new(builder.with_no_client_auth())), named_by }
    }

    pub(super) fn connector(&self) -> &TlsConnector {
        &self.connector
    }

    /// The same error, if it is one of the system's; else what to do about it.
    pub(super) fn explained(&self, error: io::Error) -> io::Error {
        let kind = error.kind();
        let Some(refused) = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) else {
            return error;
        };
        io::Error::new(kind, self.refused(refused))
    }

    fn refused(&self, error: &TlsError) -> Refused {
        match error {
            // A bad signature is that of an authority which was made anew under its old name.
            TlsError::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            ) => Refused::Authority(self.named_by),
            TlsError::InvalidCertificate(
                name @ (CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }),
            ) => Refused::Name(name.clone()),
            TlsError::InvalidCertificate(CertificateError::ApplicationVerificationFailure) => Refused::NotOwn,
            TlsError::InvalidMessage(InvalidMessage::InvalidContentType) => Refused::InClear,
            other => Refused::Other(other.clone()),
        }
    }
}

impl fmt::Debug for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trusted").finish_non_exhaustive()
    }
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, UnusableCertificates> {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(UnusableCertificates::Tls)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn authorities(ca_file: Option<&Path>) -> Result<Arc<WebPkiServerVerifier>, UnusableCertificates> {
    let roots = Arc::new(roots(ca_file)?);
    Ok(WebPkiServerVerifier::builder_with_provider(roots, provider()).build()?)
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, UnusableCertificates> {
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
