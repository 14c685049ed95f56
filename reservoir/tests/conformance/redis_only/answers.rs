//! Answers that are lost, and commands that come late: what happened is unknown, and asking again tells.

use std::time::Duration;

use signalbox_protocol::fleet::PassengerState;
use signalbox_registry::Error as RegistryError;
use signalbox_registry::redis::RedisConfig;
use signalbox_reservoir::Error;
use signalbox_reservoir::repository::{Boarded, Settings};
use signalbox_testkit::{Forwarder, RedisServer, eventually};

use crate::world::{Node, SOON, boarding, id, patient, tenant};

async fn node_at(url: &str) -> Node {
    Node::on_redis(&RedisConfig::new(url), Settings::default()).await
}

async fn patient_node(server: &RedisServer) -> Node {
    Node::on_redis(&patient(server), Settings::default()).await
}

fn is_unknown<T: std::fmt::Debug>(answer: &Result<T, Error>) {
    assert!(matches!(answer, Err(Error::Registry(RegistryError::OutcomeUnknown(_)))), "{answer:?}");
}

/// Boards as request `r` until there is an answer.
async fn boarded(node: &Node, passenger: &str, by: &str) -> Boarded {
    let ask = || async { node.repository.board(&node.request("r"), &boarding(passenger, by)).await };
    eventually("an answer", SOON, || async { ask().await.is_ok() }).await;
    ask().await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_boarding_whose_answer_was_lost_is_told_to_whoever_asks_again() {
    let server = RedisServer::start().await;
    let path = Forwarder::start(server.port()).await;
    let (near, far) = (patient_node(&server).await, node_at(&path.url()).await);
    near.follow("route:12").await;
    near.push(&["COM_1"]).await;
    near.vehicle("V1", 2).await;
    far.board("NOBODY", "V1").await.unwrap_err();
    path.withhold_answers();
    is_unknown(&far.repository.board(&far.request("r"), &boarding("COM_1", "V1")).await);
    let passenger = near.passenger("COM_1").await.unwrap();
    assert_eq!(passenger.state, PassengerState::Boarded, "it happened");
    path.heal();
    let first = boarded(&far, "COM_1", "V1").await;
    assert_eq!(Some(first.fence), passenger.fence);
    assert_eq!(boarded(&near, "COM_1", "V1").await, first, "on whichever node");
    assert_eq!(near.on_board("V1").await, ["COM_1"]);
    near.push(&["LAST"]).await;
    assert_eq!(near.heard.messages("route:12", 3).await.len(), 3, "and was told once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_is_one_round_trip_and_raises_the_version_of_a_pool_once() {
    let server = RedisServer::start().await;
    let path = Forwarder::start(server.port()).await;
    let near = patient_node(&server).await;
    // A script that comes behind this does nothing.
    let command_timeout = Duration::from_secs(2);
    let config = RedisConfig { command_timeout, ..RedisConfig::new(&path.url()) };
    let far = Node::on_redis(&config, Settings::default()).await;
    far.push(&["FIRST"]).await;
    let version = || server.cli(&["hget", "sb:{acme:fleet}:versions", "route:12"]);
    assert_eq!(version(), "1");
    // A push that waited for an answer before it is whole would stay half done.
    path.withhold_answers();
    let many = (0..230).map(|number| far.waiting(&format!("P{number}"), "route:12")).collect();
    is_unknown(&far.repository.push(&far.actor(), many).await);
    assert!(near.passenger("P229").await.is_some(), "it happened");
    assert_eq!(version(), "2", "though it is told in several messages");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alighting_whose_answer_was_lost_is_told_to_whoever_asks_again() {
    let server = RedisServer::start().await;
    let path = Forwarder::start(server.port()).await;
    let (near, far) = (patient_node(&server).await, node_at(&path.url()).await);
    near.push(&["COM_1"]).await;
    near.vehicle("V1", 2).await;
    let fence = far.board("COM_1", "V1").await.unwrap().fence;
    path.withhold_answers();
    is_unknown(&far.alight("COM_1", fence).await);
    path.heal();
    eventually("an answer", SOON, || async { far.alight("COM_1", fence).await.is_ok() }).await;
    assert!(near.on_board("V1").await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_boarding_that_comes_late_does_nothing() {
    let server = RedisServer::start().await;
    let (one, other) = (node_at(&server.url()).await, node_at(&server.url()).await);
    one.follow("route:12").await;
    let patient = patient_node(&server).await;
    patient.push(&["COM_1", "COM_2"]).await;
    patient.vehicle("V1", 1).await;
    patient.vehicle("V2", 1).await;
    for node in [&one, &other] {
        node.board("NOBODY", "V1").await.unwrap_err();
    }
    server.pause();
    let (actor, others) = (one.request("r"), other.request("r"));
    let (mine, theirs) = (boarding("COM_1", "V1"), boarding("COM_2", "V2"));
    let answers = tokio::join!(one.repository.board(&actor, &mine), other.repository.board(&others, &theirs));
    is_unknown(&answers.0);
    is_unknown(&answers.1);
    server.resume();
    // What is asked now comes behind the late commands.
    for node in [&one, &other] {
        let ask = || async { node.repository.passenger(&tenant("acme"), &id("COM_1")).await.is_ok() };
        eventually("the late commands have run", SOON, ask).await;
    }
    for waiting in ["COM_1", "COM_2"] {
        assert_eq!(one.passenger(waiting).await.unwrap().state, PassengerState::Waiting);
    }
    // Whoever asked first and got no answer has no claim: now the other one is first.
    let first = other.repository.board(&other.request("s"), &boarding("COM_1", "V2")).await.unwrap();
    one.repository.board(&one.request("r"), &boarding("COM_1", "V1")).await.unwrap_err();
    let second = boarded(&other, "COM_2", "V1").await;
    assert!(second.fence > first.fence);
    assert_eq!(
        (one.on_board("V1").await, one.on_board("V2").await),
        (vec!["COM_2".into()], vec!["COM_1".into()])
    );
    assert_eq!(one.heard.messages("route:12", 3).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_away_is_no_reason_to_wait_and_nothing_is_done() {
    let mut server = RedisServer::start_durable().await;
    let node = patient_node(&server).await;
    node.push(&["COM_1"]).await;
    node.vehicle("V1", 1).await;
    server.kill();
    eventually("it is noticed", SOON, || async {
        let answer = node.board("COM_1", "V1").await;
        matches!(answer, Err(Error::Registry(RegistryError::Unavailable(_))))
    })
    .await;
    server.start_again().await;
    node.ready().await;
    assert_eq!(node.passenger("COM_1").await.unwrap().state, PassengerState::Waiting);
    node.board("COM_1", "V1").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_forgot_its_scripts_is_told_them_again() {
    let server = RedisServer::start().await;
    let node = patient_node(&server).await;
    for round in 0..2 {
        let who = format!("COM_{round}");
        server.cli(&["script", "flush"]);
        node.push(&[&who]).await;
        node.vehicle("V1", 1).await;
        server.cli(&["script", "flush"]);
        let fence = node.board(&who, "V1").await.unwrap().fence;
        node.alight(&who, fence).await.unwrap();
    }
}
