//! Several nodes turn the clock, on fleets that others filled; and a clock that goes back.

use std::collections::HashSet;

use signalbox_protocol::fleet::{Passenger, PassengerState};
use signalbox_protocol::timestamp::Timestamp;
use signalbox_registry::redis::RedisConfig;
use signalbox_reservoir::repository::{Filter, Settings};
use signalbox_testkit::{Forwarder, RedisServer, eventually};

use crate::world::{Node, SOON, patient, tenant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_turn_the_clock_together_end_each_wait_once() {
    let server = RedisServer::start().await;
    let config = patient(&server);
    let (pusher, a) = (
        Node::on_redis(&config, Settings::default()).await,
        Node::on_redis(&config, Settings::default()).await,
    );
    let b = Node::on_redis(&config, Settings::default()).await;
    b.follow("route:12").await;
    let end = Timestamp(pusher.now().0 + 700);
    for name in ["acme", "rival", "third"] {
        let actor = signalbox_reservoir::Actor { tenant: tenant(name), ..pusher.actor() };
        let one =
            |number| Passenger { expires_at: Some(end), ..pusher.waiting(&format!("P{number}"), "route:12") };
        pusher.repository.push(&actor, (0..450).map(one).collect()).await.unwrap();
    }
    drop(pusher);
    let mut ended = 0;
    while ended < 3 * 450 {
        eventually("waits end", SOON, || async {
            let (from_a, from_b) = tokio::join!(a.repository.expire(a.now()), b.repository.expire(b.now()));
            let some = from_a.unwrap() + from_b.unwrap();
            some > 0 && {
                b.heard.all();
                true
            }
        })
        .await;
        ended = expired(&a).await;
    }
    assert_eq!(ended, 3 * 450);
    let messages = b.heard.messages("route:12", 455).await;
    let told: HashSet<_> = messages
        .iter()
        .filter(|message| message["type"] == "commuter:expired")
        .map(|message| message["data"]["passenger_id"].to_string())
        .collect();
    assert_eq!((messages.len(), told.len()), (455, 450));
}

async fn expired(node: &Node) -> usize {
    let filter = Filter { pool: None, state: Some(PassengerState::Expired) };
    let mut count = 0;
    for name in ["acme", "rival", "third"] {
        count += node.repository.list(&tenant(name), &filter, None, 1_000).await.unwrap().items.len();
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_tenant_on_the_list_of_fleets_hurts_nobody() {
    let server = RedisServer::start().await;
    let node = Node::on_redis(&patient(&server), Settings::default()).await;
    server.cli(&["zadd", "sb:fleets", "1", "no tenant", "1", "{}", "2", "forgotten"]);
    let end = Some(Timestamp(node.now().0 + 100));
    let one = Passenger { expires_at: end, ..node.waiting("COM_1", "route:12") };
    node.repository.push(&node.actor(), vec![one]).await.unwrap();
    eventually("the wait ends", SOON, || async { node.repository.expire(node.now()).await.unwrap() == 1 })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_dies_over_a_look_delays_it_by_moments() {
    let server = RedisServer::start().await;
    let path = Forwarder::start(server.port()).await;
    let survivor = Node::on_redis(&patient(&server), Settings::default()).await;
    let dying = Node::on_redis(&RedisConfig::new(&path.url()), Settings::default()).await;
    // It has looked before: no answer but the one that is withheld is between it and its death.
    dying.repository.expire(dying.now()).await.unwrap();
    let end = Some(Timestamp(survivor.now().0 - 1));
    let one = Passenger { expires_at: end, ..survivor.waiting("COM_1", "route:12") };
    survivor.repository.push(&survivor.actor(), vec![one]).await.unwrap();
    path.withhold_answers();
    dying.repository.expire(dying.now()).await.unwrap_err();
    drop(dying);
    let taken = survivor.repository.expire(survivor.now()).await.unwrap();
    assert_eq!(taken, 0, "the other one has it");
    eventually("the wait ends", SOON, || async {
        survivor.repository.expire(survivor.now()).await.unwrap() == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fences_grow_though_the_clock_goes_back() {
    let server = RedisServer::start().await;
    let node = Node::on_redis(&patient(&server), Settings::default()).await;
    node.push(&["COM_1", "COM_2"]).await;
    node.vehicle("V1", 2).await;
    let in_an_hour = (node.now().0 + 3_600_000) * 1_000;
    server.cli(&["set", "sb:{acme:fleet}:fence", &in_an_hour.to_string()]);
    assert_eq!(node.board("COM_1", "V1").await.unwrap().fence, in_an_hour + 1);
    assert_eq!(node.board("COM_2", "V1").await.unwrap().fence, in_an_hour + 2);
    assert_eq!(node.on_board("V1").await, ["COM_1", "COM_2"]);
}
