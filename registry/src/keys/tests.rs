//! A scope is one slot, tenants never meet, and what a name says reads back.

use signalbox_protocol::ConnectionId;

use super::*;
use crate::slot::slot_of;

fn slot(key: &str) -> u16 {
    slot_of(key.as_bytes())
}

fn names() -> (Tenant, Agent, SessionId) {
    let agent = Agent::of("vehicle", "V~1@2+3.x").unwrap();
    (Tenant::try_new("acme.eu").unwrap(), agent, SessionId::try_new("s-1").unwrap())
}

#[test]
fn the_keys_of_every_scope_share_a_slot() {
    let (tenant, agent, session) = names();
    let (resource, order) = (Resource::try_new("order:9").unwrap(), OrderId::try_new("9").unwrap());
    let scopes = [
        Scope::Nodes,
        Scope::Sweeper,
        Scope::Agent(&tenant, &agent),
        Scope::Session(&tenant, &session),
        Scope::Lock(&tenant, &resource),
        Scope::Order(&tenant, &order),
        Scope::Fleet(&tenant),
        Scope::Fleets,
        Scope::Topic(&tenant, agent.topic()),
        Scope::Revocations(&tenant),
        Scope::RevokedTenants,
        Scope::Life,
    ];
    for scope in scopes {
        // Adding a scope must add it to the list above.
        match scope {
            Scope::Nodes
            | Scope::Sweeper
            | Scope::Agent(..)
            | Scope::Session(..)
            | Scope::Lock(..)
            | Scope::Order(..)
            | Scope::Fleet(_)
            | Scope::Fleets
            | Scope::Topic(..)
            | Scope::Revocations(_)
            | Scope::RevokedTenants
            | Scope::Life => {}
        }
        let keys = Keys::new("sb").sharded().of(scope);
        let guard = keys.guard().unwrap();
        assert!(!keys.as_slice().iter().any(|key| key == guard));
        let slots: Vec<_> = keys.as_slice().iter().map(String::as_str).chain([guard]).map(slot).collect();
        assert!(slots.windows(2).all(|pair| pair[0] == pair[1]), "{keys:?} {slots:?}");
    }
    assert_ne!(slot("sb:{a:b}"), slot("sb:{a:c}"), "the test can fail");
}

#[test]
fn an_order_shares_its_lock_and_announces_within_its_slot() {
    let (tenant, ..) = names();
    let (keys, order) = (Keys::new("sb"), OrderId::try_new("9").unwrap());
    let topic = crate::order::topic(&order);
    let lock = keys.of(Scope::Lock(&tenant, &Resource::from(&topic)));
    let order = keys.of(Scope::Order(&tenant, &order));
    assert_eq!(order.as_slice()[2], lock.as_slice()[0], "the lock and the newest fence");
    assert_eq!(keys.of(Scope::Topic(&tenant, &topic)).as_slice(), &order.as_slice()[3..]);
    assert_eq!(slot(&keys.channel(&tenant, &topic)), slot(&order.as_slice()[0]));
}

#[test]
fn a_fleet_announces_within_its_own_slot() {
    let (tenant, ..) = names();
    let keys = Keys::new("sb");
    for name in ["route:12", "depot:4", "namespace:route-reservoir", "namespace:depot-reservoir"] {
        let channel = keys.channel(&tenant, &Topic::try_new(name).unwrap());
        assert_eq!(slot(&channel), slot(&keys.fleet(&tenant)), "{channel}");
    }
}

#[test]
fn a_channel_tells_its_topic() {
    let (tenant, ..) = names();
    let keys = Keys::new("sb");
    for name in ["route:12", "order:9", "namespace:route-reservoir", "namespace:vehicle-events"] {
        let topic = Topic::try_new(name).unwrap();
        assert_eq!(keys.topic_of_channel(&tenant, &keys.channel(&tenant, &topic)), Some(topic));
    }
    for foreign in
        ["sb:{acme.eu:fleet}", "sb:{acme.eu:route:12}:x", "sb:{acme:fleet}:route:12", "sb:node:{n}"]
    {
        assert_eq!(keys.topic_of_channel(&tenant, foreign), None, "{foreign}");
    }
}

#[test]
fn no_name_can_hold_a_brace() {
    for hostile in ["a}b", "{", "}", "a{b}c", "}:session:{x"] {
        assert!(Tenant::try_new(hostile).is_err());
        assert!(Agent::of("vehicle", hostile).is_err() && Agent::of(hostile, "1").is_err());
        assert!(SessionId::try_new(hostile).is_err());
        assert!(NodeId::try_new(hostile).is_err());
        assert!(ConnectionId::try_new(hostile).is_err());
        assert!(Resource::try_new(hostile).is_err());
        assert!(Topic::of("route", hostile).is_err() && Topic::of(hostile, "1").is_err());
    }
}

#[test]
fn names_of_two_tenants_never_meet() {
    let keys = Keys::new("sb");
    let agent = Agent::of("vehicle", "1").unwrap();
    let [a, b] = ["a", "a.vehicle"].map(|name| Tenant::try_new(name).unwrap());
    assert_eq!(keys.agent(&a, &agent), "sb:{a:vehicle:1}:conns");
    assert_ne!(keys.agent(&a, &agent), keys.agent(&b, &agent));
    assert!(Tenant::try_new("a:vehicle").is_err(), "a tenant holds no colon, so it ends at the first one");
}

#[test]
fn a_lease_is_named_so_that_it_reads_back() {
    for node in ["n1", "host.example", "a.7"] {
        let node = NodeId::try_new(node).unwrap();
        assert_eq!(parse_lease_member(&lease_member(&node, 12)), Some((node, 12)));
    }
    for bad in ["", "n1", "n1.", ".1", "n1.x", "n1.-1"] {
        assert_eq!(parse_lease_member(bad), None, "{bad}");
    }
}
