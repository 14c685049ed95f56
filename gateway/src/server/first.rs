//! What comes first over a plain socket. Nearly always it is the handshake of a WebSocket, whole in one read: that one
//! is understood here, since an HTTP server and a router in between are a third of what a newcomer costs a node. Everything else, and
//! whatever is not in the simplest form, is left to them.

use std::cell::RefCell;
use std::io;

use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Version};
use bytes::Bytes;
use tokio::net::TcpStream;

use crate::node::Settings;
use crate::peer::Peer;
use crate::ws::stream::try_read;
use crate::ws::upgrade::Asked;

/// Heads of handshakes are smaller, with most tokens.
const BYTES_MAX: usize = 4_096;
/// What a browser sends behind a proxy is half as many.
const HEADERS_MAX: usize = 32;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; BYTES_MAX].into_boxed_slice());
}

/// Waits for the first bytes; none: the peer has ended.
pub(super) async fn read(stream: &TcpStream) -> io::Result<Bytes> {
    loop {
        stream.readable().await?;
        let read = SCRATCH.with_borrow_mut(|scratch| {
            try_read(stream, scratch).map(|got| Bytes::copy_from_slice(&scratch[..got]))
        });
        match read {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}

/// A request that wants to become a WebSocket. Not yet looked at: who wants that, and whether it may.
#[derive(Debug)]
pub(super) struct Handshake {
    target: PathAndQuery,
    pub(super) headers: HeaderMap,
    /// What came behind it.
    pub(super) leftover: Bytes,
}

impl Handshake {
    /// One of HTTP/1.1 that is whole and within the node's bounds; `None`: something else, or in another form.
    pub(super) fn parse(bytes: &Bytes, settings: &Settings) -> Option<Self> {
        let mut lines = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut lines[..settings.headers_max.min(HEADERS_MAX)]);
        let httparse::Status::Complete(length) = request.parse(bytes).ok()? else { return None };
        if request.method != Some("GET") || request.version != Some(1) || length > settings.header_bytes_max {
            return None;
        }
        let target = request.path.filter(|target| target.starts_with("/ws"))?;
        let target = PathAndQuery::from_maybe_shared(bytes.slice_ref(target.as_bytes())).ok()?;
        namespace(target.path())?;
        let mut headers = HeaderMap::with_capacity(request.headers.len());
        for line in request.headers {
            let value = HeaderValue::from_maybe_shared(bytes.slice_ref(line.value)).ok()?;
            headers.append(HeaderName::from_bytes(line.name.as_bytes()).ok()?, value);
        }
        let has_body = headers.contains_key("content-length") || headers.contains_key("transfer-encoding");
        let leftover = bytes.slice(length..);
        (headers.contains_key("upgrade") && !has_body).then_some(Self { target, headers, leftover })
    }

    /// What it says, to a node at the other end of whose socket is `peer`.
    pub(super) fn asked(&self, peer: Peer) -> Asked<'_> {
        Asked {
            namespace: namespace(self.target.path()).flatten(),
            query: self.target.query().unwrap_or_default(),
            headers: &self.headers,
            version: Version::HTTP_11,
            peer: Some(peer),
        }
    }
}

/// What the path of a socket names; the outer `None`: it is no such path, or one that needs decoding.
fn namespace(path: &str) -> Option<Option<&str>> {
    let rest = path.strip_prefix("/ws")?;
    if rest.is_empty() {
        return Some(None);
    }
    let name = rest.strip_prefix('/')?;
    let is_plain = !name.is_empty() && name != "stats" && !name.contains(['/', '%']);
    is_plain.then_some(Some(name))
}

#[cfg(test)]
#[path = "first_tests.rs"]
mod tests;
