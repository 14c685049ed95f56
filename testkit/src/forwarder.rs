//! A TCP path between a client and a server that can be made to fail in the ways that networks do.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Forwards connections on a port of its own to a target, until told otherwise. Ends when dropped.
#[derive(Debug)]
pub struct Forwarder {
    port: u16,
    path: Arc<Path>,
}

#[derive(Debug)]
struct Path {
    target: watch::Sender<SocketAddr>,
    /// Whether what clients say is passed on, and what the server says.
    flowing: watch::Sender<Flow>,
    /// Ends the connections of now; replaced by a fresh one.
    cut: watch::Sender<CancellationToken>,
    /// Stops the connections of now for good, and leaves them open; replaced by a fresh one.
    freeze: watch::Sender<CancellationToken>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Flow {
    to_server: bool,
    to_client: bool,
    trickles: bool,
}

impl Flow {
    const BOTH: Self = Self { to_server: true, to_client: true, trickles: false };
    const NEITHER: Self = Self { to_server: false, to_client: false, trickles: false };
}

/// So much passes at once while it trickles, and so often.
const TRICKLE: (usize, Duration) = (16, Duration::from_millis(100));

impl Forwarder {
    /// Forwards to `target_port` on 127.0.0.1.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start(target_port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let path = Arc::new(Path {
            target: watch::Sender::new(SocketAddr::from((Ipv4Addr::LOCALHOST, target_port))),
            flowing: watch::Sender::new(Flow::BOTH),
            cut: watch::Sender::default(),
            freeze: watch::Sender::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        path.tasks.spawn(accept(listener, Arc::clone(&path)));
        Self { port, path }
    }

    /// The port on 127.0.0.1 to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a Redis behind it.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// From now on nothing is passed on, in either direction, and nothing is closed either. New
    /// connections are accepted, and no more comes of them.
    pub fn black_hole(&self) {
        self.path.flowing.send_replace(Flow::NEITHER);
    }

    /// From now on what clients say is passed on, and what the server answers is not.
    pub fn withhold_answers(&self) {
        self.path.flowing.send_replace(Flow { to_client: false, ..Flow::BOTH });
    }

    /// From now on 16 bytes are passed on ten times a second, in each direction of each connection.
    pub fn trickle(&self) {
        self.path.flowing.send_replace(Flow { trickles: true, ..Flow::BOTH });
    }

    /// Passes on what waits, and all that comes.
    pub fn heal(&self) {
        self.path.flowing.send_replace(Flow::BOTH);
    }

    /// New connections go to `target_port`; those that stand stay where they are.
    pub fn replace_target(&self, target_port: u16) {
        self.path.target.send_replace(SocketAddr::from((Ipv4Addr::LOCALHOST, target_port)));
    }

    /// From now on nothing is passed on by the connections that stand, and they are not closed either; new
    /// ones work.
    pub fn freeze(&self) {
        self.path.freeze.send_replace(CancellationToken::new()).cancel();
    }

    /// Closes the connections that stand.
    pub fn cut(&self) {
        self.path.cut.send_replace(CancellationToken::new()).cancel();
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.path.stop.cancel();
        self.cut();
    }
}

async fn accept(listener: TcpListener, path: Arc<Path>) {
    while let Some(Ok((client, _))) = path.stop.run_until_cancelled(listener.accept()).await {
        let cut = path.cut.borrow().clone();
        let connection = connect(client, Arc::clone(&path));
        path.tasks.spawn(async move { cut.run_until_cancelled(connection).await });
    }
}

async fn connect(client: TcpStream, path: Arc<Path>) {
    let mut flowing = path.flowing.subscribe();
    let (_, target) = (flowing.wait_for(|flow| flow.to_server).await.is_ok(), *path.target.borrow());
    let Ok(server) = TcpStream::connect(target).await else { return };
    for socket in [&client, &server] {
        // Best effort: without it the forwarder only adds delay.
        let _ = socket.set_nodelay(true);
    }
    let frozen = path.freeze.borrow().clone();
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    tokio::select! {
        () = pump(&mut from_client, &mut to_server, flowing.clone(), |flow| flow.to_server) => return,
        () = pump(&mut from_server, &mut to_client, flowing, |flow| flow.to_client) => return,
        () = frozen.cancelled() => {}
    }
    std::future::pending::<()>().await;
}

async fn pump(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    mut flowing: watch::Receiver<Flow>,
    flows: fn(&Flow) -> bool,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else { return };
        let mut rest = &buffer[..read];
        while !rest.is_empty() {
            let Ok(trickles) = flowing.wait_for(flows).await.map(|flow| flow.trickles) else { return };
            let (bytes, pause) = if trickles { TRICKLE } else { (rest.len(), Duration::ZERO) };
            let (now, later) = rest.split_at(bytes.min(rest.len()));
            if to.write_all(now).await.is_err() {
                return;
            }
            rest = later;
            if trickles {
                // What is healed meanwhile flows at once.
                let _ = timeout(pause, flowing.wait_for(|flow| !flow.trickles)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo_server(word: &'static [u8], tasks: &TaskTracker) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let clients = tasks.clone();
        tasks.spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                clients.spawn(async move {
                    let mut byte = [0];
                    while let Ok(1) = socket.read(&mut byte).await {
                        socket.write_all(word).await.unwrap();
                    }
                });
            }
        });
        port
    }

    async fn ask(socket: &mut TcpStream) -> Option<u8> {
        socket.write_all(b"?").await.ok()?;
        let answer = tokio::time::timeout(Duration::from_millis(300), socket.read_u8()).await;
        answer.ok()?.ok()
    }

    #[tokio::test]
    async fn a_path_swallows_heals_moves_and_breaks() {
        let tasks = TaskTracker::new();
        let (a, b) = (echo_server(b"a", &tasks).await, echo_server(b"b", &tasks).await);
        let path = Forwarder::start(a).await;
        let mut old = TcpStream::connect((Ipv4Addr::LOCALHOST, path.port())).await.unwrap();
        assert_eq!(ask(&mut old).await, Some(b'a'));
        path.black_hole();
        assert_eq!(ask(&mut old).await, None);
        path.heal();
        assert_eq!(old.read_u8().await.unwrap(), b'a', "the answer that waited");
        path.withhold_answers();
        assert_eq!(ask(&mut old).await, None);
        path.heal();
        assert_eq!(old.read_u8().await.unwrap(), b'a', "the answer that was withheld");
        path.replace_target(b);
        let mut new = TcpStream::connect((Ipv4Addr::LOCALHOST, path.port())).await.unwrap();
        assert_eq!((ask(&mut old).await, ask(&mut new).await), (Some(b'a'), Some(b'b')));
        path.freeze();
        assert_eq!((ask(&mut old).await, ask(&mut new).await), (None, None));
        let mut newest = TcpStream::connect((Ipv4Addr::LOCALHOST, path.port())).await.unwrap();
        assert_eq!(ask(&mut newest).await, Some(b'b'));
        path.cut();
        assert_eq!(ask(&mut newest).await, None);
    }

    #[tokio::test]
    async fn a_path_trickles_until_it_is_healed() {
        let tasks = TaskTracker::new();
        let path = Forwarder::start(echo_server(&[b'a'; 1_000], &tasks).await).await;
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, path.port())).await.unwrap();
        path.trickle();
        socket.write_all(b"?").await.unwrap();
        let mut piece = [0; 1_000];
        for _ in 0..3 {
            let read = socket.read(&mut piece).await.unwrap();
            assert!((1..1_000).contains(&read), "{read} bytes at once");
        }
        path.heal();
        socket.write_all(b"?").await.unwrap();
        socket.read_exact(&mut piece).await.unwrap();
    }
}
