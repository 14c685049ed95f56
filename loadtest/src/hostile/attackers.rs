//! So many hostile clients at once, each with one connection after the other, until they are told to stop.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::ending::{Ending, Heard};
use super::{Attack, handshake};

/// From one connection to the next.
const REST: Duration = Duration::from_millis(20);
/// A connection that has nothing more to say is watched for so long.
const WATCHED: Duration = Duration::from_millis(500);
/// How long the way in may take.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
/// What the system keeps for somebody who never reads.
const UNREAD_BYTES: u32 = 4_096;
/// Where they come from, so that limits by address tell them from those who measure.
const SOURCE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 66)), 0);
/// Less important than those who measure.
const NICENESS: i32 = 19;

/// How often each ending was met.
pub(crate) type Endings = BTreeMap<Ending, u64>;

/// Hostile clients at work.
#[derive(Debug)]
pub(crate) struct Attackers {
    stop: CancellationToken,
    thread: JoinHandle<io::Result<Endings>>,
}

impl Attackers {
    /// Lets `count` of them loose on `address`.
    pub(crate) fn start(attack: &Attack, address: &str, count: usize) -> Self {
        let stop = CancellationToken::new();
        let (attack, address, stopping) = (attack.clone(), address.to_owned(), stop.clone());
        let thread = std::thread::spawn(move || {
            // Where it may not be changed they are as important as the others.
            let _ = rustix::process::nice(NICENESS);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            Ok(LocalSet::new().block_on(&runtime, all(attack, address, count, stopping)))
        });
        Self { stop, thread }
    }

    /// Stops them; how their connections ended.
    pub(crate) async fn stop(self) -> anyhow::Result<Endings> {
        self.stop.cancel();
        let ended = tokio::task::spawn_blocking(|| self.thread.join()).await?;
        ended.ok().context("the attackers' thread panicked")?.context("the attackers could not start")
    }
}

async fn all(attack: Attack, address: String, count: usize, stop: CancellationToken) -> Endings {
    let mut attackers = JoinSet::new();
    for _ in 0..count {
        attackers.spawn_local(one(attack.clone(), address.clone(), stop.clone()));
    }
    let mut endings = Endings::new();
    for of_one in attackers.join_all().await {
        for (ending, count) in of_one {
            *endings.entry(ending).or_default() += count;
        }
    }
    endings
}

async fn one(attack: Attack, address: String, stop: CancellationToken) -> Endings {
    let mut endings = Endings::new();
    while !stop.is_cancelled() {
        // Who can't connect has attacked nobody, and whom we stopped was not parted with.
        if let Ok(Some(ending)) = attempt(&attack, &address, &stop).await {
            *endings.entry(ending).or_default() += 1;
        }
        stop.run_until_cancelled(sleep(REST)).await;
    }
    endings
}

async fn attempt(attack: &Attack, address: &str, stop: &CancellationToken) -> io::Result<Option<Ending>> {
    let socket = TcpSocket::new_v4()?;
    if !attack.reads {
        // What the system would read for it is to end up with the node.
        socket.set_recv_buffer_size(UNREAD_BYTES)?;
    }
    socket.bind(SOURCE)?;
    let address = address.parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut stream = socket.connect(address).await?;
    let mut heard = Heard::default();
    if attack.upgrades {
        timeout(HANDSHAKE_WITHIN, upgrade(&mut stream, &mut heard)).await??;
    }
    let (reader, writer) = stream.into_split();
    tokio::select! {
        () = listen(reader, &mut heard, attack.reads) => Ok(Some(heard.ending())),
        () = speak(attack, writer) => Ok(Some(Ending::Open)),
        () = stop.cancelled() => Ok(attack.ends.contains(&Ending::Open).then_some(Ending::Open)),
    }
}

async fn upgrade(stream: &mut TcpStream, heard: &mut Heard) -> io::Result<()> {
    stream.write_all(handshake().as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    heard.add(&head);
    Ok(())
}

/// Until the node ends the connection; who does not read never knows.
async fn listen(mut reader: OwnedReadHalf, heard: &mut Heard, reads: bool) {
    if !reads {
        return std::future::pending().await;
    }
    let mut buffer = vec![0; 16 * 1_024];
    loop {
        match reader.read(&mut buffer).await {
            Ok(bytes @ 1..) => heard.add(&buffer[..bytes]),
            Ok(0) | Err(_) => return,
        }
    }
}

/// Until it has nothing more to say, or its voice fails and it has listened for a while.
async fn speak(attack: &Attack, mut writer: OwnedWriteHalf) {
    let mut spoken = writer.write_all(&attack.first).await;
    while spoken.is_ok() && !attack.again.is_empty() {
        spoken = writer.write_all(&attack.again).await;
        if attack.pause.is_zero() {
            tokio::task::yield_now().await;
        } else {
            sleep(attack.pause).await;
        }
    }
    if attack.reads && attack.ends != [Ending::Open] {
        // The end is heard, sooner or later: by its close, or by the node's deadline.
        std::future::pending::<()>().await;
    }
    sleep(WATCHED).await;
}
