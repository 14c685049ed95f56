//! What is delivered is written: by the flusher where it can, by the task where it can't.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Wake;

use futures_util::poll;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use super::*;
use crate::hub::tests::{connection, connection_with};
use crate::testing::PATIENCE;
use crate::ws::outbox::Keep;

const STORED: Keep = Keep::Stored;
const GATHER: Duration = Duration::from_millis(8);

/// Both ends of a TCP connection on this machine.
async fn tcp() -> (Arc<TcpStream>, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (far, near) = tokio::join!(TcpStream::connect(address), listener.accept());
    (Arc::new(near.unwrap().0), far.unwrap())
}

fn running(of: &Arc<Connection>, metrics: &Metrics) -> (CancellationToken, JoinHandle<()>) {
    let halt = CancellationToken::new();
    let running = Arc::clone(of.flusher()).run(GATHER, metrics.clone(), halt.clone());
    (halt, TaskTracker::new().spawn(running))
}

async fn read(far: &mut TcpStream, bytes: usize) -> Vec<u8> {
    let mut got = vec![0; bytes];
    timeout(PATIENCE, far.read_exact(&mut got)).await.expect("it comes in time").unwrap();
    got
}

#[tokio::test]
async fn what_comes_together_leaves_in_one_write_and_no_task_is_needed() {
    let (near, mut far) = tcp().await;
    let (alone, metrics) = (connection(1, "t"), Metrics::new());
    alone.outbox().open(near, Bytes::new());
    let (halt, flusher) = running(&alone, &metrics);
    // The flusher looks after it from its first turn on.
    tokio::task::yield_now().await;
    for text in ["one ", "two ", "three"] {
        alone.deliver(Bytes::from_static(text.as_bytes()), STORED);
    }
    assert_eq!(read(&mut far, 13).await, b"one two three");
    alone.deliver(Bytes::from_static(b"again"), STORED);
    assert_eq!(read(&mut far, 5).await, b"again");
    halt.cancel();
    flusher.await.unwrap();
    assert_eq!((metrics.writes.get(), metrics.bytes_sent.get()), (2, 18));
    assert_eq!(alone.traffic.messages_out.load(Relaxed), 4);
}

/// Counts how often it was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[tokio::test]
async fn before_the_flusher_runs_and_after_it_the_task_is_woken() {
    let alone = connection(1, "t");
    let woken = Arc::new(Woken::default());
    alone.outbox().register(&Arc::clone(&woken).into());
    alone.deliver(Bytes::from_static(b"before"), STORED);
    assert_eq!(woken.0.load(Relaxed), 1);

    let mut flusher =
        Box::pin(Arc::clone(alone.flusher()).run(GATHER, Metrics::new(), CancellationToken::new()));
    assert!(poll!(flusher.as_mut()).is_pending());
    alone.outbox().register(&Arc::clone(&woken).into());
    alone.deliver(Bytes::from_static(b"meanwhile"), STORED);
    assert_eq!(woken.0.load(Relaxed), 1, "the flusher was told, and nobody else");
    drop(flusher);
    assert_eq!(woken.0.load(Relaxed), 2, "it ended before it got there");
    alone.outbox().register(&Arc::clone(&woken).into());
    alone.deliver(Bytes::from_static(b"after"), STORED);
    assert_eq!(woken.0.load(Relaxed), 3);
}

#[tokio::test]
async fn a_flush_that_ends_on_its_way_leaves_the_others_to_their_tasks() {
    let flusher = Arc::new(Flusher::default());
    let woken = Arc::new(Woken::default());
    let all: Vec<_> =
        (0..ROW as u64 + 2).map(|number| connection_with(Arc::clone(&flusher), number, "t")).collect();
    let mut running = Box::pin(Arc::clone(&flusher).run(GATHER, Metrics::new(), CancellationToken::new()));
    assert!(poll!(running.as_mut()).is_pending());
    for connection in &all {
        connection.deliver(Bytes::from_static(b"to all"), STORED);
    }
    assert!(poll!(running.as_mut()).is_pending(), "one row is done, and others have their turn");
    all.iter().for_each(|connection| connection.outbox().register(&Arc::clone(&woken).into()));
    drop(running);
    assert_eq!(woken.0.load(Relaxed), 2);
}

#[tokio::test]
async fn a_connection_whose_socket_is_its_tasks_alone_is_left_to_the_task() {
    let alone = connection(1, "t");
    let (halt, flusher) = running(&alone, &Metrics::new());
    tokio::task::yield_now().await;
    let woken = Arc::new(Woken::default());
    for times in 1..=2 {
        alone.outbox().register(&Arc::clone(&woken).into());
        alone.deliver(Bytes::from_static(b"over TLS"), STORED);
        while !alone.flusher().due().connections.is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(woken.0.load(Relaxed), times);
    }
    assert_eq!(alone.outbox().queued().0, 2, "nothing was taken");
    halt.cancel();
    flusher.await.unwrap();
}

#[test]
fn only_a_long_flush_to_many_is_followed_by_a_rest_and_none_is_longer_than_told() {
    let ms = Duration::from_millis;
    let rest_after = |took, gather| rest_after(FEW + 1, took, gather);
    assert_eq!(rest_after(Duration::from_micros(499), GATHER), Duration::ZERO);
    assert_eq!(rest_after(ms(1), GATHER), GATHER / 4);
    assert_eq!(rest_after(ms(4), GATHER), GATHER);
    assert_eq!(rest_after(ms(60), GATHER), GATHER);
    assert_eq!(rest_after(ms(60), Duration::ZERO), Duration::ZERO);
    assert_eq!(super::rest_after(FEW, ms(60), GATHER), Duration::ZERO);
}
