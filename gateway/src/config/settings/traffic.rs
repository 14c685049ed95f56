//! The settings of `outbox`, `malformed`, `flood`, `close`, `catalogue` and `route_cache`.

use super::{GIB, KIB, Setting, Unit, ms, s, setting};

/// What one connection may send, and what may wait for it.
pub(super) const TRAFFIC: &[Setting] = &[
    setting(
        "outbox.bytes_max",
        Unit::Bytes(4 * KIB, GIB),
        "Bytes that may wait for one slow reader; beyond it ephemeral messages conflate or drop, durable \
         ones close with 4413. An empty outbox takes one message, however large.",
    ),
    setting(
        "outbox.messages_max",
        Unit::Count("messages", 16, 1_000_000),
        "Messages that may wait for one slow reader; bounds the bookkeeping of many small ones.",
    ),
    setting(
        "outbox.total_bytes_max",
        Unit::Bytes(0, 1_024 * GIB),
        "Bytes that may wait for all clients of the node together, looked at each second. Beyond it those for whom most \
         waits are closed with 4413 until it is kept; they resume. What goes to many is counted for each, though it is in \
         memory once. 0: no bound but that of each.",
    ),
    setting(
        "outbox.gather",
        Unit::Period(ms(0), ms(100)),
        "A node that wrote for 4 ms, to some hundred connections one after the other, lets messages gather for this long \
         before it writes again; after a shorter turn for as much less, after one below 0.5 ms not at all. It saves CPU \
         where much goes to many, and adds as much to the latency of all that such a node delivers. 0s: never.",
    ),
    setting(
        "malformed.messages_max",
        Unit::Count("messages", 1, 1_000_000),
        "Malformed messages within malformed.window that close with 4400; each is answered before that.",
    ),
    setting("malformed.window", Unit::Period(ms(100), s(3600)), "The time in which they are counted."),
    setting(
        "flood.frames_max",
        Unit::Count("frames", 64, 10_000_000),
        "Frames within flood.window that complete no message: pings, pongs, fragments of a few bytes. \
         More close with 4429. Counted second by second against each second's share; the default lets \
         through about 400 a second, where a busy client sends one.",
    ),
    setting("flood.window", Unit::Period(ms(100), s(3600)), "The time in which they are counted."),
    setting(
        "close.timeout",
        Unit::Period(ms(10), s(60)),
        "How long the answer to a close frame is waited for before the socket is dropped.",
    ),
    setting(
        "catalogue.allow_unknown_types",
        Unit::Switch,
        "Whether types outside the catalogue travel as ephemeral events. True, since a fleet has events \
         that the gateway does not know; false answers them with unknown_type.",
    ),
    setting(
        "route_cache.ttl",
        Unit::Period(ms(0), s(1)),
        "How long a looked-up route is believed. At most 1 s: that long may a client that moved to another \
         node miss ephemeral messages. 0s looks up every time.",
    ),
    setting(
        "route_cache.entries_max",
        Unit::Count("routes", 0, 10_000_000),
        "Routes remembered; about 200 bytes each.",
    ),
];
