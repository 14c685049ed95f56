//! The settings of `reservoir`, `strapi` and `orders`.

use super::{Setting, Unit, ms, s, setting};

/// Who waits, for how long, and what is kept elsewhere.
pub(super) const FLEET: &[Setting] = &[
    setting(
        "reservoir.waiting_max",
        Unit::Period(s(1), s(30 * 24 * 3600)),
        "How long a passenger waits who gave no expires_at; then commuter:expired is announced. A day: nobody \
         waits longer, and a forgotten one costs memory.",
    ),
    setting(
        "reservoir.ended_kept",
        Unit::Period(s(1), s(30 * 24 * 3600)),
        "How long a passenger is remembered who alighted, was cancelled or expired: so long a retry gets the \
         first answer. About 1 KiB of Redis each.",
    ),
    setting(
        "strapi.url",
        Unit::Text("http://127.0.0.1:1337"),
        "A Strapi 5 whose collection active-passengers holds the passengers. Redis still decides who boards; \
         Strapi is written after it. Without it passengers are kept in Redis alone. http only: put a TLS \
         proxy beside the node if you need one.",
    ),
    setting(
        "strapi.token",
        Unit::Secret("an API token"),
        "What the node shows Strapi, as a bearer token. It may read and write active-passengers.",
    ),
    setting(
        "strapi.tenant",
        Unit::Text("default"),
        "Whose passengers Strapi holds: its collections know no tenants. Those of others stay in Redis.",
    ),
    setting(
        "strapi.request_timeout",
        Unit::Period(ms(50), s(60)),
        "The longest wait for an answer of Strapi. Some of its answers take long; whoever queries is told \
         `unavailable` after this.",
    ),
    setting(
        "strapi.give_up_after",
        Unit::Period(s(1), s(24 * 3600)),
        "How long a change is tried again that Strapi answers with an error of its own (5xx). After that, as \
         when it refuses one, a boarding is undone. A Strapi that can't be reached is waited for without end.",
    ),
    setting(
        "strapi.outbox_max",
        Unit::Count("changes", 1, 10_000_000),
        "Changes that may wait for Strapi; beyond, pushes and boardings are refused as unavailable.",
    ),
    setting(
        "strapi.cache_ttl",
        Unit::Period(ms(100), s(60)),
        "How long an answer to a query is remembered. Every change of a pool through Signalbox ends it; this is \
         how long a change made in Strapi itself may stay unseen.",
    ),
    setting(
        "orders.announce",
        Unit::Names,
        "Topics that hear of an accepted order, beside order:ID itself. Drivers, so that nobody drives to it \
         in vain.",
    ),
];
