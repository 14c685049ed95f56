//! TLS to a load balancer, whose certificate has to be one that this machine trusts.

use std::future::Future;
use std::io;

use signalbox_client::{Dial, Tcp};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::trust::connector;

/// Opens TCP, and TLS over it.
pub(super) struct Tls {
    tcp: Tcp,
    connector: TlsConnector,
}

impl Tls {
    /// With the certificates of this machine.
    pub(super) fn try_new() -> anyhow::Result<Self> {
        Ok(Self { tcp: Tcp::default(), connector: connector(None)? })
    }
}

impl Dial for Tls {
    type Stream = TlsStream<TcpStream>;

    const SCHEME: &'static str = "wss";

    fn dial(&mut self, host: &str, port: u16) -> impl Future<Output = io::Result<Self::Stream>> + Send {
        let (mut tcp, connector, host) = (self.tcp.clone(), self.connector.clone(), host.to_owned());
        async move {
            let bare = host.trim_matches(['[', ']']).to_owned();
            let name = ServerName::try_from(bare).map_err(io::Error::other)?;
            let stream = tcp.dial(&host, port).await?;
            connector.connect(name, stream).await
        }
    }
}
