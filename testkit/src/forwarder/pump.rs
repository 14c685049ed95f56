//! One direction of one connection: pieces come in, wait as long as the path tells, and go out in order.

use std::convert::Infallible;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::{Flow, Path};

/// So much passes at once while it trickles, and so often.
const TRICKLE: (usize, Duration) = (16, Duration::from_millis(100));

/// A path holds so many pieces, and each has so many bytes at most.
const PIECES_MAX: usize = 64;
const PIECE_BYTES_MAX: usize = 16 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Towards {
    Server,
    Client,
}

/// What was read at once, and when it is passed on.
struct Piece {
    bytes: Vec<u8>,
    due: Instant,
}

/// Until one side ends, or the path cuts it.
pub(super) async fn pump(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, path: &Path, towards: Towards) {
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    let taking_in = async {
        take_in(from, path, sender).await;
        // What is under way still arrives.
        std::future::pending::<Infallible>().await
    };
    let exit = Exit { to, path, towards, flowing: path.flowing.subscribe() };
    tokio::select! {
        never = taking_in => match never {},
        _ = exit.run(receiver) => {}
    }
}

async fn take_in(from: &mut OwnedReadHalf, path: &Path, pieces: mpsc::Sender<Piece>) {
    let mut buffer = vec![0; PIECE_BYTES_MAX];
    let mut due = Instant::now();
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        due = due.max(Instant::now() + path.burdens().delay());
        let piece = Piece { bytes: buffer[..read].to_vec(), due };
        if pieces.send(piece).await.is_err() {
            return;
        }
    }
}

/// Where pieces leave the path.
struct Exit<'a> {
    to: &'a mut OwnedWriteHalf,
    path: &'a Path,
    towards: Towards,
    flowing: watch::Receiver<Flow>,
}

impl Exit<'_> {
    /// Passes everything on, in order; `None` if it can't, or is cut.
    async fn run(mut self, mut pieces: mpsc::Receiver<Piece>) -> Option<()> {
        while let Some(Piece { bytes, due }) = pieces.recv().await {
            sleep_until(due).await;
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                rest = &rest[self.pass(rest).await?..];
            }
        }
        Some(())
    }

    /// Passes some on when the path lets it; how much that was.
    async fn pass(&mut self, bytes: &[u8]) -> Option<usize> {
        let towards = self.towards;
        let trickles = self.flowing.wait_for(|flow| flow.lets(towards)).await.ok()?.trickles;
        let (most, pause) = if trickles { TRICKLE } else { (bytes.len(), Duration::ZERO) };
        let wanted = most.min(bytes.len());
        let (allowed, is_cut) = match towards {
            Towards::Client => self.path.burdens().allow(wanted),
            Towards::Server => (wanted, false),
        };
        self.to.write_all(&bytes[..allowed]).await.ok()?;
        if is_cut {
            return None;
        }
        if trickles {
            // What is healed meanwhile flows at once.
            let _ = timeout(pause, self.flowing.wait_for(|flow| !flow.trickles)).await;
        }
        Some(allowed)
    }
}
