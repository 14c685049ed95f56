//! From a URL to a welcomed connection, within one deadline.

use std::net::SocketAddr;
use std::time::Duration;

use signalbox_protocol::Received;
use signalbox_protocol::control::Welcome;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::Error as SocketError;
use tokio_tungstenite::tungstenite::http::{Response, Uri};

use super::{Frame, Wire, WireConfig};
use crate::error::ConnectError;

/// Characters of a refusal's body that an error carries.
const BODY_CHARS_MAX: usize = 300;

impl Wire {
    /// Connects and waits for the welcome.
    ///
    /// # Errors
    /// [`ConnectError`] when the node can't be reached, refuses, closes, or takes too long.
    pub async fn connect(config: &WireConfig) -> Result<(Self, Welcome), ConnectError> {
        let connecting = async {
            let invalid = || ConnectError::InvalidUrl { url: config.url.clone() };
            let uri: Uri = config.url.parse().map_err(|_| invalid())?;
            if uri.scheme_str() != Some("ws") {
                return Err(invalid());
            }
            let host = uri.host().ok_or_else(invalid)?.trim_matches(['[', ']']);
            let stream = open(host, uri.port_u16().unwrap_or(80), config).await?;
            Self::upgrade(stream, config).await
        };
        timeout(config.connect_timeout, connecting)
            .await
            .map_err(|_| ConnectError::Timeout(config.connect_timeout))?
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Upgrades `stream` to a WebSocket and waits for the welcome, for as long as that takes.
    pub(crate) async fn upgrade(stream: S, config: &WireConfig) -> Result<(Self, Welcome), ConnectError> {
        let upgrade = client_async_with_config(config.url.as_str(), stream, Some(config.socket()));
        // Boxed: the handshake's state is large, and would stay part of the caller's.
        let (socket, _) = Box::pin(upgrade).await.map_err(refusal)?;
        let mut wire = Self::new(socket, config.write_timeout);
        let welcome = wire.welcome().await?;
        Ok((wire, welcome))
    }

    async fn welcome(&mut self) -> Result<Welcome, ConnectError> {
        loop {
            match self.next().await? {
                Frame::Heartbeat => {}
                Frame::Binary(_) => return Err(ConnectError::NoWelcome(None)),
                Frame::Text(text) => {
                    let unreadable = |error| ConnectError::NoWelcome(Some(error));
                    let first: Received = serde_json::from_str(&text).map_err(unreadable)?;
                    if first.message_type != "system:welcome" {
                        return Err(ConnectError::NoWelcome(None));
                    }
                    return first.data().map_err(unreadable);
                }
            }
        }
    }
}

/// Tries the addresses of `host` in turn.
async fn open(host: &str, port: u16, config: &WireConfig) -> Result<TcpStream, ConnectError> {
    let unreachable = |source| ConnectError::Unreachable { address: format!("{host}:{port}"), source };
    let mut failure = std::io::ErrorKind::NotFound.into();
    for address in lookup_host((host, port)).await.map_err(unreachable)? {
        match open_address(address, config).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(unreachable(failure))
}

async fn open_address(address: SocketAddr, config: &WireConfig) -> std::io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(local) = config.local_address {
        socket.bind((local, 0).into())?;
    }
    // A message is written whole; waiting for more to send with it would only delay it.
    socket.set_nodelay(true)?;
    socket.connect(address).await
}

fn refusal(error: SocketError) -> ConnectError {
    match error {
        SocketError::Http(response) => {
            let body = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            ConnectError::Refused {
                status: response.status().as_u16(),
                retry_after: retry_after(&response),
                body: body.trim().chars().take(BODY_CHARS_MAX).collect(),
            }
        }
        other => ConnectError::Upgrade(Box::new(other)),
    }
}

fn retry_after<B>(response: &Response<B>) -> Option<Duration> {
    let seconds = response.headers().get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_small_message_is_not_held_back_and_the_source_address_is_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut config = WireConfig::new("ws://node/ws");
        config.local_address = Some([127, 0, 0, 9].into());
        let stream = open_address(listener.local_addr().unwrap(), &config).await.unwrap();
        assert!(stream.nodelay().unwrap());
        assert_eq!(stream.local_addr().unwrap().ip(), config.local_address.unwrap());
    }
}
