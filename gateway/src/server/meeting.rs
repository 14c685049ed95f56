//! Whoever has said something over a plain socket: a handshake has the short way in, all else goes to an HTTP server.

use std::future;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::first::Handshake;
use super::{Guest, Unread, speak_http, unread};
use crate::http::{count_answer, origin};
use crate::node::Node;
use crate::ws::upgrade;

/// A handshake that came whole is answered at once. All else is left to an HTTP server.
pub(super) async fn meet(
    node: &Arc<Node>,
    (stream, first): (TcpStream, Bytes),
    guest: Guest,
    router: axum::Router,
    refuse: CancellationToken,
) {
    let handshake = Handshake::parse(&first, &node.settings);
    let judged = handshake.map(|handshake| (origin::judge(node, None, &handshake.headers), handshake));
    let Some((Ok(page), handshake)) = judged else {
        let io = unread(node, stream, first);
        return Box::pin(speak_http(node, io, guest, router, refuse)).await;
    };
    let Guest { peer, seat, .. } = guest;
    drop((seat, router));
    match upgrade::open(node, stream, &handshake.asked(peer), handshake.leftover.clone()).await {
        Ok(()) => count_answer(node, StatusCode::SWITCHING_PROTOCOLS),
        Err((stream, mut refusal)) => {
            count_answer(node, refusal.status());
            if let Some(page) = page {
                origin::allow(refusal.headers_mut(), page);
            }
            Box::pin(refuse_with(refusal, unread(node, stream, first))).await;
        }
    }
}

/// Has an HTTP server tell a refusal, which is its connection's last answer.
async fn refuse_with(refusal: Response<Body>, io: TokioIo<Unread<TcpStream>>) {
    let refusal = Mutex::new(Some(refusal));
    let service = service_fn(|_request| {
        let answer = refusal.lock().unwrap_or_else(PoisonError::into_inner).take();
        future::ready(answer.ok_or("there is one answer"))
    });
    if let Err(error) = http1::Builder::new().serve_connection(io, service).await {
        tracing::debug!(%error, "gone before it was refused");
    }
}
