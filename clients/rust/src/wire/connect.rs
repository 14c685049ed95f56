//! From a URL to a welcomed connection, within one deadline.

use std::time::Duration;

use signalbox_protocol::Received;
use signalbox_protocol::control::Welcome;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::Error as SocketError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request, Response, Uri};

use super::{Frame, Wire, WireConfig};
use crate::dial::{Dial, Tcp};
use crate::error::ConnectError;

/// Characters of a refusal's body that an error carries.
const BODY_CHARS_MAX: usize = 300;

impl Wire {
    /// Connects and waits for the welcome.
    ///
    /// # Errors
    /// [`ConnectError`] when the node can't be reached, refuses, closes, or takes too long.
    pub async fn connect(config: &WireConfig) -> Result<(Self, Welcome), ConnectError> {
        Self::connect_over(&mut Tcp { local_address: config.local_address }, config).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// As [`Wire::connect`], over what `dialer` opens.
    ///
    /// # Errors
    /// As [`Wire::connect`].
    pub async fn connect_over<D: Dial<Stream = S>>(
        dialer: &mut D,
        config: &WireConfig,
    ) -> Result<(Self, Welcome), ConnectError> {
        let connecting = async {
            let (host, port) = address(&config.url, dialer.scheme())?;
            let unreachable =
                |source| ConnectError::Unreachable { address: format!("{host}:{port}"), source };
            let stream = dialer.dial(&host, port).await.map_err(unreachable)?;
            Self::upgrade(stream, config).await
        };
        timeout(config.connect_timeout, connecting)
            .await
            .map_err(|_| ConnectError::Timeout(config.connect_timeout))?
    }

    /// Upgrades `stream` to a WebSocket and waits for the welcome, for as long as that takes.
    pub(crate) async fn upgrade(stream: S, config: &WireConfig) -> Result<(Self, Welcome), ConnectError> {
        let upgrade = client_async_with_config(request(config)?, stream, Some(config.socket()));
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

/// Host and port of a URL.
fn address(url: &str, scheme: &'static str) -> Result<(String, u16), ConnectError> {
    let invalid = || ConnectError::InvalidUrl { url: url.to_owned(), scheme };
    let uri: Uri = url.parse().map_err(|_| invalid())?;
    if uri.scheme_str() != Some(scheme) {
        return Err(invalid());
    }
    let host = uri.host().ok_or_else(invalid)?.trim_matches(['[', ']']);
    let default_port = if scheme == "wss" { 443 } else { 80 };
    Ok((host.to_owned(), uri.port_u16().unwrap_or(default_port)))
}

fn request(config: &WireConfig) -> Result<Request<()>, ConnectError> {
    let request = config.url.as_str().into_client_request();
    let mut request = request.map_err(|error| ConnectError::Upgrade(Box::new(error)))?;
    if let Some(bearer) = &config.bearer {
        let shown = HeaderValue::try_from(format!("Bearer {}", bearer.0));
        let mut shown = shown.map_err(|_| ConnectError::InvalidToken)?;
        shown.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, shown);
    }
    Ok(request)
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
