//! Redis is killed while vehicles race for passengers, and comes back with what it had answered.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use signalbox_registry::Error as RegistryError;
use signalbox_registry::redis::RedisConfig;
use signalbox_reservoir::Error;
use signalbox_reservoir::repository::{Boarded, Settings};
use signalbox_testkit::{Forwarder, RedisServer, eventually};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::world::{Node, SOON, boarding, patient};

const VEHICLES: usize = 12;
const PASSENGERS: usize = 1_200;
const SEATS: u32 = 80;
/// After so many boardings Redis is killed.
const KILLED_AFTER: usize = 40;

/// A passenger who is not raced for.
const LAST: &str = "LAST";

/// What a vehicle that raced knows.
#[derive(Default)]
struct Raced {
    confirmed: Vec<(String, Boarded)>,
    unknown: Vec<String>,
    /// Tries that certainly did nothing, while Redis was away.
    failed: usize,
}

/// Tells when enough have been boarded, and when Redis was killed for it. From enough on no answer comes through, so
/// that all other requests under way are unknown.
struct Progress {
    path: Forwarder,
    confirmed: AtomicUsize,
    enough: Notify,
    killed: watch::Sender<bool>,
}

impl Progress {
    fn on(path: Forwarder) -> Self {
        Self {
            path,
            confirmed: AtomicUsize::default(),
            enough: Notify::new(),
            killed: watch::Sender::default(),
        }
    }

    fn one_more(&self) {
        if self.confirmed.fetch_add(1, Ordering::Relaxed) + 1 == KILLED_AFTER {
            self.path.withhold_answers();
            self.enough.notify_one();
        }
    }

    async fn killed(&self) {
        self.killed.subscribe().wait_for(|killed| *killed).await.unwrap();
    }
}

fn request(passenger: &str, by: &str) -> String {
    format!("{by} boards {passenger}")
}

/// Tries every passenger once, from a place of its own on; half of them when Redis is gone.
async fn race(node: Arc<Node>, number: usize, progress: Arc<Progress>) -> Raced {
    let (by, mut raced) = (format!("V{number}"), Raced::default());
    for step in 0..PASSENGERS {
        if step == PASSENGERS / 2 {
            progress.killed().await;
        }
        let passenger = format!("P{}", (number * 5 + step) % PASSENGERS);
        let actor = node.request(&request(&passenger, &by));
        match node.repository.board(&actor, &boarding(&passenger, &by)).await {
            Ok(boarded) => {
                progress.one_more();
                raced.confirmed.push((passenger, boarded));
            }
            Err(Error::Denied(_)) => {}
            Err(Error::Registry(RegistryError::OutcomeUnknown(_))) => raced.unknown.push(passenger),
            Err(Error::Registry(RegistryError::Unavailable(_))) => raced.failed += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    raced
}

/// V0 boards a passenger whom nobody else wants, and hears nothing.
async fn race_for_the_last(node: Arc<Node>) {
    let answer = node.repository.board(&node.request(&request(LAST, "V0")), &boarding(LAST, "V0")).await;
    assert!(matches!(answer, Err(Error::Registry(RegistryError::OutcomeUnknown(_)))), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_redis_boards_nobody_twice_and_retries_tell_what_happened() {
    let mut server = RedisServer::start_durable().await;
    let progress = Arc::new(Progress::on(Forwarder::start(server.port()).await));
    let config = RedisConfig { url: progress.path.url(), ..patient(&server) };
    let nodes = [
        Arc::new(Node::on_redis(&config, Settings::default()).await),
        Arc::new(Node::on_redis(&config, Settings::default()).await),
    ];
    let ids: Vec<_> = (0..PASSENGERS).map(|number| format!("P{number}")).collect();
    nodes[0].push(&ids.iter().map(String::as_str).collect::<Vec<_>>()).await;
    nodes[0].push(&[LAST]).await;
    let mut races = JoinSet::new();
    for number in 0..VEHICLES {
        nodes[0].vehicle(&format!("V{number}"), SEATS).await;
    }
    for number in 0..VEHICLES {
        let node = Arc::clone(&nodes[number % 2]);
        let progress = Arc::clone(&progress);
        races.spawn(async move { (number, race(node, number, progress).await) });
    }
    timeout(SOON, progress.enough.notified()).await.unwrap();
    let mut last = JoinSet::new();
    last.spawn(race_for_the_last(Arc::clone(&nodes[0])));
    let on_board = || async { !server.cli(&["zscore", "sb:{acme:fleet}:v:V0:on", LAST]).is_empty() };
    eventually("it has happened, and nobody was told", SOON, on_board).await;
    server.kill();
    progress.path.cut();
    progress.killed.send_replace(true);
    let mut raced = races.join_all().await;
    let unanswered = |raced: &Raced| raced.failed + raced.unknown.len();
    assert!(
        raced.iter().all(|(_, raced)| unanswered(raced) >= PASSENGERS / 2),
        "a dead Redis answers nobody"
    );
    last.join_all().await;
    let (_, of_v0) = raced.iter_mut().find(|(number, _)| *number == 0).unwrap();
    of_v0.unknown.push(LAST.to_owned());
    progress.path.heal();
    server.start_again().await;
    for node in &nodes {
        node.ready().await;
    }
    check(&nodes, raced).await;
}

/// Asks again until there is an answer; the boarding, unless that was refused.
async fn asked_again(node: &Node, passenger: &str, by: &str) -> Option<Boarded> {
    let ask = || async {
        let again = node.request(&request(passenger, by));
        node.repository.board(&again, &boarding(passenger, by)).await
    };
    let answered = || async { !matches!(ask().await, Err(Error::Registry(_))) };
    eventually("an answer", SOON, answered).await;
    match ask().await {
        Ok(boarded) => Some(boarded),
        Err(Error::Denied(_)) => None,
        Err(other) => panic!("{other:?}"),
    }
}

async fn check(nodes: &[Arc<Node>; 2], raced: Vec<(usize, Raced)>) {
    let mut taken: HashMap<String, (String, Boarded)> = HashMap::new();
    for (number, Raced { confirmed, unknown, .. }) in raced {
        let (node, by) = (&nodes[number % 2], format!("V{number}"));
        let mut got = confirmed;
        for passenger in unknown {
            // On the other node than the first time.
            let answer = asked_again(&nodes[(number + 1) % 2], &passenger, &by).await;
            got.extend(answer.map(|boarded| (passenger, boarded)));
        }
        for (passenger, boarded) in got {
            let again = asked_again(node, &passenger, &by).await;
            assert_eq!(again, Some(boarded), "what was confirmed stays so");
            let before = taken.insert(passenger, (by.clone(), boarded));
            assert!(before.is_none(), "{before:?} and {by}");
        }
    }
    let mut on_board = 0;
    for number in 0..VEHICLES {
        let by = format!("V{number}");
        let manifest = nodes[0].on_board(&by).await;
        assert!(manifest.len() <= SEATS as usize, "{by}: {manifest:?}");
        assert!(manifest.iter().all(|passenger| taken[passenger].0 == by), "{by}: {manifest:?}");
        on_board += manifest.len();
    }
    assert_eq!(on_board, taken.len());
    assert!(on_board >= KILLED_AFTER);
}
