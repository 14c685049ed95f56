//! A load balancer for TCP: one address for several servers, in turn. Who says that it is not ready, or can't be
//! reached, is passed over.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// A server that takes longer to accept is passed over.
const CONNECTS_WITHIN: Duration = Duration::from_secs(1);

/// How often each server is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// A server that takes longer to answer is not ready.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// Spreads connections to a port of its own over servers. Ends when dropped, with all its connections.
#[derive(Debug)]
pub struct Balancer {
    port: u16,
    _stop: DropGuard,
}

#[derive(Debug)]
struct Server {
    port: u16,
    is_ready: AtomicBool,
}

impl Balancer {
    /// Spreads over these ports on 127.0.0.1. Who does not answer `GET /readyz` with 200 gets nobody, as long as
    /// another does; it is asked four times a second.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start(targets: Vec<u16>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let server = |port| Server { port, is_ready: AtomicBool::new(true) };
        let servers: Arc<[Server]> = targets.into_iter().map(server).collect();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        for number in 0..servers.len() {
            let asking = ask(Arc::clone(&servers), number);
            let stop = stop.clone();
            tasks.spawn(async move { stop.run_until_cancelled(asking).await });
        }
        tasks.spawn(accept(listener, servers, stop.clone(), tasks.clone()));
        Self { port, _stop: stop.drop_guard() }
    }

    /// The port on 127.0.0.1 to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Server {
    async fn connect(&self) -> Option<TcpStream> {
        let connecting = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port)));
        timeout(CONNECTS_WITHIN, connecting).await.ok()?.ok()
    }

    async fn says_ready(&self) -> Option<bool> {
        let mut socket = self.connect().await?;
        socket.write_all(b"GET /readyz HTTP/1.0\r\n\r\n").await.ok()?;
        let mut status = [0; "HTTP/1.1 200".len()];
        socket.read_exact(&mut status).await.ok()?;
        Some(status.ends_with(b" 200"))
    }
}

/// Asks one server again and again.
async fn ask(servers: Arc<[Server]>, number: usize) {
    let server = &servers[number];
    loop {
        let says = timeout(ANSWERS_WITHIN, server.says_ready()).await;
        server.is_ready.store(says == Ok(Some(true)), Ordering::Relaxed);
        sleep(ASK_EVERY).await;
    }
}

async fn accept(listener: TcpListener, servers: Arc<[Server]>, stop: CancellationToken, tasks: TaskTracker) {
    let mut turn = 0_usize;
    while let Some(Ok((client, _))) = stop.run_until_cancelled(listener.accept()).await {
        let connection = forward(client, Arc::clone(&servers), turn);
        let stop = stop.clone();
        tasks.spawn(async move { stop.run_until_cancelled(connection).await });
        turn = turn.wrapping_add(1);
    }
}

/// Until either side ends. A client for whom there is no server is closed.
async fn forward(mut client: TcpStream, servers: Arc<[Server]>, turn: usize) {
    for server in in_turn(&servers, turn) {
        let Some(mut stream) = server.connect().await else { continue };
        for socket in [&client, &stream] {
            // Best effort: without it the balancer only adds delay.
            let _ = socket.set_nodelay(true);
        }
        // An error is one side's end, which is what was waited for.
        let _ = copy_bidirectional(&mut client, &mut stream).await;
        return;
    }
}

/// Whom to try, in which order: the others only after those that are ready.
fn in_turn(servers: &[Server], turn: usize) -> Vec<&Server> {
    let (mut ready, mut others): (Vec<&Server>, Vec<&Server>) =
        servers.iter().partition(|server| server.is_ready.load(Ordering::Relaxed));
    for group in [&mut ready, &mut others] {
        let first = turn % group.len().max(1);
        group.rotate_left(first);
    }
    ready.append(&mut others);
    ready
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eventually;
    use crate::peer::{Peer, answers};

    const SOON: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn servers_take_turns_and_one_that_is_gone_is_passed_over() {
        let tasks = TaskTracker::new();
        let (a, b) = (Peer::start('a', &tasks).await, Peer::start('b', &tasks).await);
        let balancer = Balancer::start(vec![a.port, b.port]).await;
        eventually("they take turns", SOON, async || answers(balancer.port()).await == "abab").await;
        a.stop().await;
        assert_eq!(answers(balancer.port()).await, "bbbb");
        b.stop().await;
        assert_eq!(answers(balancer.port()).await, "----");
    }

    #[tokio::test]
    async fn who_is_not_ready_gets_nobody_as_long_as_another_is() {
        let tasks = TaskTracker::new();
        let (a, b) = (Peer::start('a', &tasks).await, Peer::start('b', &tasks).await);
        let balancer = Balancer::start(vec![a.port, b.port]).await;
        a.says(503);
        eventually("b gets all", SOON, async || answers(balancer.port()).await == "bbbb").await;
        b.says(503);
        eventually("both get some", SOON, async || answers(balancer.port()).await.contains('a')).await;
        a.says(200);
        eventually("a gets all", SOON, async || answers(balancer.port()).await == "aaaa").await;
    }
}
