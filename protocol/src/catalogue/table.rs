//! The table itself, sorted by name (a test holds that; look-ups search it by halves).

use super::{Class, Entry, Kind, Senders};

/// Every type with a meaning of its own, and every group with a default, sorted by name.
pub const TABLE: &[Entry] = &[
    durable("boarding:*", ANYONE, NOWHERE),
    command("boarding:alight", ANYONE, NOWHERE),
    reply("boarding:alighted", NOWHERE),
    reply("boarding:confirmed", NOWHERE),
    reply("boarding:denied", NOWHERE),
    command("boarding:request", ANYONE, NOWHERE),
    durable("commuter:*", POOL_KEEPERS, RESERVOIRS),
    durable("commuter:cancelled", POOL_KEEPERS, RESERVOIRS),
    durable("commuter:dropped_off", POOL_KEEPERS, RESERVOIRS),
    durable("commuter:expired", POOL_KEEPERS, RESERVOIRS),
    durable("commuter:picked_up", POOL_KEEPERS, RESERVOIRS),
    durable("commuter:spawned", POOL_KEEPERS, RESERVOIRS),
    durable("commuter:spawned_batch", POOL_KEEPERS, RESERVOIRS),
    command("lock:acquire", ANYONE, NOWHERE),
    reply("lock:denied", NOWHERE),
    reply("lock:granted", NOWHERE),
    command("lock:release", ANYONE, NOWHERE),
    reply("lock:released", NOWHERE),
    command("lock:renew", ANYONE, NOWHERE),
    durable("order:*", ANYONE, NOWHERE),
    command("order:accept", ANYONE, NOWHERE),
    durable("order:accepted", ANYONE, NOWHERE),
    reply("order:denied", NOWHERE),
    durable("order:new", ANYONE, NOWHERE),
    command("order:view", ANYONE, NOWHERE),
    reply("order:viewers", NOWHERE),
    command("presence:list", ANYONE, NOWHERE),
    reply("presence:members", NOWHERE),
    ephemeral("system:*", ANYONE, SYSTEM),
    reply("system:ack", NOWHERE),
    ephemeral("system:draining", Senders::GatewayOnly, NOWHERE),
    reply("system:error", SYSTEM),
    command("system:health_check", ANYONE, SYSTEM),
    command("system:refresh", ANYONE, NOWHERE),
    reply("system:refreshed", NOWHERE),
    command("system:resume", ANYONE, NOWHERE),
    reply("system:resumed", NOWHERE),
    ephemeral("system:service_connected", Senders::GatewayOnly, SYSTEM),
    ephemeral("system:service_disconnected", Senders::GatewayOnly, SYSTEM),
    command("system:stats", ANYONE, SYSTEM),
    command("system:subscribe", ANYONE, NOWHERE),
    ephemeral("system:token_expiring", Senders::GatewayOnly, NOWHERE),
    command("system:unsubscribe", ANYONE, NOWHERE),
    reply("system:welcome", NOWHERE),
    ephemeral("vehicle:*", ANYONE, VEHICLES),
    durable("vehicle:capacity_update", CREW, VEHICLES),
    // A fleet may run a reservoir of its own: its service then answers queries that vehicles addressed to it.
    Entry { senders: Senders::Agents(&["service"]), ..reply("vehicle:commuters_found", RESERVOIRS) },
    durable("vehicle:continue", CREW, VEHICLES),
    newest_wins("vehicle:position_update", CREW, VEHICLES),
    command("vehicle:query_commuters", CREW, RESERVOIRS),
    newest_wins("vehicle:status_change", CREW, VEHICLES),
    durable("vehicle:stop_requested", CREW, VEHICLES),
];

const ANYONE: Senders = Senders::Anyone;
/// Who may announce changes of a pool.
const POOL_KEEPERS: Senders = Senders::Agents(&["service", "vehicle"]);
/// Who may speak for a vehicle.
const CREW: Senders = Senders::Agents(&["vehicle", "driver", "conductor", "service"]);

const NOWHERE: &[&str] = &[];
const RESERVOIRS: &[&str] = &["depot-reservoir", "route-reservoir"];
const VEHICLES: &[&str] = &["vehicle-events"];
const SYSTEM: &[&str] = &["system-events"];

const fn durable(name: &'static str, senders: Senders, namespaces: &'static [&'static str]) -> Entry {
    Entry { name, kind: Kind::Event { class: Class::Durable, conflates: false }, senders, namespaces }
}

const fn ephemeral(name: &'static str, senders: Senders, namespaces: &'static [&'static str]) -> Entry {
    Entry { name, kind: Kind::Event { class: Class::Ephemeral, conflates: false }, senders, namespaces }
}

const fn newest_wins(name: &'static str, senders: Senders, namespaces: &'static [&'static str]) -> Entry {
    Entry { name, kind: Kind::Event { class: Class::Ephemeral, conflates: true }, senders, namespaces }
}

const fn command(name: &'static str, senders: Senders, namespaces: &'static [&'static str]) -> Entry {
    Entry { name, kind: Kind::Command, senders, namespaces }
}

const fn reply(name: &'static str, namespaces: &'static [&'static str]) -> Entry {
    Entry { name, kind: Kind::Reply, senders: Senders::GatewayOnly, namespaces }
}
