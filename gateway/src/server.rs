//! Accepts connections and speaks HTTP/1.1 on them, until they become WebSockets or end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::http;
use crate::node::Node;

/// Connections that the kernel holds for us while we are busy: a reconnect storm comes at once.
const BACKLOG: u32 = 4_096;
/// How long to wait when the kernel has no descriptor left for us.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Binds the address; port 0 picks a free one.
///
/// # Errors
/// What the kernel says, e.g. that the address is in use.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts until `refuse` is cancelled; then the port is closed. Requests under way are answered.
pub async fn run(node: Arc<Node>, listener: TcpListener, refuse: CancellationToken) {
    let router = http::router(Arc::clone(&node));
    while let Some(accepted) = refuse.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, _peer)) => {
                let connection = serve(Arc::clone(&node), stream, router.clone(), refuse.clone());
                node.tasks.spawn(connection);
            }
            Err(error) => {
                tracing::warn!(%error, "no connection accepted; waiting a moment");
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
}

async fn serve(node: Arc<Node>, stream: TcpStream, router: axum::Router, refuse: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "peer gone before it said anything");
        return;
    }
    let settings = &node.settings;
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.handshake_timeout)
        .max_headers(settings.headers_max)
        .max_buf_size(settings.header_bytes_max)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended: Result<(), hyper::Error> = tokio::select! {
        ended = connection.as_mut() => ended,
        () = refuse.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "HTTP connection ended badly");
    }
}
