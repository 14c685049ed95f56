//! A load balancer for TCP: one address for several servers, in turn; who can't be reached is passed over.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// A server that takes longer to accept is passed over.
const CONNECTS_WITHIN: Duration = Duration::from_secs(1);

/// Spreads connections to a port of its own over servers. Ends when dropped, with all its connections.
#[derive(Debug)]
pub struct Balancer {
    port: u16,
    _stop: DropGuard,
}

impl Balancer {
    /// Spreads over these ports on 127.0.0.1.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start(targets: Vec<u16>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(accept(listener, targets.into(), stop.clone(), tasks.clone()));
        Self { port, _stop: stop.drop_guard() }
    }

    /// The port on 127.0.0.1 to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }
}

async fn accept(listener: TcpListener, targets: Arc<[u16]>, stop: CancellationToken, tasks: TaskTracker) {
    let mut turn = 0_usize;
    while let Some(Ok((client, _))) = stop.run_until_cancelled(listener.accept()).await {
        let connection = forward(client, Arc::clone(&targets), turn);
        let stop = stop.clone();
        tasks.spawn(async move { stop.run_until_cancelled(connection).await });
        turn = turn.wrapping_add(1);
    }
}

/// Until either side ends. A client for whom there is no server is closed.
async fn forward(mut client: TcpStream, targets: Arc<[u16]>, turn: usize) {
    for offset in 0..targets.len() {
        let port = targets[turn.wrapping_add(offset) % targets.len()];
        let connecting = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let Ok(Ok(mut server)) = timeout(CONNECTS_WITHIN, connecting).await else { continue };
        for socket in [&client, &server] {
            // Best effort: without it the balancer only adds delay.
            let _ = socket.set_nodelay(true);
        }
        // An error is one side's end, which is what was waited for.
        let _ = copy_bidirectional(&mut client, &mut server).await;
        return;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn server(word: u8, tasks: &TaskTracker) -> (u16, CancellationToken) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (port, stop) = (listener.local_addr().unwrap().port(), CancellationToken::new());
        let stopped = stop.clone();
        tasks.spawn(async move {
            while let Some(Ok((mut socket, _))) = stopped.run_until_cancelled(listener.accept()).await {
                socket.write_all(&[word]).await.unwrap();
            }
        });
        (port, stop)
    }

    async fn answer(balancer: &Balancer) -> Option<u8> {
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, balancer.port())).await.unwrap();
        socket.read_u8().await.ok()
    }

    #[tokio::test]
    async fn servers_take_turns_and_one_that_is_gone_is_passed_over() {
        let tasks = TaskTracker::new();
        let ((a, stop_a), (b, stop_b)) = (server(b'a', &tasks).await, server(b'b', &tasks).await);
        let balancer = Balancer::start(vec![a, b]).await;
        let mut answers = Vec::new();
        for _ in 0..4 {
            answers.extend(answer(&balancer).await);
        }
        assert_eq!(answers, b"abab");
        stop_a.cancel();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, a)).await.is_ok() {
            tokio::task::yield_now().await;
        }
        assert_eq!((answer(&balancer).await, answer(&balancer).await), (Some(b'b'), Some(b'b')));
        stop_b.cancel();
        tasks.close();
        tasks.wait().await;
        assert_eq!(answer(&balancer).await, None);
    }
}
