//! How soon a lock goes on to the next in line. What tells the next at once is backed by what notices within a
//! second that it was not told; each test sees to it that the second is not what the line lives by.

use std::time::Duration;

use signalbox_registry::lock::{Ask, TURN};
use signalbox_testkit::RedisServer;
use tokio::time::Instant;

use super::node_at;
use crate::lock::line::{got, waiting};
use crate::lock::{LONG, ask, granted};

/// Far below the second after which a node looks at its lines in any case.
const AT_ONCE: Duration = Duration::from_millis(700);

/// The shortest of four rounds: a busy machine may hold up one or the other.
async fn quickest(mut round: impl AsyncFnMut(String) -> Duration) -> Duration {
    let mut quickest = LONG;
    for number in 0..4 {
        quickest = quickest.min(round(format!("r{number}")).await);
    }
    quickest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_node_looks_when_the_lock_expires() {
    let server = RedisServer::start().await;
    let (a, b) = (node_at("a", &server.url()).await, node_at("b", &server.url()).await);
    let took = quickest(async |name| {
        a.takes(&Ask { ttl: Duration::from_millis(200), ..ask(&name, "vehicle:1") }).await;
        // On a busy machine the lock may end before anybody stands in line: nobody looks whether he does.
        let asked = Instant::now();
        granted(b.acquires(waiting(&name, "vehicle:2")).await.unwrap());
        asked.elapsed()
    });
    assert!(took.await < AT_ONCE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_that_released_looks_when_the_turn_ends() {
    let server = RedisServer::start().await;
    let (a, b) = (node_at("a", &server.url()).await, node_at("b", &server.url()).await);
    let took = quickest(async |name| {
        let holder = a.takes(&ask(&name, "vehicle:1")).await;
        let mut sleeper = b.acquires(waiting(&name, "vehicle:2"));
        b.lines_up_and_sleeps(&mut sleeper).await;
        let next = b.lines_up(waiting(&name, "vehicle:3")).await;
        let released = Instant::now();
        a.releases(&name, &holder.token).await;
        got(next).await;
        released.elapsed()
    });
    assert!(took.await < AT_ONCE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wake_for_a_waiter_that_its_node_does_not_know_passes_the_turn_on() {
    let server = RedisServer::start().await;
    let (a, b) = (node_at("a", &server.url()).await, node_at("b", &server.url()).await);
    let took = quickest(async |name| {
        let holder = b.takes(&ask(&name, "vehicle:1")).await;
        let next = b.lines_up(waiting(&name, "vehicle:2")).await;
        // Somebody of node a stood before it, and his leaving was lost.
        let lock = format!("sb:{{acme:{name}}}:lock");
        server.cli(&["zadd", &format!("{lock}:waiters"), "1", "a|999"]);
        server.cli(&["hset", &format!("{lock}:nodes"), "a", "9999999999999"]);
        let released = Instant::now();
        b.releases(&name, &holder.token).await;
        got(next).await;
        released.elapsed()
    });
    assert!(took.await < TURN);
    assert_eq!(a.cluster.locks.counters().wakes, 0);
}
