//! The way to nodes, plain or over TLS, for commands: whom they believe, and WebSockets over the same.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Args;
use hyper::Uri;
use signalbox_client::Dial;

use super::serve::reachable;
use crate::config::Config;
use crate::outbound::{Server, Stream, Trusted, UnusableCertificates, open};

/// What names other authorities.
const FLAG: &str = "--ca-file";

/// Whom a command believes.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct CaArgs {
    /// For https and wss: believe certificates of the authorities in this PEM file alone, not those of the machine
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
}

impl CaArgs {
    /// Reads the file, or what the machine has.
    pub(super) fn trusted(&self) -> anyhow::Result<Trusted> {
        Trusted::authorities(self.path(), FLAG).map_err(|error| self.told(error))
    }

    /// That the file can be used, if one is named.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        self.ca_file.as_ref().map_or(Ok(()), |_| self.trusted().map(drop))
    }

    /// Besides, whoever shows the certificate in this file.
    pub(super) fn trusted_beside(&self, own: &Path) -> anyhow::Result<Trusted> {
        Trusted::certificate_or_authorities(own, self.path(), FLAG).map_err(|error| self.told(error))
    }

    fn path(&self) -> Option<&Path> {
        self.ca_file.as_deref()
    }

    fn told(&self, error: UnusableCertificates) -> anyhow::Error {
        let whose =
            self.path().map_or("this machine".to_owned(), |path| format!("{FLAG} {}", path.display()));
        anyhow!(error).context(format!("the certificates of {whose} can't be used"))
    }
}

/// The node that is configured here, asked where it listens. With TLS it has to show the certificate of its
/// configuration, which is believed whatever its name says: nobody reaches a node's own machine by the service's name.
pub(super) fn this_node(config: &Config) -> anyhow::Result<Server> {
    let scheme = if config.tls_files().is_some() { "https" } else { "http" };
    let address = format!("{scheme}://{}", reachable(config.listen)).parse()?;
    let own = || {
        config
            .tls_files()
            .map_or(Err(UnusableCertificates::None), |files| Trusted::certificate(&files.certificate))
    };
    Server::try_new(address, own).map_err(|error| anyhow!(error).context("tls.certificate"))
}

/// Opens what carries WebSockets: `ws`, or `wss` if somebody is to be trusted.
#[derive(Debug, Clone)]
pub(super) struct Dialer {
    trusted: Option<Trusted>,
}

impl Dialer {
    /// For addresses like this one. Reads certificates if it is one of `wss`.
    pub(super) fn try_new(url: &Uri, ca: &CaArgs) -> anyhow::Result<Self> {
        let is_encrypted = url.scheme_str() == Some("wss");
        Ok(Self { trusted: is_encrypted.then(|| ca.trusted()).transpose()? })
    }

    /// To those that are asked over HTTP in this way.
    pub(super) fn of(server: &Server) -> Self {
        Self { trusted: server.trusted().cloned() }
    }
}

impl Dial for Dialer {
    type Stream = Stream;

    fn scheme(&self) -> &'static str {
        if self.trusted.is_some() { "wss" } else { "ws" }
    }

    fn dial(&mut self, host: &str, port: u16) -> impl Future<Output = io::Result<Stream>> + Send {
        let (host, trusted) = (host.to_owned(), self.trusted.clone());
        async move { open(&host, port, trusted.as_ref()).await }
    }
}
