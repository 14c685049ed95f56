//! The checker and locks that are kept in a real Redis: a right one passes, broken ones are caught.
//!
//! Clients are paused just where it hurts, so that what can go wrong does go wrong in every run.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use signalbox_testkit::{RedisServer, eventually};
use tokio::sync::Barrier;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::Instant;

use super::locks::judge;
use super::{Rule, Verdict};
use crate::history::locks::{Granted, LockAction, LockOperation};
use crate::history::{Answer, Span};
use crate::resp::{RedisConnection, Reply};

const LOCK: &[u8] = b"lock";
const FENCE: &[u8] = b"fence";

/// Locks that nobody lets expire last so long.
const LONG_MS: u32 = 60_000;

const ACQUIRE: &[u8] = b"if redis.call('set', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then \
    return redis.call('incr', KEYS[2]) end return false";

const RELEASE: &[u8] = b"if redis.call('get', KEYS[1]) == ARGV[1] then \
    return redis.call('del', KEYS[1]) end return 0";

/// A Redis, and what all clients saw of it.
struct Scene {
    redis: RedisServer,
    began: Instant,
    operations: RefCell<Vec<LockOperation>>,
    requests: RefCell<u64>,
}

/// One client with a connection of its own.
struct Client {
    number: u32,
    redis: RedisConnection,
    scene: Rc<Scene>,
}

/// A grant as its client knows it.
#[derive(Clone, Copy)]
struct Mine {
    request: u64,
    fence: u64,
}

impl Scene {
    async fn open() -> Rc<Self> {
        Rc::new(Self {
            redis: RedisServer::start().await,
            began: Instant::now(),
            operations: RefCell::default(),
            requests: RefCell::default(),
        })
    }

    async fn client(self: &Rc<Self>, number: u32) -> Client {
        let address = format!("127.0.0.1:{}", self.redis.port());
        let redis = RedisConnection::connect(&address).await.expect("Redis was started");
        Client { number, redis, scene: Rc::clone(self) }
    }

    fn verdict(&self) -> Verdict {
        judge(&self.operations.borrow())
    }

    fn count(&self, what: impl Fn(&LockAction) -> bool) -> usize {
        self.operations.borrow().iter().filter(|operation| what(&operation.action)).count()
    }
}

impl Client {
    async fn ask(&mut self, words: &[&[u8]]) -> Reply {
        self.redis.ask(words).await.expect("Redis answers")
    }

    /// `SET NX PX` and a fence in one script.
    async fn acquire(&mut self, ttl_ms: u32) -> Option<Mine> {
        let (request, invoked_ns) = self.begin();
        let (token, ttl) = (request.to_string(), ttl_ms.to_string());
        let words: &[&[u8]] = &[b"EVAL", ACQUIRE, b"2", LOCK, FENCE, token.as_bytes(), ttl.as_bytes()];
        let fence = match self.ask(words).await {
            Reply::Integer(fence) => Some(fence as u64),
            Reply::Bulk(None) => None,
            other => panic!("{other:?}"),
        };
        self.acquired(request, invoked_ns, fence, ttl_ms)
    }

    /// Looks, and takes the lock when it has passed the gate.
    async fn get_then_set(&mut self, gate: &Barrier) -> Option<Mine> {
        let (request, invoked_ns) = self.begin();
        let free = self.ask(&[b"GET", LOCK]).await == Reply::Bulk(None);
        gate.wait().await;
        let mut fence = None;
        if free {
            let token = request.to_string();
            self.ask(&[b"SET", LOCK, token.as_bytes(), b"PX", b"60000"]).await;
            let Reply::Integer(number) = self.ask(&[b"INCR", FENCE]).await else { panic!("no number") };
            fence = Some(number as u64);
        }
        self.acquired(request, invoked_ns, fence, LONG_MS)
    }

    /// A lock that lives and dies with its own counter, or has none at all.
    async fn acquire_with_bad_fence(&mut self, counter: Option<&[u8]>) -> Option<Mine> {
        let (request, invoked_ns) = self.begin();
        let token = request.to_string();
        let set = self.ask(&[b"SET", LOCK, token.as_bytes(), b"NX", b"PX", b"60000"]).await;
        let fence = match counter {
            Some(counter) => self.ask(&[b"INCR", counter]).await,
            None => Reply::Integer(0),
        };
        let Reply::Integer(fence) = fence else { panic!("no number") };
        self.acquired(request, invoked_ns, (set != Reply::Bulk(None)).then_some(fence as u64), LONG_MS)
    }

    /// Compare and delete.
    async fn release(&mut self, mine: Mine) {
        let token = mine.request.to_string();
        self.release_by(mine, &[b"EVAL", RELEASE, b"1", LOCK, token.as_bytes()]).await;
    }

    async fn release_by(&mut self, mine: Mine, words: &[&[u8]]) {
        let invoked_ns = self.now_ns();
        let deleted = self.ask(words).await != Reply::Integer(0);
        let answer = if deleted { Answer::Ok(()) } else { Answer::Refused(()) };
        self.record(mine.request, invoked_ns, LockAction::Release { fence: mine.fence, answer });
    }

    /// Sleeps until its lock is another's or nobody's.
    async fn oversleep(&self, mine: Mine) {
        let token = mine.request.to_string();
        eventually("the lock has expired", Duration::from_secs(10), || {
            std::future::ready(self.scene.redis.cli(&["GET", "lock"]) != token)
        })
        .await;
    }

    fn begin(&self) -> (u64, u64) {
        *self.scene.requests.borrow_mut() += 1;
        (*self.scene.requests.borrow(), self.now_ns())
    }

    fn acquired(&self, request: u64, invoked_ns: u64, fence: Option<u64>, ttl_ms: u32) -> Option<Mine> {
        let answer = match fence {
            Some(fence) => Answer::Ok(Granted { fence, ttl_ms }),
            None => Answer::Refused(()),
        };
        self.record(request, invoked_ns, LockAction::Acquire(answer));
        fence.map(|fence| Mine { request, fence })
    }

    fn record(&self, request: u64, invoked_ns: u64, action: LockAction) {
        let span = Span { invoked_ns, returned_ns: self.now_ns() };
        let operation = LockOperation { client: self.number, resource: 0, request, span, action };
        self.scene.operations.borrow_mut().push(operation);
    }

    fn now_ns(&self) -> u64 {
        self.scene.began.elapsed().as_nanos() as u64
    }
}

#[track_caller]
fn breaks(verdict: &Verdict, rule: Rule) {
    assert!(verdict.named.iter().any(|named| named.rule == rule), "{:?}", verdict.named);
}

#[tokio::test]
async fn get_then_set_is_caught() {
    const CLIENTS: usize = 4;
    let scene = Scene::open().await;
    let (looked, held) = (Rc::new(Barrier::new(CLIENTS)), Rc::new(Barrier::new(CLIENTS)));
    let mut clients = JoinSet::new();
    let local = LocalSet::new();
    for number in 0..CLIENTS as u32 {
        let mut client = scene.client(number).await;
        let (looked, held) = (Rc::clone(&looked), Rc::clone(&held));
        clients.spawn_local_on(
            async move {
                let mine = client.get_then_set(&looked).await.expect("it was free for all");
                held.wait().await;
                client.release(mine).await;
            },
            &local,
        );
    }
    local.await;
    clients.join_all().await;
    let verdict = scene.verdict();
    breaks(&verdict, Rule::OneHolder);
    assert_eq!(verdict.violations, CLIENTS as u64 - 1);
}

#[tokio::test]
async fn deleting_without_the_token_is_caught() {
    let scene = Scene::open().await;
    let (mut first, mut second, mut third) =
        (scene.client(1).await, scene.client(2).await, scene.client(3).await);
    let slept = first.acquire(20).await.expect("it is free");
    first.oversleep(slept).await;
    let robbed = second.acquire(LONG_MS).await.expect("it has expired");
    first.release_by(slept, &[b"DEL", LOCK]).await;
    let thief = third.acquire(LONG_MS).await.expect("it was deleted");
    second.release(robbed).await;
    third.release(thief).await;
    let verdict = scene.verdict();
    breaks(&verdict, Rule::OneHolder);
    breaks(&verdict, Rule::OverIsOver);
    assert_eq!(verdict.violations, 2, "{:?}", verdict.named);
}

#[tokio::test]
async fn fences_that_repeat_are_caught() {
    for counter in [None, Some(&b"counter"[..])] {
        let scene = Scene::open().await;
        for number in 0..3 {
            let mut client = scene.client(number).await;
            let mine = client.acquire_with_bad_fence(counter).await.expect("it is free");
            client.release_by(mine, &[b"DEL", LOCK, b"counter"]).await;
        }
        let verdict = scene.verdict();
        breaks(&verdict, Rule::FencesDiffer);
        assert_eq!(verdict.violations, 2, "{:?}", verdict.named);
    }
}

#[tokio::test]
async fn a_right_lock_passes_under_contention_and_with_sleepy_holders() {
    const TTL_MS: u32 = 20;
    let scene = Scene::open().await;
    let mut clients = JoinSet::new();
    let local = LocalSet::new();
    for number in 0..6 {
        let mut client = scene.client(number).await;
        clients.spawn_local_on(
            async move {
                for round in 0..150 {
                    let Some(mine) = client.acquire(TTL_MS).await else { continue };
                    if round % 50 == 10 {
                        client.oversleep(mine).await;
                    }
                    client.release(mine).await;
                }
            },
            &local,
        );
    }
    local.await;
    clients.join_all().await;
    let verdict = scene.verdict();
    assert_eq!(verdict.violations, 0, "{:?}", verdict.named);
    assert!(scene.count(|action| matches!(action, LockAction::Acquire(Answer::Ok(_)))) > 10);
    assert!(scene.count(|action| matches!(action, LockAction::Acquire(Answer::Refused(())))) > 10);
}
