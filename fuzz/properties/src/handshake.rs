//! What comes over a fresh connection: a request for a WebSocket, for the API, or nonsense.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use signalbox_gateway::Gateway;
use signalbox_gateway::config::Config;
use signalbox_gateway::http::router;
use signalbox_gateway::node::Node;
use signalbox_gateway::peer::{ProxyHeader, parse_proxy_header};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

/// Whatever comes is answered or refused within this time.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);
/// What the pipe holds; the client writes first and reads then.
const PIPE_BYTES: usize = 64 * 1024;

/// A node in memory that nobody else talks to.
struct Stage {
    runtime: Runtime,
    node: Arc<Node>,
    _gateway: Gateway,
}

fn stage() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(|| {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let config = Config { listen: ([127, 0, 0, 1], 0).into(), ..Config::default() };
        let gateway = runtime.block_on(async { Gateway::build(&config) }).expect("a node in memory");
        Stage { runtime, node: Arc::clone(gateway.node()), _gateway: gateway }
    })
}

/// The first bytes of a connection, until the client says no more.
///
/// # Panics
/// When something is answered that is not HTTP, or nothing within 20 s.
pub fn handshake(bytes: &[u8]) {
    if let ProxyHeader::Whole { bytes: told, .. } = parse_proxy_header(bytes) {
        assert!(told <= bytes.len(), "a proxy's header ends where the bytes do");
    }
    let Stage { runtime, node, .. } = stage();
    let answer = runtime.block_on(async { timeout(ANSWERED_WITHIN, exchange(node, bytes)).await });
    let answer = answer.expect("whatever comes is answered or refused");
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{}", String::from_utf8_lossy(&answer));
}

/// Serves them as the node's listener does; what is answered.
async fn exchange(node: &Arc<Node>, bytes: &[u8]) -> Vec<u8> {
    let (mut client, server) = duplex(PIPE_BYTES.max(bytes.len()));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(node.settings.handshake_timeout)
        .max_headers(node.settings.headers_max)
        .max_buf_size(node.settings.header_bytes_max)
        .serve_connection(TokioIo::new(server), TowerToHyperService::new(router(Arc::clone(node))))
        .with_upgrades();
    let mut answer = Vec::new();
    let talking = async {
        // An error means that the node has heard enough.
        let _ = client.write_all(bytes).await;
        let _ = client.shutdown().await;
        let _ = client.read_to_end(&mut answer).await;
    };
    let (_served, ()) = tokio::join!(connection, talking);
    answer
}
