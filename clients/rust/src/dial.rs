//! How a client gets to a node: TCP, or whatever else carries bytes.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, lookup_host};

/// Opens the connections under a client's WebSockets. [`Tcp`] is the one that is used unless
/// [`Client::connect_over`](crate::Client::connect_over) names another, e.g. one that speaks TLS.
pub trait Dial: Send + 'static {
    /// What carries the bytes.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// What URLs have to begin with: `ws`, or `wss` if the stream is encrypted.
    fn scheme(&self) -> &'static str {
        "ws"
    }

    /// Opens a connection. It is dropped when it takes longer than the configured time.
    ///
    /// # Errors
    /// What the system says.
    fn dial(&mut self, host: &str, port: u16) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// Plain TCP.
#[derive(Debug, Clone, Default)]
pub struct Tcp {
    /// The address to connect from; any if `None`.
    pub local_address: Option<IpAddr>,
}

impl Dial for Tcp {
    type Stream = TcpStream;

    /// Tries the addresses of `host` in turn.
    async fn dial(&mut self, host: &str, port: u16) -> io::Result<TcpStream> {
        let mut failure = io::ErrorKind::NotFound.into();
        for address in lookup_host((host, port)).await? {
            match self.open(address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

impl Tcp {
    async fn open(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(local) = self.local_address {
            socket.bind((local, 0).into())?;
        }
        // A message is written whole; waiting for more to send with it would only delay it.
        socket.set_nodelay(true)?;
        socket.connect(address).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_small_message_is_not_held_back_and_the_source_address_is_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut tcp = Tcp { local_address: Some([127, 0, 0, 9].into()) };
        let stream = tcp.dial("127.0.0.1", listener.local_addr().unwrap().port()).await.unwrap();
        assert!(stream.nodelay().unwrap());
        assert_eq!(Some(stream.local_addr().unwrap().ip()), tcp.local_address);
    }
}
