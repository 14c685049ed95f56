//! Each bound refuses what is one too many, says when to come again, and forgets who has gone.

use std::time::Duration;

use serde_json::json;
use signalbox_protocol::close::CloseCode;
use tokio::time::advance;

use super::*;
use crate::testing::{join, lone_node, tenant, topic};

const NONE: LimitBounds = LimitBounds {
    connections: ConnectionBounds { all: 0, tenant: 0, agent: 0, address: 0, address_per_second: 0 },
    rates: RateBounds {
        messages: 0,
        bytes: 0,
        tenant_messages: 0,
        tenant_bytes: 0,
        lock_attempts: 0,
        refusals_max: 3,
    },
};

fn limits(set: impl FnOnce(&mut LimitBounds)) -> Arc<Limits> {
    let mut bounds = NONE;
    set(&mut bounds);
    Limits::new(bounds, Metrics::new())
}

fn agent(name: &str) -> Agent {
    Agent::from_topic(topic(name))
}

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

/// One newcomer, as far as it gets.
fn come(limits: &Arc<Limits>, from: &str, of: &str, name: &str) -> Result<Place, Limit> {
    let mut place = limits.enter(address(from))?;
    place.belongs_to(&tenant(of), &agent(name))?;
    Ok(place)
}

#[tokio::test]
async fn what_is_off_leaves_nothing_behind() {
    let node = lone_node().await;
    let connection = join(&node, "agent_type=driver&agent_id=D").await;
    let limits = limits(|_| {});
    let place = come(&limits, "10.0.0.1", "acme", "driver:D").unwrap();
    assert!(place.metering(&connection).is_none());
    assert_eq!((limits.places.len(), limits.meters.len()), (0, (0, 0)));
}

#[test]
fn each_bound_of_connections_is_its_own_and_a_place_comes_back() {
    type Set = fn(&mut ConnectionBounds);
    /// Address, tenant and agent.
    type Who = (&'static str, &'static str, &'static str);
    let cases: [(Set, Limit, [Who; 3]); 4] = [
        (
            |bounds| bounds.all = 2,
            Limit::NodeConnections,
            [("10.0.0.1", "a", "driver:1"), ("10.0.0.2", "b", "driver:2"), ("10.0.0.3", "c", "driver:3")],
        ),
        (
            |bounds| bounds.tenant = 2,
            Limit::TenantConnections,
            [("10.0.0.1", "a", "driver:1"), ("10.0.0.2", "a", "driver:2"), ("10.0.0.3", "a", "driver:3")],
        ),
        (
            |bounds| bounds.agent = 2,
            Limit::AgentConnections,
            [("10.0.0.1", "a", "driver:1"), ("10.0.0.2", "a", "driver:1"), ("10.0.0.3", "a", "driver:1")],
        ),
        (
            |bounds| bounds.address = 2,
            Limit::AddressConnections,
            [
                ("10.0.0.1", "a", "driver:1"),
                ("::ffff:10.0.0.1", "b", "driver:2"),
                ("10.0.0.1", "c", "driver:3"),
            ],
        ),
    ];
    for (set, limit, [first, second, third]) in cases {
        let limits = limits(|bounds| set(&mut bounds.connections));
        let came = |who: Who| come(&limits, who.0, who.1, who.2);
        let (held, second_held) = (came(first).unwrap(), came(second).unwrap());
        assert_eq!(came(third).unwrap_err(), limit);
        drop(held);
        drop(came(third).unwrap());
        let other = came(("192.0.2.9", "z", "driver:9"));
        assert!(other.is_ok(), "{limit:?}: another is not held up");
        drop((other, second_held));
        assert_eq!(limits.places.len(), 0, "{limit:?}: nothing is left");
    }
}

#[test]
fn of_ipv6_a_network_is_one_address() {
    let limits = limits(|bounds| bounds.connections.address = 1);
    let _held = limits.enter(address("2001:db8:1:2::1")).unwrap();
    assert_eq!(limits.enter(address("2001:db8:1:2:ffff::2")).unwrap_err(), Limit::AddressConnections);
    assert!(limits.enter(address("2001:db8:1:3::1")).is_ok());
}

#[tokio::test(start_paused = true)]
async fn of_an_address_ten_seconds_worth_come_at_once_and_then_its_rate() {
    let limits = limits(|bounds| bounds.connections.address_per_second = 2);
    let come = |from: &str| limits.arrive(from.parse().unwrap());
    assert!((0..20).all(|_| come("2001:db8::1").is_ok()));
    assert_eq!(come("2001:db8::2"), Err(Limit::AddressConnects), "of the same network");
    assert_eq!(come("192.0.2.1"), Ok(()), "another's");
    advance(Duration::from_millis(500)).await;
    assert_eq!((come("2001:db8::1"), come("2001:db8::1")), (Ok(()), Err(Limit::AddressConnects)));
}

#[tokio::test(start_paused = true)]
async fn addresses_that_came_long_ago_are_forgotten() {
    let limits = limits(|bounds| bounds.connections.address_per_second = 1);
    let come = |from: u32| limits.arrive(std::net::Ipv4Addr::from(from).into()).unwrap();
    (0..1_024).for_each(come);
    assert_eq!(limits.arrivals.len(), 1_024);
    advance(Duration::from_millis(600)).await;
    (2_000..2_100).for_each(come);
    assert_eq!(limits.arrivals.len(), 1_124, "none is at rest yet");
    advance(Duration::from_millis(500)).await;
    (3_000..4_000).for_each(come);
    assert_eq!(limits.arrivals.len(), 1_100, "those of the beginning are gone");
}

#[tokio::test(start_paused = true)]
async fn too_many_messages_are_refused_with_a_time_and_closed_only_if_it_goes_on() {
    let node = lone_node().await;
    let connection = join(&node, "agent_type=driver&agent_id=D").await;
    let limits = limits(|bounds| bounds.rates.messages = 2);
    let place = limits.enter(None).unwrap().metering(&connection);
    let send = || limits.message(&connection, 10);
    assert_eq!((send(), send()), (Ok(()), Ok(())));
    let refused = send().unwrap_err();
    assert_eq!(refused.code, ErrorCode::RateLimited);
    assert_eq!(refused.details, Some(json!({"limit": "messages", "retry_after_ms": 500})));
    advance(Duration::from_millis(500)).await;
    assert_eq!(send(), Ok(()));
    assert!(send().is_err());
    assert_eq!(connection.outbox().closing(), None);
    assert!(send().is_err());
    assert_eq!(connection.outbox().closing(), Some(CloseCode::RateLimited));
    drop(place);
    assert_eq!(limits.meters.len(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_large_message_is_paid_for_afterwards() {
    let node = lone_node().await;
    let connection = join(&node, "agent_type=driver&agent_id=D").await;
    let limits = limits(|bounds| bounds.rates.bytes = 1_000);
    let _place = limits.enter(None).unwrap().metering(&connection);
    assert_eq!(limits.message(&connection, 3_000), Ok(()));
    let details = limits.message(&connection, 1).unwrap_err().details.unwrap();
    assert_eq!(details["limit"], "bytes");
    advance(Duration::from_millis(2_001)).await;
    assert_eq!(limits.message(&connection, 1), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_tenant_shares_its_rate_and_going_away_does_not_renew_it() {
    let node = lone_node().await;
    let (first, second) = (
        join(&node, "agent_type=driver&agent_id=1").await,
        join(&node, "agent_type=driver&agent_id=2").await,
    );
    let limits = limits(|bounds| bounds.rates.tenant_messages = 2);
    let place_of = |connection: &Connection| limits.enter(None).unwrap().metering(connection);
    let places = (place_of(&first), place_of(&second));
    assert_eq!((limits.message(&first, 1), limits.message(&second, 1)), (Ok(()), Ok(())));
    assert_eq!(limits.message(&second, 1).unwrap_err().details.unwrap()["limit"], "tenant_messages");
    drop(places);
    let _again = place_of(&first);
    assert!(limits.message(&first, 1).is_err(), "the bucket is the one from before");
    assert!(limits.published(&tenant("default"), 1, 1).is_err(), "HTTP takes from it as well");
    assert_eq!(limits.published(&tenant("other"), 1, 1), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn tenants_at_rest_are_forgotten() {
    let limits = limits(|bounds| bounds.rates.tenant_messages = 1_000);
    for number in 0..10_000 {
        limits.published(&tenant(&format!("t{number}")), 1, 1).unwrap();
        advance(Duration::from_millis(10)).await;
    }
    assert!(limits.meters.len().1 <= 1_024, "{:?}", limits.meters.len());
}

#[tokio::test(start_paused = true)]
async fn attempts_to_get_locks_have_a_rate_of_their_own() {
    let node = lone_node().await;
    let connection = join(&node, "agent_type=driver&agent_id=D").await;
    let limits = limits(|bounds| bounds.rates.lock_attempts = 1);
    let _place = limits.enter(None).unwrap().metering(&connection);
    assert_eq!(limits.lock_attempt(&connection), Ok(()));
    assert_eq!(limits.lock_attempt(&connection).unwrap_err().details.unwrap()["limit"], "lock_attempts");
    assert_eq!(limits.message(&connection, 1), Ok(()));
}
