//! The answer that makes a WebSocket of an HTTP connection: 101, as RFC 6455 (4.2.2) has it.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The subprotocol; echoed if offered, not needed.
const SUBPROTOCOL: &str = "signalbox.v1.json";

/// The 101 for one client.
#[derive(Debug)]
pub(super) struct Switching {
    accept: String,
    has_subprotocol: bool,
}

impl Switching {
    /// For whoever sent this key among these headers.
    pub(super) fn new(headers: &HeaderMap, key: &[u8]) -> Self {
        let has_subprotocol = has_token(headers, header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL);
        Self { accept: derive_accept_key(key), has_subprotocol }
    }

    /// As an HTTP server sends it.
    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        let accept = HeaderValue::try_from(self.accept).expect("base64 is a header value");
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        if self.has_subprotocol {
            headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
        }
        response
    }

    /// As bytes.
    pub(super) fn into_bytes(self) -> Bytes {
        let mut head = Vec::with_capacity(192);
        head.extend_from_slice(
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n",
        );
        let mut line = |name: &str, value: &str| {
            [name, ": ", value, "\r\n"].iter().for_each(|part| head.extend_from_slice(part.as_bytes()));
        };
        line("sec-websocket-accept", &self.accept);
        if self.has_subprotocol {
            line("sec-websocket-protocol", SUBPROTOCOL);
        }
        head.extend_from_slice(b"\r\n");
        head.into()
    }
}

/// Whether a header that is a list names the token.
pub(super) fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 6455, 1.3.
    const KEY: &[u8] = b"dGhlIHNhbXBsZSBub25jZQ==";

    fn offering(subprotocols: &'static str) -> Switching {
        let mut headers = HeaderMap::new();
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocols));
        Switching::new(&headers, KEY)
    }

    #[test]
    fn bytes_and_response_are_the_same_answer() {
        for subprotocols in ["other", "other, signalbox.v1.json"] {
            let bytes = offering(subprotocols).into_bytes();
            let mut lines = [httparse::EMPTY_HEADER; 8];
            let mut parsed = httparse::Response::new(&mut lines);
            assert_eq!(parsed.parse(&bytes).unwrap(), httparse::Status::Complete(bytes.len()));
            let response = offering(subprotocols).into_response();
            assert_eq!(parsed.code, Some(response.status().as_u16()));
            let told: Vec<(&str, &[u8])> =
                parsed.headers.iter().map(|line| (line.name, line.value)).collect();
            let expected: Vec<(&str, &[u8])> =
                response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
            assert_eq!(told, expected);
        }
    }

    #[test]
    fn the_key_is_answered_as_the_rfc_does() {
        let response = offering("signalbox.v1.json").into_response();
        assert_eq!(response.headers()[header::SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(response.headers()[header::SEC_WEBSOCKET_PROTOCOL], SUBPROTOCOL);
    }
}
