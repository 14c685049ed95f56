//! A server for the tests of what stands in front of servers: it answers every request with its status and its word.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Ends when it is told to stop, or with its runtime.
pub(crate) struct Peer {
    pub(crate) port: u16,
    status: Arc<AtomicU16>,
    stop: CancellationToken,
}

impl Peer {
    /// It says 200.
    pub(crate) async fn start(word: char, tasks: &TaskTracker) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (status, stop) = (Arc::new(AtomicU16::new(200)), CancellationToken::new());
        let peer = Self { port, status: Arc::clone(&status), stop: stop.clone() };
        tasks.spawn(async move {
            while let Some(Ok((mut socket, _))) = stop.run_until_cancelled(listener.accept()).await {
                // Who is gone again needs no answer.
                let Ok(1..) = socket.read(&mut [0; 1_024]).await else { continue };
                let status = status.load(Ordering::Relaxed);
                let answer = format!("HTTP/1.1 {status} x\r\nConnection: close\r\n\r\n{word}");
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        });
        peer
    }

    pub(crate) fn says(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    /// Returns when nobody can connect any more.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }
}

/// The words of those who answer the next four requests to a port; `-` where nobody does.
pub(crate) async fn answers(port: u16) -> String {
    let mut words = String::new();
    for _ in 0..4 {
        words.push(answer(port).await.unwrap_or('-'));
    }
    words
}

async fn answer(port: u16) -> Option<char> {
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
    socket.write_all(b"GET / HTTP/1.0\r\n\r\n").await.ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.ok()?;
    answer.chars().last()
}
