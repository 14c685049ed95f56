//! Standing in line for a lock: who came first is served first, and who does not come is passed over.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use signalbox_registry::lock::{Acquired, Ask, Grant, Released, TURN, WAITERS_MAX};
use signalbox_registry::{Error, Locks};
use signalbox_testkit::eventually;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{LONG, ask, denied, granted, request_id};
use crate::on_both;
use crate::world::{Node, SOON, World, agent};

on_both!(
    the_line_is_served_in_the_order_of_arrival,
    a_newcomer_is_denied_while_somebody_waits,
    a_newcomer_that_waits_comes_last,
    a_turn_that_is_not_used_passes_on,
    who_comes_too_late_for_his_turn_is_last,
    who_leaves_is_not_waited_for,
    who_leaves_with_the_turn_passes_it_on,
    an_expiry_is_met_by_who_waits,
    a_renewed_lock_is_waited_for_further,
    a_wait_that_is_over_is_a_denial,
    a_retry_of_the_holder_does_not_wait,
    a_crowd_holds_one_at_a_time,
    a_line_has_an_end,
);

/// An ask that waits for longer than any test.
pub(crate) fn waiting(name: &str, owner: &str) -> Ask {
    Ask { wait: LONG, ..ask(name, owner) }
}

impl Node {
    /// Lines up in the background; returns when that is done.
    pub(crate) async fn lines_up(&self, ask: Ask) -> JoinHandle<Result<Acquired, Error>> {
        let (locks, waiting) = (Arc::clone(&self.cluster.locks), self.waiting());
        #[expect(clippy::disallowed_methods, reason = "the test itself waits for it")]
        let waiter = tokio::spawn(async move { locks.acquire(&ask).await });
        self.has_waiting(waiting + 1).await;
        waiter
    }

    /// Lines up with a future that nobody polls any more once it waits.
    pub(crate) async fn lines_up_and_sleeps<F>(&self, waiter: &mut std::pin::Pin<Box<F>>)
    where
        F: Future<Output = Result<Acquired, Error>>,
    {
        let waiting = self.waiting() + 1;
        tokio::select! {
            biased;
            over = waiter => panic!("{over:?}"),
            () = self.has_waiting(waiting) => {}
        }
    }

    pub(crate) fn waiting(&self) -> u64 {
        self.cluster.locks.counters().waiting
    }

    pub(crate) async fn has_waiting(&self, waiters: u64) {
        let what = format!("{waiters} waiters on {}", self.id());
        eventually(&what, SOON, || async { self.waiting() == waiters }).await;
    }

    pub(crate) fn acquires(
        &self,
        ask: Ask,
    ) -> std::pin::Pin<Box<impl Future<Output = Result<Acquired, Error>> + use<>>> {
        let locks = Arc::clone(&self.cluster.locks);
        Box::pin(async move { locks.acquire(&ask).await })
    }
}

/// What a waiter got.
pub(crate) async fn got(waiter: JoinHandle<Result<Acquired, Error>>) -> Grant {
    granted(waiter.await.unwrap().unwrap())
}

fn turns_missed(nodes: &[&Node]) -> u64 {
    nodes.iter().map(|node| node.cluster.locks.counters().turns_missed).sum()
}

/// Who held the lock, in order, as the holders tell.
#[derive(Debug, Default)]
struct History {
    held: Mutex<Vec<(String, u64)>>,
    holders: Mutex<u32>,
}

impl History {
    /// Waits, writes down that it holds, and releases.
    async fn take_a_turn(&self, locks: &dyn Locks, ask: &Ask) {
        let grant = granted(locks.acquire(ask).await.unwrap());
        {
            let mut holders = self.holders.lock().unwrap();
            assert_eq!(*holders, 0, "somebody else holds it");
            *holders += 1;
        }
        self.held.lock().unwrap().push((ask.owner.to_string(), grant.fence));
        tokio::task::yield_now().await;
        *self.holders.lock().unwrap() -= 1;
        let released = locks.release(&ask.tenant, &ask.resource, &grant.token).await.unwrap();
        assert_eq!(released, Released::Released);
    }
}

async fn the_line_is_served_in_the_order_of_arrival(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let holder = a.takes(&ask("r", "vehicle:0")).await;
    let (history, mut waiters) = (Arc::new(History::default()), Vec::new());
    for number in 1..=24 {
        let node = if number % 3 == 0 { &b } else { &a };
        let (locks, history) = (Arc::clone(&node.cluster.locks), Arc::clone(&history));
        let (before, ask) = (node.waiting(), waiting("r", &format!("vehicle:{number}")));
        #[expect(clippy::disallowed_methods, reason = "the test itself waits for it")]
        waiters.push(tokio::spawn(async move { history.take_a_turn(&*locks, &ask).await }));
        node.has_waiting(before + 1).await;
    }
    assert_eq!(b.holder("r").await.unwrap().waiters, 24);
    assert_eq!(b.releases("r", &holder.token).await, Released::Released);
    for waiter in waiters {
        waiter.await.unwrap();
    }
    let held = history.held.lock().unwrap();
    let order: Vec<_> = held.iter().map(|(owner, _)| owner.clone()).collect();
    assert_eq!(order, (1..=24).map(|number| format!("vehicle:{number}")).collect::<Vec<_>>());
    assert!(
        held.iter().map(|(_, fence)| *fence).is_sorted_by(|one, next| one < next) && held[0].1 > holder.fence
    );
    assert_eq!((a.waiting(), b.waiting()), (0, 0));
}

async fn a_newcomer_is_denied_while_somebody_waits(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let holder = a.takes(&ask("r", "vehicle:1")).await;
    let mut waiter = b.acquires(waiting("r", "vehicle:2"));
    b.lines_up_and_sleeps(&mut waiter).await;
    a.releases("r", &holder.token).await;
    for node in [&a, &b] {
        let denial = node.is_denied(&ask("r", "vehicle:3")).await;
        assert_eq!(denial.held_by, None, "nobody holds it, and yet it is not to be had");
        assert!(denial.retry_after <= TURN);
    }
    let grant = granted(waiter.await.unwrap());
    assert!(grant.fence > holder.fence);
    assert_eq!(a.releases("r", &grant.token).await, Released::Released);
    a.takes(&ask("r", "vehicle:3")).await;
}

async fn a_newcomer_that_waits_comes_last(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let holder = a.takes(&ask("r", "vehicle:1")).await;
    let mut first = b.acquires(waiting("r", "vehicle:2"));
    b.lines_up_and_sleeps(&mut first).await;
    a.releases("r", &holder.token).await;
    let newcomer = a.lines_up(waiting("r", "vehicle:3")).await;
    // Whether it comes in time or has to line up again, both get the lock, one after the other.
    let grant = granted(first.await.unwrap());
    b.releases("r", &grant.token).await;
    got(newcomer).await;
}

async fn a_turn_that_is_not_used_passes_on(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let holder = a.takes(&ask("r", "vehicle:1")).await;
    let mut sleeper = a.acquires(waiting("r", "vehicle:2"));
    a.lines_up_and_sleeps(&mut sleeper).await;
    let next = b.lines_up(waiting("r", "vehicle:3")).await;
    let released = Instant::now();
    a.releases("r", &holder.token).await;
    let grant = got(next).await;
    assert!(released.elapsed() >= TURN && grant.fence > holder.fence);
    eventually("it is counted", SOON, || async { turns_missed(&[&a, &b]) == 1 }).await;
    drop(sleeper);
}

async fn who_comes_too_late_for_his_turn_is_last(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let holder = b.takes(&ask("r", "vehicle:1")).await;
    let mut sleeper = a.acquires(waiting("r", "vehicle:2"));
    a.lines_up_and_sleeps(&mut sleeper).await;
    let (next, last) =
        (b.lines_up(waiting("r", "vehicle:3")).await, b.lines_up(waiting("r", "vehicle:4")).await);
    b.releases("r", &holder.token).await;
    let next = got(next).await;
    let history = Mutex::new(Vec::new());
    let awake = async {
        let grant = granted(sleeper.await.unwrap());
        history.lock().unwrap().push(2);
        grant
    };
    let others = async {
        // The sleeper is awake by now, and still in line.
        eventually("the sleeper looks again", SOON, || async { a.cluster.locks.counters().wakes > 0 }).await;
        b.releases("r", &next.token).await;
        let grant = got(last).await;
        history.lock().unwrap().push(4);
        b.releases("r", &grant.token).await;
    };
    tokio::join!(awake, others);
    assert_eq!(*history.lock().unwrap(), [4, 2]);
}

async fn who_leaves_is_not_waited_for(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let holder = a.takes(&ask("r", "vehicle:1")).await;
    let leaves = a.lines_up(waiting("r", "vehicle:2")).await;
    let stays = b.lines_up(waiting("r", "vehicle:3")).await;
    leaves.abort();
    eventually("one waits", SOON, || async { b.holder("r").await.unwrap().waiters == 1 }).await;
    a.has_waiting(0).await;
    b.releases("r", &holder.token).await;
    got(stays).await;
}

async fn who_leaves_with_the_turn_passes_it_on(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let mut at_once = 0;
    for round in 0..8 {
        let name = format!("r{round}");
        let holder = a.takes(&ask(&name, "vehicle:1")).await;
        let mut leaves = a.acquires(waiting(&name, "vehicle:2"));
        a.lines_up_and_sleeps(&mut leaves).await;
        let stays = b.lines_up(waiting(&name, "vehicle:3")).await;
        let released = Instant::now();
        b.releases(&name, &holder.token).await;
        drop(leaves);
        got(stays).await;
        at_once += u32::from(released.elapsed() < TURN);
    }
    // A machine that stalls may let a turn end by itself, but not every time.
    assert!(at_once > 0, "the next had to wait for the end of the turn");
}

async fn an_expiry_is_met_by_who_waits(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let brief = Ask { ttl: Duration::from_millis(2_500), ..ask("r", "vehicle:1") };
    let (asked, holder) = (Instant::now(), a.takes(&brief).await);
    let (first, second) =
        (b.lines_up(waiting("r", "vehicle:2")).await, a.lines_up(waiting("r", "vehicle:3")).await);
    let grant = got(first).await;
    assert!(asked.elapsed() >= brief.ttl && grant.fence > holder.fence);
    b.releases("r", &grant.token).await;
    got(second).await;
    let expiries = || a.cluster.locks.counters().expiries + b.cluster.locks.counters().expiries;
    eventually("it is counted", SOON, || async { expiries() > 0 }).await;
    assert_eq!(expiries(), 1);
}

async fn a_renewed_lock_is_waited_for_further(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let (ttl, longer) = (Duration::from_millis(2_000), Duration::from_millis(2_500));
    let holder = a.takes(&Ask { ttl, ..ask("r", "vehicle:1") }).await;
    let waiter = b.lines_up(waiting("r", "vehicle:2")).await;
    let renewed = Instant::now();
    granted(a.renews("r", &holder.token, Some(longer)).await);
    got(waiter).await;
    assert!(renewed.elapsed() >= longer);
}

async fn a_wait_that_is_over_is_a_denial(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let holder = a.takes(&ask("r", "vehicle:1")).await;
    let brief = Ask { wait: Duration::from_millis(50), ..ask("r", "vehicle:2") };
    let asked = Instant::now();
    let denial = denied(b.cluster.locks.acquire(&brief).await.unwrap());
    assert!(asked.elapsed() >= brief.wait);
    assert_eq!(denial.held_by, Some(agent("vehicle:1")));
    assert_eq!((b.waiting(), b.holder("r").await.unwrap().waiters), (0, 0));
    a.releases("r", &holder.token).await;
    a.takes(&ask("r", "vehicle:3")).await;
}

async fn a_retry_of_the_holder_does_not_wait(world: World) {
    let (a, b) = (world.node("a").await, world.node("b").await);
    let request = Ask { request_id: request_id("1"), ..waiting("r", "vehicle:1") };
    let grant = a.takes(&request).await;
    let waiter = b.lines_up(waiting("r", "vehicle:2")).await;
    assert_eq!(b.takes(&request).await.fence, grant.fence);
    a.releases("r", &grant.token).await;
    let next = got(waiter).await;
    let denial = b.is_denied(&Ask { wait: Duration::ZERO, ..request.clone() }).await;
    assert_eq!(denial.held_by, Some(agent("vehicle:2")), "its grant stands no more");
    a.releases("r", &next.token).await;
    assert!(a.takes(&request).await.fence > next.fence);
}

async fn a_crowd_holds_one_at_a_time(world: World) {
    let nodes = [world.node("a").await, world.node("b").await, world.node("c").await];
    let (history, mut crowd) = (Arc::new(History::default()), tokio::task::JoinSet::new());
    for number in 0..60 {
        let (locks, history) = (Arc::clone(&nodes[number % 3].cluster.locks), Arc::clone(&history));
        let ask = waiting("r", &format!("vehicle:{number}"));
        crowd.spawn(async move {
            for _ in 0..5 {
                history.take_a_turn(&*locks, &ask).await;
            }
        });
    }
    crowd.join_all().await;
    let held = history.held.lock().unwrap();
    assert_eq!(held.len(), 300);
    assert!(held.iter().map(|(_, fence)| *fence).is_sorted_by(|one, next| one < next));
    assert!(nodes.iter().all(|node| node.waiting() == 0));
    let counters = nodes.iter().map(|node| node.cluster.locks.counters().grants);
    assert_eq!(counters.sum::<u64>(), 300);
}

async fn a_line_has_an_end(world: World) {
    let node = world.node("a").await;
    let holder = node.takes(&ask("r", "vehicle:1")).await;
    let mut line = tokio::task::JoinSet::new();
    for number in 1..=WAITERS_MAX {
        let locks = Arc::clone(&node.cluster.locks);
        line.spawn(async move { locks.acquire(&waiting("r", "vehicle:2")).await });
        if number % 256 == 0 {
            node.has_waiting(number as u64).await;
        }
    }
    let denial = node.is_denied(&waiting("r", "vehicle:3")).await;
    assert_eq!(denial.held_by, Some(agent("vehicle:1")));
    node.releases("r", &holder.token).await;
    let first = line.join_next().await.unwrap().unwrap().unwrap();
    assert!(granted(first).fence > holder.fence, "those in line are served all the same");
}
