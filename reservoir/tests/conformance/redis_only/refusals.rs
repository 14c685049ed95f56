//! A script that refuses leaves no trace.

use signalbox_protocol::fleet::NewVehicle;
use signalbox_reservoir::repository::{Alighting, Boarding, Settings};
use signalbox_testkit::RedisServer;

use crate::world::{Node, alighting, boarding, patient, tenant, vehicle};

/// Every key of the tenant's fleet and a digest of what is in it.
fn dump(server: &RedisServer) -> String {
    const DUMP: &str = "local keys = redis.call('KEYS', 'sb:{acme:fleet}:*') table.sort(keys) \
        for n, key in ipairs(keys) do keys[n] = key .. ' ' .. redis.sha1hex(redis.call('DUMP', key)) end return keys";
    server.cli(&["eval", DUMP, "0"])
}

/// One passenger in each state, and a vehicle with and one without a free seat.
async fn a_fleet(node: &Node) -> u64 {
    node.push(&["WAITING", "SHOWN", "BOARDED", "ALIGHTED", "CANCELLED"]).await;
    node.vehicle("FULL", 1).await;
    node.vehicle("FREE", 9).await;
    node.board("BOARDED", "FULL").await.unwrap();
    let ride = node.repository.board(&node.request("r"), &boarding("ALIGHTED", "FREE")).await.unwrap();
    node.alight("ALIGHTED", ride.fence).await.unwrap();
    node.cancel("CANCELLED").await.unwrap();
    let shown = Boarding { fence: Some(100), ..boarding("SHOWN", "FULL") };
    node.repository.board(&node.actor(), &shown).await.unwrap_err();
    ride.fence
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_refusal_changes_anything() {
    let server = RedisServer::start().await;
    let node = Node::on_redis(&patient(&server), Settings::default()).await;
    let fence = a_fleet(&node).await;
    let before = dump(&server);
    assert!(before.lines().count() > 10, "{before:?}");
    let unchanged = |what: &str| assert_eq!(dump(&server), before, "{what}");
    for (passenger, by, fence) in [
        ("NOBODY", "FREE", None),
        ("WAITING", "NONE", None),
        ("WAITING", "FULL", None),
        ("BOARDED", "FREE", None),
        ("BOARDED", "FREE", Some(1_000)),
        ("ALIGHTED", "FREE", Some(1_000)),
        ("CANCELLED", "FREE", Some(1_000)),
        ("SHOWN", "FREE", Some(99)),
        ("SHOWN", "FULL", Some(100)),
    ] {
        let wish = Boarding { fence, ..boarding(passenger, by) };
        node.repository.board(&node.actor(), &wish).await.unwrap_err();
        unchanged(passenger);
    }
    for (passenger, fence) in
        [("NOBODY", 1), ("WAITING", 1), ("BOARDED", 1), ("ALIGHTED", 1), ("CANCELLED", 1)]
    {
        node.alight(passenger, fence).await.unwrap_err();
        unchanged(passenger);
    }
    for passenger in ["NOBODY", "BOARDED", "ALIGHTED"] {
        node.cancel(passenger).await.unwrap_err();
        unchanged(passenger);
    }
    let list = ["NEW", "NEWER", "WAITING", "NEWEST"].map(|id| node.waiting(id, "depot:4"));
    node.repository.push(&node.actor(), list.to_vec()).await.unwrap_err();
    unchanged("push");
    let stands = NewVehicle { capacity: 0, pool: None, position: None };
    node.repository.put_vehicle(&tenant("acme"), &vehicle("FULL"), &stands).await.unwrap_err();
    unchanged("put_vehicle");
    // Repeated requests change nothing either.
    node.repository.board(&node.request("r"), &boarding("ALIGHTED", "FREE")).await.unwrap();
    node.alight("ALIGHTED", fence).await.unwrap();
    node.cancel("CANCELLED").await.unwrap();
    unchanged("retries");
    let other = Alighting { vehicle_id: Some(vehicle("FULL")), ..alighting("ALIGHTED", fence) };
    node.repository.alight(&node.actor(), &other).await.unwrap_err();
    unchanged("another's passenger");
    node.board("WAITING", "FREE").await.unwrap();
    assert_ne!(dump(&server), before, "the test can fail");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_without_memory_refuses_whole_changes_and_still_lets_go() {
    let server = RedisServer::start().await;
    let node = Node::on_redis(&patient(&server), Settings::default()).await;
    a_fleet(&node).await;
    let fence = node.passenger("BOARDED").await.unwrap().fence.unwrap();
    let before = dump(&server);
    server.cli(&["config", "set", "maxmemory", "1"]);
    node.board("WAITING", "FREE").await.unwrap_err();
    node.repository.push(&node.actor(), vec![node.waiting("NEW", "route:12")]).await.unwrap_err();
    assert_eq!(dump(&server), before);
    // What gives up a seat or a place in a pool needs no room.
    node.alight("BOARDED", fence).await.unwrap();
    node.cancel("WAITING").await.unwrap();
    server.cli(&["config", "set", "maxmemory", "0"]);
    node.board("SHOWN", "FULL").await.unwrap();
}
