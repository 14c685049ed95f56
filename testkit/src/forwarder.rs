//! A TCP path between a client and a server that can be made to fail in the ways that networks do.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::pump::{Towards, pump};

mod pump;

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
    /// The same, rudely.
    reset: watch::Sender<CancellationToken>,
    /// Stops the connections of now for good, and leaves them open; replaced by a fresh one.
    freeze: watch::Sender<CancellationToken>,
    burdens: Mutex<Burdens>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What is done to bytes that are passed on.
#[derive(Debug, Default)]
struct Burdens {
    slowness: Option<Slowness>,
    /// Bytes for clients, until one more ends its connection.
    until_cut: Option<usize>,
}

/// Each piece takes the latency, and by chance up to the jitter more.
#[derive(Debug)]
struct Slowness {
    latency: Duration,
    jitter: Duration,
    rng: fastrand::Rng,
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

    fn lets(self, towards: Towards) -> bool {
        match towards {
            Towards::Server => self.to_server,
            Towards::Client => self.to_client,
        }
    }
}

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
            reset: watch::Sender::default(),
            freeze: watch::Sender::default(),
            burdens: Mutex::default(),
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

    /// From now on what clients say is not passed on, and what the server says is. New connections are accepted, and
    /// the server hears of them when it is healed.
    pub fn withhold_questions(&self) {
        self.path.flowing.send_replace(Flow { to_server: false, ..Flow::BOTH });
    }

    /// From now on 16 bytes are passed on ten times a second, in each direction of each connection.
    pub fn trickle(&self) {
        self.path.flowing.send_replace(Flow { trickles: true, ..Flow::BOTH });
    }

    /// From now on every piece, in each direction, is passed on after the latency and up to the jitter more; pieces
    /// do not overtake each other. The same seed, with the same pieces, has the same delays.
    pub fn delay(&self, latency: Duration, jitter: Duration, seed: u64) {
        let rng = fastrand::Rng::with_seed(seed);
        self.path.burdens().slowness = Some(Slowness { latency, jitter, rng });
    }

    /// So many more bytes are passed on to clients, of all connections together; then the connection that is about
    /// to get the next one is closed, in the middle of whatever it is. The others, and new ones, go on.
    pub fn cut_after(&self, bytes: usize) {
        self.path.burdens().until_cut = Some(bytes);
    }

    /// Passes on what waits, and all that comes.
    pub fn heal(&self) {
        *self.path.burdens() = Burdens::default();
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

    /// Breaks the connections that stand: both sides see `ECONNRESET`, and what was under way is lost.
    pub fn reset(&self) {
        self.path.reset.send_replace(CancellationToken::new()).cancel();
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.path.stop.cancel();
        self.cut();
    }
}

impl Path {
    fn burdens(&self) -> MutexGuard<'_, Burdens> {
        self.burdens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Burdens {
    /// How long the next piece takes.
    fn delay(&mut self) -> Duration {
        let Some(Slowness { latency, jitter, rng }) = &mut self.slowness else { return Duration::ZERO };
        *latency + jitter.mul_f64(rng.f64())
    }

    /// How many of these bytes a client gets, and whether its connection is closed then.
    fn allow(&mut self, bytes: usize) -> (usize, bool) {
        match &mut self.until_cut {
            Some(left) if *left < bytes => (self.until_cut.take().unwrap_or_default(), true),
            Some(left) => {
                *left -= bytes;
                (bytes, false)
            }
            None => (bytes, false),
        }
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
    let reset = path.reset.borrow().clone();
    for socket in [&client, &server] {
        // Best effort: without it the forwarder only adds delay.
        let _ = socket.set_nodelay(true);
    }
    let frozen = path.freeze.borrow().clone();
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let carry = async {
        tokio::select! {
            () = pump(&mut from_client, &mut to_server, &path, Towards::Server) => return,
            () = pump(&mut from_server, &mut to_client, &path, Towards::Client) => return,
            () = frozen.cancelled() => {}
        }
        std::future::pending::<()>().await;
    };
    if reset.run_until_cancelled(carry).await.is_none() {
        for half in [to_client, to_server] {
            // Closed without lingering, a socket tells its peer that it was reset; an orderly end must not come first.
            half.as_ref().set_zero_linger().expect("an open socket takes the option");
            half.forget();
        }
    }
}

#[cfg(test)]
mod tests;
