//! Tokens, and clients that show them.

use std::fmt::Display;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::StreamExt;
use serde_json::{Value, json};
use signalbox_gateway::config::{Config, Secret};
use signalbox_identity::{Algorithm, SigningKey};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue, header};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::client::{Client, PATIENCE};
use crate::fixture::config;

/// What all nodes of the tests believe.
const SECRET: &str = "what the issuer of these tests signs with";

/// A node that believes the tests' tokens, and nobody without one.
pub(crate) fn believing() -> Config {
    let mut config = config(None);
    config.auth.secret = Some(Secret::new(SECRET));
    config
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A token with these claims; good for an hour unless they say otherwise.
pub(crate) fn token(claims: Value) -> String {
    signed_with(SECRET, claims)
}

pub(crate) fn signed_with(secret: &str, mut claims: Value) -> String {
    let claims = claims.as_object_mut().unwrap();
    claims.entry("exp").or_insert_with(|| json!(now() + 3_600));
    SigningKey::try_new(None, Algorithm::Hs256, secret.as_bytes()).unwrap().mint(claims).unwrap()
}

/// A token of a service of this tenant; without a list of capabilities it may do all but look after nodes.
pub(crate) fn service(tenant: &str, capabilities: Option<&[&str]>) -> String {
    let mut claims = json!({"tenant": tenant, "agent_type": "service", "agent_id": "asker"});
    if let Some(capabilities) = capabilities {
        claims["capabilities"] = json!(capabilities);
    }
    token(claims)
}

/// The header that shows a token to the HTTP API.
pub(crate) fn bearer(token: &str) -> (&'static str, String) {
    ("authorization", format!("Bearer {token}"))
}

/// A WebSocket whose handshake had these headers; the subprotocol that was chosen.
pub(crate) async fn open(
    address: impl Display,
    path: &str,
    headers: &[(&str, String)],
) -> (WebSocketStream<MaybeTlsStream<TcpStream>>, Option<String>) {
    let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
    for (name, value) in headers {
        let name = HeaderName::try_from(*name).unwrap();
        request.headers_mut().append(name, HeaderValue::try_from(value).unwrap());
    }
    let (ws, response) = timeout(PATIENCE, connect_async(request)).await.unwrap().unwrap();
    let chosen = response.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
    (ws, chosen.map(|chosen| chosen.to_str().unwrap().to_owned()))
}

/// A welcomed client that shows a token in the header.
pub(crate) async fn client(address: impl Display, path: &str, token: &str) -> Client {
    Client::welcomed(open(address, path, &[bearer(token)]).await.0).await
}

/// How a handshake with these headers was refused after the upgrade: code and reason.
pub(crate) async fn refusal(address: impl Display, path: &str, headers: &[(&str, String)]) -> (u16, String) {
    let (mut ws, _) = open(address, path, headers).await;
    match timeout(PATIENCE, ws.next()).await.unwrap() {
        Some(Ok(Message::Close(Some(frame)))) => (frame.code.into(), frame.reason.to_string()),
        other => panic!("expected a close frame, got {other:?}"),
    }
}
