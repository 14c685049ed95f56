//! Writes what was delivered to a share of the node's connections, without waking their tasks.
//!
//! A delivery queues its frame and tells the flusher once; whatever else comes for that connection until the flusher
//! gets there leaves with it in the same write. Where little is delivered, that is at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Connection;
use crate::metrics::{Metrics, Volumes};

/// So many are written to before other tasks of the thread get their turn.
const ROW: usize = 64;
/// A flush to no more than so many is followed by no rest: if it took long, others had the core meanwhile, and whoever
/// has a message next would wait for nothing.
const FEW: usize = ROW;
/// A flush to more that took this long or longer is followed by a rest.
const LONG_FLUSH: Duration = Duration::from_micros(500);
/// One that took this long or longer is followed by the longest rest.
const LONGEST_FLUSH: Duration = Duration::from_millis(4);

/// See the module. It looks after nobody before [`run`](Self::run) and after it: then deliveries wake the tasks.
#[derive(Debug, Default)]
pub struct Flusher {
    due: Mutex<Due>,
    told: Notify,
}

#[derive(Debug, Default)]
struct Due {
    /// Each at most once: a connection tells nothing while it waits for the flusher.
    connections: Vec<Arc<Connection>>,
    runs: bool,
}

impl Flusher {
    /// Frames wait in the connection's outbox.
    pub(super) fn tell(&self, connection: &Arc<Connection>) {
        let mut due = self.due();
        if !due.runs {
            drop(due);
            return connection.outbox().leave_to_task();
        }
        due.connections.push(Arc::clone(connection));
        let is_first = due.connections.len() == 1;
        drop(due);
        if is_first {
            self.told.notify_one();
        }
    }

    /// Flushes until the node halts; then tasks write for themselves. Rests for `gather` at most.
    pub async fn run(self: Arc<Self>, gather: Duration, metrics: Metrics, halt: CancellationToken) {
        let running = Running::start(&self);
        halt.run_until_cancelled(running.0.flush_what_is_due(gather, &metrics)).await;
    }

    async fn flush_what_is_due(&self, gather: Duration, metrics: &Metrics) {
        let (mut due, mut scratch) = (Vec::new(), Vec::new());
        let mut rests_until = Instant::now();
        loop {
            self.told.notified().await;
            if rests_until > Instant::now() {
                sleep_until(rests_until).await;
            }
            std::mem::swap(&mut due, &mut self.due().connections);
            let connections = due.len();
            let took = flush_all(&mut due, &mut scratch, metrics).await;
            rests_until = Instant::now() + rest_after(connections, took, gather);
        }
    }

    fn due(&self) -> MutexGuard<'_, Due> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Zero: what comes next is written at once.
fn rest_after(connections: usize, took: Duration, gather: Duration) -> Duration {
    if connections <= FEW || took < LONG_FLUSH {
        return Duration::ZERO;
    }
    gather.mul_f64(took.div_duration_f64(LONGEST_FLUSH).min(1.0))
}

/// How long the writing took, without what others did meanwhile.
async fn flush_all(due: &mut Vec<Arc<Connection>>, scratch: &mut Vec<Bytes>, metrics: &Metrics) -> Duration {
    let mut ahead = Ahead(due.drain(..));
    let mut took = Duration::ZERO;
    loop {
        let began = Instant::now();
        flush_row(ahead.0.by_ref().take(ROW), scratch, metrics);
        took += began.elapsed();
        if ahead.0.len() == 0 {
            return took;
        }
        yield_now().await;
    }
}

fn flush_row(row: impl Iterator<Item = Arc<Connection>>, scratch: &mut Vec<Bytes>, metrics: &Metrics) {
    let mut messages = Volumes::default();
    let (mut bytes, mut writes) = (0, 0);
    for connection in row {
        let wrote = connection.outbox().flush(scratch);
        connection.traffic.wrote(wrote.messages.messages(), wrote.bytes);
        messages.add_all(&wrote.messages);
        bytes += wrote.bytes;
        writes += wrote.writes;
    }
    metrics.messages_sent.count(&messages);
    metrics.bytes_sent.inc_by(bytes as u64);
    metrics.writes.inc_by(writes as u64);
}

/// Those that this flush has not got to. If it ends before, their tasks write.
struct Ahead<'a>(std::vec::Drain<'a, Arc<Connection>>);

impl Drop for Ahead<'_> {
    fn drop(&mut self) {
        self.0.by_ref().for_each(|connection| connection.outbox().leave_to_task());
    }
}

/// While this is there, deliveries wait for the flusher.
struct Running<'a>(&'a Flusher);

impl<'a> Running<'a> {
    fn start(flusher: &'a Flusher) -> Self {
        flusher.due().runs = true;
        Self(flusher)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut due = self.0.due();
        due.runs = false;
        let left = std::mem::take(&mut due.connections);
        drop(due);
        left.iter().for_each(|connection| connection.outbox().leave_to_task());
    }
}

#[cfg(test)]
#[path = "flusher_tests.rs"]
mod tests;
