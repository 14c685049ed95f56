//! The settings of `handshake`, `admission`, `heartbeat`, `message` and `connection`.

use super::{KIB, MIB, Setting, Unit, ms, s, setting};

/// How clients come in, and how long they stay.
pub(super) const ENTRANCE: &[Setting] = &[
    setting(
        "handshake.timeout",
        Unit::Period(ms(100), s(120)),
        "From accepting a socket to having read the request's head; bounds what slow or silent peers hold.",
    ),
    setting(
        "handshake.header_bytes_max",
        Unit::Bytes(8 * KIB, MIB),
        "Bytes of a request's head: a token and a browser's cookies fit. 8 KiB is the least the HTTP reader takes.",
    ),
    setting(
        "handshake.headers_max",
        Unit::Count("header fields", 16, 512),
        "Header fields of a request. A browser sends about 20, a reverse proxy adds 5, a CDN 10 and a mesh \
         with tracing another 10: 32 would refuse users for the path that they came by.",
    ),
    setting(
        "admission.handshakes_per_second",
        Unit::Count("handshakes/s", 1, 1_000_000),
        "WebSocket handshakes begun each second; beyond it 503 with Retry-After, before anything is done for \
         them. A tenth of it may come at once. 20,000: a storm of newcomers is taken in within seconds, at about \
         half of what Redis can register.",
    ),
    setting(
        "admission.handshakes_max",
        Unit::Count("handshakes", 1, 1_000_000),
        "WebSocket handshakes under way at once; beyond it 503 with Retry-After. While Redis is slow, this bounds \
         what waits for it: 256 at 10 ms each are 25,600 a second.",
    ),
    setting(
        "admission.silent_sockets_max",
        Unit::Count("sockets", 1, 1_000_000),
        "Sockets that were accepted and have not sent a request yet. Beyond it the one that has been silent for \
         longest, at least 1 s, is dropped for each new one. Those who come faster than they are read wait in the \
         kernel's queue; a larger number costs memory that a storm leaves fragmented.",
    ),
    setting(
        "admission.reserved_for",
        Unit::Names,
        "Agent types that go first in a storm: a part of both numbers of handshakes is kept free for them. A fleet has to \
         drive; who looks on can wait.",
    ),
    setting(
        "admission.reserved_percent",
        Unit::Count("percent", 0, 90),
        "That part. The others begin no more than the rest of admission.handshakes_per_second, and none while the rest of \
         admission.handshakes_max is under way.",
    ),
    setting(
        "heartbeat.interval",
        Unit::Period(ms(100), s(600)),
        "Silence after which a client is pinged. 25 s stays below the 30 s after which careless proxies and \
         mobile networks forget a connection.",
    ),
    setting(
        "heartbeat.timeout",
        Unit::Period(ms(200), s(1800)),
        "Silence after which a client counts as gone (4408). 60 s forgives one lost ping.",
    ),
    setting(
        "message.bytes_max",
        Unit::Bytes(KIB, 16 * MIB),
        "Bytes of one message; a larger one closes with 1009.",
    ),
    setting(
        "connection.subscriptions_max",
        Unit::Count("topics", 1, 100_000),
        "Topics that one connection may be subscribed to, besides its own.",
    ),
    setting(
        "connection.max_age",
        Unit::Period(ms(0), s(30 * 24 * 3600)),
        "The age at which a connection is told by system:draining to connect again, and closed with 1012, so that a node \
         that was added gets its share. No more than stop.closes_per_second of them go in a second. 0s: never.",
    ),
    setting(
        "connection.max_age_dither_percent",
        Unit::Count("percent", 10, 90),
        "Those who came together go at ages between connection.max_age less this part and all of it. The longer that \
         is, the fewer go at a time.",
    ),
    setting(
        "connection.shed_over_mean_percent",
        Unit::Count("percent", 0, 1_000),
        "A node that has more connections than the mean of all nodes and so much more sends the excess to connect \
         again, those who have been there for longest first, as stop.closes_per_second allows. For nodes that are alike, \
         behind a balancer that lets clients go elsewhere. 0: never.",
    ),
    setting(
        "connection.shed_after",
        Unit::Period(s(5), s(3600)),
        "How long a node has to have that excess before some go, and up to half as long again, so that nodes \
         do not act together. Where those who were sent come back the time is doubled each time, up to an hour.",
    ),
];
