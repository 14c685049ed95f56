//! Connections grow old by a paused clock, on a node that goes on, and on one that is stopped meanwhile.

use std::sync::atomic::Ordering::Release;

use futures_util::future::join_all;
use signalbox_registry::memory::MemoryCluster;
use tokio::time::{advance, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::super::tests::{Seen, see};
use super::*;
use crate::keeper;
use crate::node::Settings;
use crate::stop::drain;
use crate::testing::{Client, default_settings, join, node_in, queued};

const SECOND: Duration = Duration::from_secs(1);

fn max_age(seconds: u64, dither_percent: u32) -> MaxAge {
    MaxAge { age: Duration::from_secs(seconds), dither_percent }
}

/// A node whose background tasks run.
async fn node(max_age: MaxAge, closes_per_second: u32) -> Arc<Node> {
    let mut settings = Settings { max_age, ..default_settings() };
    settings.stop.closes_per_second = closes_per_second;
    let node = node_in(&MemoryCluster::new(), "n1", settings).await;
    drop(keeper::spawn(&node));
    node
}

async fn vehicles(node: &Arc<Node>, count: usize) -> Vec<Client> {
    let mut vehicles = Vec::new();
    for number in 0..count {
        vehicles.push(Client::connect(node, &format!("agent_type=vehicle&agent_id=V{number}")).await);
    }
    vehicles
}

async fn see_all(vehicles: Vec<Client>) -> Vec<Seen> {
    join_all(vehicles.into_iter().map(see)).await
}

/// Each was told once, and closed then; no second saw more than `rate`. When they were closed, in order.
pub(in crate::stop) fn in_good_order(seen: &[Seen], rate: usize) -> Vec<Instant> {
    for one in seen {
        let (told_at, draining) = one.told.as_ref().unwrap();
        let moment = *told_at + Duration::from_millis(draining.reconnect_in_ms);
        assert!(one.closed >= moment, "{one:?}");
        assert_eq!((one.code, draining.reason), (1012, DrainReason::Balance));
    }
    let mut closed: Vec<Instant> = seen.iter().map(|one| one.closed).collect();
    closed.sort();
    assert!(closed.iter().zip(&closed[rate..]).all(|(one, later)| *later - *one >= SECOND), "{closed:?}");
    closed
}

#[test]
fn ages_lie_evenly_between_the_least_and_the_most() {
    let ages: Vec<u32> = (1_000..2_000).filter_map(|number| max_age(1_000, 50).of(number)).collect();
    assert_eq!(ages.len(), 1_000);
    assert!(ages.iter().all(|age| (500..=1_000).contains(age)));
    for from in (500..1_000).step_by(50) {
        let some = ages.iter().filter(|age| (from..from + 50).contains(*age)).count();
        assert!((95..=105).contains(&some), "{some} from {from} on");
    }
    assert_eq!(max_age(0, 50).of(7), None);
}

#[tokio::test(start_paused = true)]
async fn those_who_came_together_leave_one_after_the_other_and_none_is_older_than_the_most() {
    let node = node(max_age(100, 50), 10).await;
    let began = Instant::now();
    let seen = see_all(vehicles(&node, 60).await).await;
    let closed = in_good_order(&seen, 10);
    assert!(closed[0] >= began + 46 * SECOND, "nobody is much too young");
    assert!(closed[59] <= began + 100 * SECOND, "nobody is too old");
    assert!(closed.iter().zip(&closed[15..]).all(|(one, later)| *later - *one >= 10 * SECOND), "spread");
    assert_eq!(node.metrics.departures.with_label_values(&["balance"]).get(), 60);
    assert!(node.departures.next_turn().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_pace_is_kept_even_if_some_grow_older_for_it() {
    let node = node(max_age(60, 10), 2).await;
    let began = Instant::now();
    let seen = see_all(vehicles(&node, 60).await).await;
    let closed = in_good_order(&seen, 2);
    assert!(closed[59] > began + 60 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_line_that_begins_anew_keeps_the_pace() {
    let node = node(max_age(60, 10), 2).await;
    let mut watched = Vec::new();
    // Soon after the line has emptied there are always some more.
    for _ in 0..20 {
        watched.extend(vehicles(&node, 3).await.into_iter().map(|vehicle| node.tasks.spawn(see(vehicle))));
        sleep(Duration::from_millis(1_700)).await;
    }
    let seen: Vec<Seen> = join_all(watched).await.into_iter().map(Result::unwrap).collect();
    in_good_order(&seen, 2);
}

/// What the heartbeat's task does once a second, without its steps.
fn look(node: &Node) {
    let mut old = Old::at_this_look(node);
    node.hub.for_each(|connection| old.look_at(node, connection));
    old.tell(node);
}

#[tokio::test(start_paused = true)]
async fn off_nobody_is_ever_old() {
    let node = node_in(&MemoryCluster::new(), "n1", default_settings()).await;
    let connection = join(&node, "").await;
    advance(Duration::from_secs(30 * 24 * 3_600)).await;
    look(&node);
    assert!(queued(&connection).is_empty() && node.departures.next_turn().is_none());
}

#[tokio::test(start_paused = true)]
async fn while_nobody_can_come_in_nobody_is_sent_away() {
    let settings = Settings { max_age: max_age(60, 10), ..default_settings() };
    let node = node_in(&MemoryCluster::new(), "n1", settings).await;
    let connection = join(&node, "").await;
    advance(Duration::from_secs(60)).await;
    node.lease_held.store(false, Release);
    look(&node);
    assert!(node.departures.next_turn().is_none(), "it is not even told");
    node.lease_held.store(true, Release);
    look(&node);
    assert!(node.departures.next_turn().is_some_and(|turn| turn <= Instant::now()));
    node.lease_held.store(false, Release);
    assert!(timeout(10 * SECOND, serve(&node)).await.is_err());
    assert_eq!(connection.outbox().closing(), None, "it was told, and stays for as long as that lasts");
    node.lease_held.store(true, Release);
    assert!(timeout(SECOND, serve(&node)).await.is_err());
    assert_eq!(connection.outbox().closing(), Some(CloseCode::ServiceRestart));
}

#[tokio::test(start_paused = true)]
async fn a_drain_takes_the_line_over() {
    let node = node(max_age(60, 10), 2).await;
    let vehicles = vehicles(&node, 30).await;
    let draining = async {
        sleep(53 * SECOND).await;
        assert!(node.departures.next_turn().is_some(), "some are in line");
        drain(&node, &CancellationToken::new()).await;
    };
    let (seen, ()) = tokio::join!(see_all(vehicles), draining);
    let mut closed: Vec<Instant> = seen.iter().map(|one| one.closed).collect();
    closed.sort();
    assert!(closed.iter().zip(&closed[2..]).all(|(one, later)| *later - *one >= SECOND), "{closed:?}");
    let told = |reason| seen.iter().filter(|one| one.told.as_ref().unwrap().1.reason == reason).count();
    assert_eq!(told(DrainReason::Balance) + told(DrainReason::Stopping), 30);
    assert!(told(DrainReason::Balance) > 0 && told(DrainReason::Stopping) > 0);
}
