//! Locks when commands come late, nodes die and Redis goes away; and what waiting costs.

use std::sync::Arc;
use std::time::Duration;

use signalbox_registry::Error;
use signalbox_registry::lock::{Acquired, Ask, Released};
use signalbox_testkit::{Forwarder, RedisServer, eventually};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::{calls, node_at, without_a_lease};
use crate::lock::line::{got, waiting};
use crate::lock::{LONG, ask, request_id};
use crate::world::{Node, SOON, agent};

/// A node that stopped answering is believed for so long, and a turn may be lost on it before.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(6);

fn is_unknown(acquired: &Result<Acquired, Error>) -> bool {
    matches!(acquired, Err(Error::OutcomeUnknown(_)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acquisition_that_arrives_late_takes_nothing() {
    let server = RedisServer::start().await;
    let node = without_a_lease("a", &server.url()).await;
    let held = node.takes(&ask("held", "vehicle:1")).await;
    let evals = calls(&server, "evalsha");
    server.pause();
    let request = Ask { request_id: request_id("1"), ..ask("r", "vehicle:1") };
    let (locks, busy) = (&node.cluster.locks, crate::lock::resource("held"));
    let (taken, renewed, released) = tokio::join!(
        locks.acquire(&request),
        locks.renew(&request.tenant, &busy, &held.token, Some(2 * LONG)),
        locks.release(&request.tenant, &busy, &held.token),
    );
    assert!(is_unknown(&taken) && is_unknown(&renewed), "{taken:?} {renewed:?}");
    assert!(matches!(released, Err(Error::OutcomeUnknown(_))), "{released:?}");
    // Beyond the deadline, and yet before the links give their connections up.
    sleep(Duration::from_millis(300)).await;
    server.resume();
    eventually("they have run", SOON, || async { calls(&server, "evalsha") >= evals + 3 }).await;
    assert_eq!(node.holder("r").await, None);
    assert!(node.holder("held").await.unwrap().remaining <= LONG, "neither renewed nor released");
    assert_eq!(server.cli(&["exists", "sb:{acme:r}:fence"]), "0");
    node.takes(&request).await;
}

/// Waits until a Redis that holds writes up has a script, and does not run it yet.
async fn redis_has_a_script(server: &RedisServer) {
    eventually("redis has the script", SOON, || async {
        let clients = server.cli(&["client", "list"]);
        clients.lines().any(|client| client.contains(" flags=b ") && client.contains(" cmd=evalsha "))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_after_a_lost_answer_gets_the_grant() {
    let server = RedisServer::start().await;
    let path = Forwarder::start(server.port()).await;
    let node = without_a_lease("a", &path.url()).await;
    let request = Ask { request_id: request_id("1"), ..ask("r", "vehicle:1") };
    server.cli(&["client", "pause", "20000", "write"]);
    let swallow_the_answer = async {
        redis_has_a_script(&server).await;
        path.black_hole();
        server.cli(&["client", "unpause"]);
    };
    let (taken, ()) = tokio::join!(node.cluster.locks.acquire(&request), swallow_the_answer);
    assert!(is_unknown(&taken), "{taken:?}");
    let other = node_at("b", &server.url()).await;
    let held = other.holder("r").await.expect("it was granted");
    let grant = other.takes(&request).await;
    assert_eq!(grant.fence, held.fence);
    assert_eq!(other.releases("r", &grant.token).await, Released::Released);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grant_that_nobody_can_claim_is_given_back() {
    let server = RedisServer::start().await;
    let node = without_a_lease("a", &server.url()).await;
    for (name, id) in [("lost", None), ("claimed", request_id("1"))] {
        let request = Ask { request_id: id, ..ask(name, "vehicle:1") };
        server.cli(&["client", "pause", "20000", "write"]);
        // Whoever asked is gone before the answer comes.
        tokio::select! {
            taken = node.cluster.locks.acquire(&request) => panic!("{taken:?}"),
            () = redis_has_a_script(&server) => {}
        }
        server.cli(&["client", "unpause"]);
        eventually("it was granted", SOON, || async {
            server.cli(&["exists", &format!("sb:{{acme:{name}}}:lock")]) == "1"
        })
        .await;
    }
    node.sees_it_free("lost").await;
    let held = node.holder("claimed").await.unwrap();
    let claim = Ask { request_id: request_id("1"), ..ask("claimed", "vehicle:1") };
    assert_eq!(node.takes(&claim).await.fence, held.fence);
}

/// Lets the first 40 in line be waiters of a node that then `fails`; how many are left when the one behind
/// them was served.
async fn serves_the_one_behind(a: &Node, b: &Node, fails: impl FnOnce()) -> JoinSet<Result<Acquired, Error>> {
    let holder = b.takes(&ask("r", "vehicle:0")).await;
    let mut crowd = JoinSet::new();
    for number in 1..=40 {
        let (locks, ask) = (Arc::clone(&a.cluster.locks), waiting("r", &format!("vehicle:{number}")));
        crowd.spawn(async move { locks.acquire(&ask).await });
    }
    a.has_waiting(40).await;
    let behind = b.lines_up(waiting("r", "vehicle:41")).await;
    fails();
    b.releases("r", &holder.token).await;
    // One turn after the other would take ten seconds.
    let grant = timeout(GIVEN_UP_WITHIN, got(behind)).await.expect("the waiters before it are skipped");
    assert!(grant.fence > holder.fence);
    b.releases("r", &grant.token).await;
    crowd
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_waiters_of_a_node_that_died_are_skipped() {
    let server = RedisServer::start().await;
    let path = Forwarder::start(server.port()).await;
    let (a, b) = (node_at("a", &path.url()).await, node_at("b", &server.url()).await);
    let _crowd = serves_the_one_behind(&a, &b, || path.black_hole()).await;
    b.takes(&ask("r", "vehicle:42")).await;
    assert_eq!(b.holder("r").await.unwrap().waiters, 0, "they are out of the line");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_waiters_of_a_node_that_hears_nothing_are_skipped_until_it_does() {
    let server = RedisServer::start().await;
    server.cli(&["acl", "setuser", "deaf", "on", ">x", "~*", "+@all", "allchannels"]);
    let url = format!("redis://deaf:x@127.0.0.1:{}/", server.port());
    let (a, b) = (node_at("a", &url).await, node_at("b", &server.url()).await);
    let crowd = serves_the_one_behind(&a, &b, || {
        // Its commands work, and its subscriptions are gone.
        server.cli(&["acl", "setuser", "deaf", "resetchannels", "&sb:node:{b}"]);
    })
    .await;
    server.cli(&["acl", "setuser", "deaf", "allchannels"]);
    assert_eq!(fences_of(crowd, &b).await.len(), 40);
}

/// Lets everybody who waits have the lock once, and releases it for them.
async fn fences_of(mut crowd: JoinSet<Result<Acquired, Error>>, node: &Node) -> Vec<u64> {
    let mut fences = Vec::new();
    while let Some(acquired) = timeout(LONG, crowd.join_next()).await.expect("nobody waits for ever") {
        let grant = crate::lock::granted(acquired.unwrap().unwrap());
        assert_eq!(node.releases("r", &grant.token).await, Released::Released);
        fences.push(grant.fence);
    }
    assert!(fences.is_sorted_by(|one, next| one < next), "{fences:?}");
    fences
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_outlives_a_redis_that_forgets_everything() {
    let mut server = RedisServer::start().await;
    for restarts in [false, true] {
        let (a, b) = (node_at("a", &server.url()).await, node_at("b", &server.url()).await);
        let holder = a.takes(&ask("r", "vehicle:0")).await;
        let mut crowd = JoinSet::new();
        for number in 1..=6 {
            let node = if number % 2 == 0 { &a } else { &b };
            let (locks, ask) = (Arc::clone(&node.cluster.locks), waiting("r", &format!("vehicle:{number}")));
            crowd.spawn(async move { locks.acquire(&ask).await });
        }
        a.has_waiting(3).await;
        b.has_waiting(3).await;
        match restarts {
            true => server.restart_empty().await,
            false => drop(server.cli(&["flushall"])),
        }
        let fences = fences_of(crowd, &b).await;
        assert!(fences.len() == 6 && fences[0] > holder.fence, "{fences:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_while_redis_is_away_is_told_in_time() {
    let mut server = RedisServer::start().await;
    let node = node_at("a", &server.url()).await;
    node.takes(&ask("r", "vehicle:0")).await;
    let wait = Duration::from_secs(1);
    let asked = Instant::now();
    let waiter = node.lines_up(Ask { wait, ..waiting("r", "vehicle:1") }).await;
    server.kill();
    let over = waiter.await.unwrap();
    assert!(matches!(over, Err(Error::Unavailable(_))), "nothing was granted: {over:?}");
    assert!(asked.elapsed() >= wait && asked.elapsed() < wait + SOON, "{:?}", asked.elapsed());
    let refused = node.cluster.locks.acquire(&waiting("r", "vehicle:1")).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "and who comes now is told at once: {refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_waiters_cost_no_more_than_one() {
    let server = RedisServer::start().await;
    let (a, b) = (node_at("a", &server.url()).await, node_at("b", &server.url()).await);
    a.takes(&ask("r", "vehicle:0")).await;
    let mut crowd = JoinSet::new();
    for number in 0..1_000 {
        let node = if number % 2 == 0 { &a } else { &b };
        let (locks, ask) = (Arc::clone(&node.cluster.locks), waiting("r", &format!("vehicle:{number}")));
        crowd.spawn(async move { locks.acquire(&ask).await });
    }
    a.has_waiting(500).await;
    b.has_waiting(500).await;
    assert_eq!(a.holder("r").await.unwrap().waiters, 1_000);
    server.cli(&["config", "resetstat"]);
    let begun = Instant::now();
    sleep(Duration::from_secs(4)).await;
    let scripts = calls(&server, "evalsha");
    // Each node tends the line once a second, and renews its lease somewhat less often.
    let seconds = begun.elapsed().as_secs() + 1;
    assert!(scripts >= 2 * 3 && scripts <= 2 * 2 * seconds, "{scripts} in {seconds} s");
    for rarely in ["zadd", "zrem", "zscore", "set"] {
        assert!(calls(&server, rarely) <= 2 * seconds, "{rarely}: {}", calls(&server, rarely));
    }
    drop(crowd);
    eventually("all have left", SOON, || async { a.holder("r").await.unwrap().waiters == 0 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fences_grow_though_the_clock_ran_backwards() {
    let server = RedisServer::start().await;
    let node = node_at("a", &server.url()).await;
    // A grant of an hour later than now.
    let last = node.takes(&ask("other", "vehicle:1")).await.fence + 3_600_000_000;
    server.cli(&["set", "sb:{acme:order:9}:lock", &format!("0000000000000|{last}|-|")]);
    let grant = node.takes(&ask("order:9", "vehicle:1")).await;
    assert_eq!(grant.fence, last + 1);
    let (fence, _) = crate::order::won(&node.accepts(&crate::order::acceptance("vehicle:1")).await);
    assert_eq!(fence, last + 2);
    node.releases("order:9", &grant.token).await;
    assert_eq!(node.takes(&ask("order:9", "vehicle:1")).await.fence, last + 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_forgot_its_scripts_grants_and_wakes_all_the_same() {
    let server = RedisServer::start().await;
    let (a, b) = (node_at("a", &server.url()).await, node_at("b", &server.url()).await);
    server.cli(&["script", "flush"]);
    let holder = a.takes(&ask("r", "vehicle:1")).await;
    server.cli(&["script", "flush"]);
    let waiter = b.lines_up(waiting("r", "vehicle:2")).await;
    server.cli(&["script", "flush"]);
    assert_eq!(a.holder("r").await.unwrap().owner, agent("vehicle:1"));
    server.cli(&["script", "flush"]);
    a.releases("r", &holder.token).await;
    got(waiter).await;
}
