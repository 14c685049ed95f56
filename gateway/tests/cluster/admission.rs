//! Who may come in: so many a second, so many at once, so many without a word.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;
use signalbox_gateway::admission::Rank;
use signalbox_testkit::eventually;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Error;

use crate::client::{Client, PATIENCE};
use crate::fixture::{TestCluster, TestNode, config};
use crate::http::{call, get};

/// How a storm ended: how many were welcomed, and after how many seconds each of the others shall come back.
#[derive(Default)]
struct Aftermath {
    welcomed: Vec<Client>,
    told: Vec<u64>,
}

async fn knock(address: SocketAddr, number: usize) -> Result<Client, u64> {
    let url = format!("ws://{address}/ws?agent_type=passenger&agent_id=P{number}");
    match timeout(PATIENCE, connect_async(url)).await.expect("answered in time") {
        Ok((ws, _)) => Ok(Client::welcomed(ws).await),
        Err(Error::Http(response)) => {
            assert_eq!(response.status(), 503);
            assert_eq!(response.headers()["connection"], "close");
            Err(response.headers()["retry-after"].to_str().unwrap().parse().unwrap())
        }
        Err(error) => panic!("{error}"),
    }
}

async fn storm(address: SocketAddr, clients: usize) -> Aftermath {
    let mut knocking = JoinSet::new();
    for number in 0..clients {
        knocking.spawn(knock(address, number));
    }
    let mut aftermath = Aftermath::default();
    for knocked in knocking.join_all().await {
        match knocked {
            Ok(client) => aftermath.welcomed.push(client),
            Err(seconds) => aftermath.told.push(seconds),
        }
    }
    aftermath
}

fn handshakes(node: &TestNode, result: &str) -> usize {
    node.node.metrics.handshakes.with_label_values(&[result]).get() as usize
}

async fn gauge(address: SocketAddr, name: &str) -> String {
    let text = call(address, "GET", "/metrics", "").await.1;
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("{name} is in the metrics")).rsplit(' ').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_newcomers_is_bounded_and_those_who_are_there_go_on() {
    let mut few = config(None);
    few.admission.handshakes_max = 4;
    // This is about the door, not about how soon a busy machine lets Redis answer.
    few.redis.command_timeout = Duration::from_secs(4);
    let cluster = TestCluster::start_with(1, few).await;
    let node = &cluster.nodes[0];
    let mut sender = node.client("driver:D").await;
    let mut vehicle = node.client("vehicle:V").await;
    let traffic = async {
        for number in 0..100 {
            let answer = sender.emit("test:number", "vehicle:V", json!(number)).await;
            assert_eq!(answer["type"], "system:ack", "{answer}");
            assert_eq!(vehicle.expect("test:number").await, json!(number));
        }
    };
    let (aftermath, ()) = tokio::join!(storm(node.address, 300), traffic);
    assert_eq!(aftermath.welcomed.len() + aftermath.told.len(), 300);
    assert_eq!(handshakes(node, "accepted"), aftermath.welcomed.len() + 2);
    assert_eq!(handshakes(node, "refused_busy"), aftermath.told.len());
    assert_eq!(node.node.hub.len(), aftermath.welcomed.len() + 2);
    assert_eq!(gauge(node.address, "signalbox_handshakes_under_way").await, "0");
    drop(aftermath);
    eventually("the newcomers are gone", PATIENCE, || async { node.node.hub.len() == 2 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_bound_newcomers_are_sent_away_with_different_times_and_nobody_else_is() {
    let mut few = config(None);
    few.admission.handshakes_max = 2;
    let node = TestNode::start(&few).await;
    let mut vehicle = node.client("vehicle:V").await;
    let under_way =
        [node.node.admission.admit(Rank::First).unwrap(), node.node.admission.admit(Rank::First).unwrap()];
    assert_eq!(gauge(node.address, "signalbox_handshakes_under_way").await, "2");
    let aftermath = storm(node.address, 50).await;
    assert!(aftermath.welcomed.is_empty());
    let times: BTreeSet<u64> = aftermath.told.into_iter().collect();
    assert!(times.len() > 1 && times.iter().all(|seconds| (1..=5).contains(seconds)), "{times:?}");
    assert_eq!((handshakes(&node, "refused_busy"), handshakes(&node, "accepted")), (50, 1));
    vehicle.expect_nothing().await;
    assert_eq!(get(node.address, "/api/connections?agent=vehicle:V").await.0, 200);
    assert_eq!(call(node.address, "GET", "/readyz", "").await.0, 200);
    drop(under_way);
    assert_eq!(storm(node.address, 1).await.welcomed.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_rate_newcomers_are_sent_away() {
    let mut slow = config(None);
    slow.admission.handshakes_per_second = 1;
    let node = TestNode::start(&slow).await;
    let aftermath = storm(node.address, 50).await;
    assert!(!aftermath.welcomed.is_empty() && !aftermath.told.is_empty());
    assert_eq!(handshakes(&node, "accepted"), aftermath.welcomed.len());
    assert_eq!(handshakes(&node, "refused_rate"), aftermath.told.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_that_fails_gives_its_place_back() {
    let mut one = config(None);
    one.admission.handshakes_max = 1;
    let node = TestNode::start(&one).await;
    for (path, refusal) in
        [("/ws/nowhere", 404), ("/ws?agent_type=nobody", 400), ("/ws?agent_type=x%20y", 400)]
    {
        assert_eq!(Client::refusal(node.address, path).await, refusal, "{path}");
    }
    let _owner = Client::connect(node.address, "/ws?session_id=S&subject=me").await;
    assert_eq!(Client::refusal(node.address, "/ws?session_id=S&subject=other").await, 4403);
    assert_eq!(node.node.admission.under_way(), 0);
    node.client("vehicle:V").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_door_is_told_before_anything_is_read() {
    let mut one = config(None);
    one.admission.handshakes_max = 1;
    let node = TestNode::start(&one).await;
    let wrong = [("/ws/nowhere", 404), ("/ws?agent_type=nobody", 400), ("/ws?agent_type=x%20y", 400)];
    let under_way = node.node.admission.admit(Rank::First).unwrap();
    for (path, _) in wrong {
        assert_eq!(Client::refusal(node.address, path).await, 503, "{path}");
    }
    assert_eq!((handshakes(&node, "refused_busy"), handshakes(&node, "malformed")), (3, 0));
    drop(under_way);
    for (path, refusal) in wrong {
        assert_eq!(Client::refusal(node.address, path).await, refusal, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_sockets_make_room_for_those_who_speak() {
    let mut few = config(None);
    few.admission.silent_sockets_max = 3;
    let node = TestNode::start_unready(&few);
    let mut silent = Vec::new();
    for number in 1..=3 {
        silent.push(TcpStream::connect(node.address).await.unwrap());
        eventually("it is accepted", PATIENCE, || async { node.node.lobby.len() == number }).await;
    }
    assert_eq!(call(node.address, "GET", "/livez", "").await.0, 200);
    assert_eq!(node.node.metrics.sockets_dropped.get(), 1);
    let mut oldest = silent.remove(0);
    let ended = timeout(Duration::from_secs(5), oldest.read(&mut [0])).await.expect("dropped, not forgotten");
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    drop(silent);
    eventually("nobody is silent", PATIENCE, || async { node.node.lobby.is_empty() }).await;
    assert_eq!(gauge(node.address, "signalbox_sockets_silent").await, "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_of_silent_sockets_waits_behind_itself_alone() {
    let mut few = config(None);
    few.admission.silent_sockets_max = 4;
    let node = TestNode::start_unready(&few);
    let mut crowd = Vec::new();
    for _ in 0..36 {
        crowd.push(silent_socket(node.address).await);
    }
    eventually("all seats are taken, and all others wait", PATIENCE, || async {
        (node.node.lobby.len(), node.node.lobby.waiting()) == (4, 32)
            || node.node.metrics.sockets_dropped.get() > 0
    })
    .await;
    assert_eq!(call(node.address, "GET", "/livez", "").await.0, 200);
    let dropped = node.node.metrics.sockets_dropped.get();
    assert!(dropped < 30, "whoever speaks came in before the crowd was through: {dropped} of it had to go");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_too_many_to_wait_is_told() {
    let mut one = config(None);
    one.admission.silent_sockets_max = 1;
    let node = TestNode::start_unready(&one);
    let mut crowd = JoinSet::new();
    for _ in 0..20 {
        crowd.spawn(async move {
            let mut said = Vec::new();
            // Those who were not told are dropped in their turn, or reset.
            let _ = silent_socket(node.address).await.read_to_end(&mut said).await;
            said.starts_with(b"HTTP/1.1 503 ")
        });
    }
    let somebody_was_told = async {
        while let Some(told) = crowd.join_next().await {
            if told.unwrap() {
                return true;
            }
        }
        false
    };
    assert!(timeout(PATIENCE, somebody_was_told).await.expect("they are told at once"));
}

/// Connected from an address that nobody else uses.
async fn silent_socket(node: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.66:0".parse().unwrap()).unwrap();
    socket.connect(node).await.unwrap()
}
