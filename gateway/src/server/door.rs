//! The door: accepts sockets, and seats them in turn.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::serve;
use crate::admission::{Queue, Seat, retry_after_seconds};
use crate::http;
use crate::limits::network_of;
use crate::node::Node;

/// For each seat so many may wait: what the kernel's queue would hold.
const WAITING_PER_SEAT: usize = 8;
/// How long to wait when the kernel has no descriptor left for us.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// A socket that was accepted, and where it came from.
pub(super) struct Newcomer {
    pub(super) stream: TcpStream,
    pub(super) address: IpAddr,
}

/// Accepts until `refuse` is cancelled; then the port is closed. Requests under way are answered.
pub async fn run(node: Arc<Node>, listener: TcpListener, refuse: CancellationToken) {
    let queue = Queue::new(node.lobby.seats().saturating_mul(WAITING_PER_SEAT));
    let router = http::router(Arc::clone(&node));
    let mut door = Door { node, queue, router, refuse: refuse.clone() };
    let _ = refuse.run_until_cancelled(door.keep(listener)).await;
}

/// Counts a newcomer from `address`; one too many is told so.
pub(super) fn may_come(node: &Node, stream: &TcpStream, address: IpAddr) -> bool {
    let may = node.limits.arrive(address).is_ok();
    if !may {
        turn_away(node, stream, "429 Too Many Requests");
    }
    may
}

/// Tells somebody of whom nothing has been read to come back later, as far as its socket takes that at once.
fn turn_away(node: &Node, stream: &TcpStream, status: &str) {
    if node.settings.tls.is_none() {
        let seconds = retry_after_seconds();
        let refusal = format!(
            "HTTP/1.1 {status}\r\nRetry-After: {seconds}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        let _ = stream.try_write(refusal.as_bytes());
    }
}

struct Door {
    node: Arc<Node>,
    queue: Queue<Newcomer>,
    router: axum::Router,
    refuse: CancellationToken,
}

impl Door {
    async fn keep(&mut self, listener: TcpListener) {
        let node = Arc::clone(&self.node);
        loop {
            let full_until = self.seat_who_can();
            node.lobby.note_waiting(self.queue.len());
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, address)) => self.accept(stream, address.ip().to_canonical()),
                    Err(error) => {
                        tracing::warn!(%error, "no connection accepted; waiting a moment");
                        sleep(ACCEPT_RETRY).await;
                    }
                },
                () = node.lobby.freed(full_until.unwrap_or_else(Instant::now)), if full_until.is_some() => {}
            }
        }
    }

    fn accept(&mut self, stream: TcpStream, address: IpAddr) {
        if !self.node.settings.proxies.trusts(address) && !may_come(&self.node, &stream, address) {
            return;
        }
        if let Some(last) = self.queue.push(network_of(address), Newcomer { stream, address }) {
            self.node.metrics.sockets_dropped.inc();
            turn_away(&self.node, &last.stream, "503 Service Unavailable");
        }
    }

    /// Seats who waits as far as there is room; until when there is none, if somebody goes on waiting.
    fn seat_who_can(&mut self) -> Option<Instant> {
        loop {
            let network = self.queue.turn(self.node.lobby.crowd())?;
            let (seat, sent_away) = match self.node.lobby.enter(network) {
                Ok(entered) => entered,
                Err(full_until) => return Some(full_until),
            };
            self.node.metrics.sockets_dropped.inc_by(sent_away.into());
            let newcomer = self.queue.pop(network)?;
            self.serve(newcomer, seat);
        }
    }

    fn serve(&self, newcomer: Newcomer, seat: Seat) {
        let (node, refuse) = (Arc::clone(&self.node), self.refuse.clone());
        self.node.tasks.spawn(serve(node, (newcomer, seat), self.router.clone(), refuse));
    }
}
