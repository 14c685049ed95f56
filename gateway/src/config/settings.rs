//! The table of all settings: what each is for, its unit and its range.
//!
//! `signalbox config default` prints it, [`load`](super::load::load) checks ranges by it, and a test holds it to
//! the fields of [`Config`](super::Config). Defaults are not repeated here: they are those of `Config`.

use std::sync::LazyLock;
use std::time::Duration;

use super::units::{format_bytes, format_period, parse_bytes, parse_period};

mod auth;
#[cfg(test)]
mod documents;
mod shares;

/// One setting, for the one who has to choose its value.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Where it stands, e.g. `outbox.bytes_max`.
    pub key: &'static str,
    /// What its value is measured in, and which values are allowed.
    pub unit: Unit,
    /// What it does, and why the default is what it is.
    pub reason: &'static str,
}

/// What a setting's value is. Ranges include both ends.
#[derive(Debug, Clone, Copy)]
pub enum Unit {
    /// An IP address and a port.
    Address,
    /// `true` or `false`.
    Switch,
    /// A list of names.
    Names,
    /// Text, with an example.
    Text(&'static str),
    /// Text that must not be shown, with an example.
    Secret(&'static str),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A whole number of something, from, to.
    Count(&'static str, i64, i64),
    /// A time, from, to.
    Period(Duration, Duration),
    /// A size, from, to.
    Bytes(usize, usize),
}

impl Setting {
    /// The environment variable that sets it.
    pub fn variable(&self) -> String {
        match self.key {
            "redis.url" => "SIGNALBOX_REDIS".to_owned(),
            key => format!("SIGNALBOX_{}", key.replace('.', "__").to_uppercase()),
        }
    }

    /// The setting called `key`.
    pub fn find(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.key == key)
    }
}

impl Unit {
    /// Unit and range in words.
    pub fn describe(&self) -> String {
        match self {
            Self::Address => "an IP address and a port".to_owned(),
            Self::Switch => "true or false".to_owned(),
            Self::Names => "a list of names".to_owned(),
            Self::Text(_) => "text".to_owned(),
            Self::Secret(_) => "text, never shown in full".to_owned(),
            Self::Choice(words) => format!("one of: {}", words.join(", ")),
            Self::Count(what, from, to) => format!("{what}, {from} to {to}"),
            Self::Period(from, to) => format!("a time, {} to {}", format_period(*from), format_period(*to)),
            Self::Bytes(from, to) => format!("a size, {} to {}", format_bytes(*from), format_bytes(*to)),
        }
    }

    /// Whether `value`, which already has the right type, lies in the range.
    pub fn allows(&self, value: &toml::Value) -> bool {
        match self {
            Self::Address
            | Self::Switch
            | Self::Names
            | Self::Text(_)
            | Self::Secret(_)
            | Self::Choice(_) => true,
            Self::Count(_, from, to) => value.as_integer().is_none_or(|count| (*from..=*to).contains(&count)),
            Self::Period(from, to) => {
                value.as_str().and_then(parse_period).is_none_or(|period| (*from..=*to).contains(&period))
            }
            Self::Bytes(from, to) => {
                let written = value.as_str().and_then(parse_bytes);
                let number = value.as_integer().and_then(|bytes| usize::try_from(bytes).ok());
                written.or(number).is_none_or(|bytes| (*from..=*to).contains(&bytes))
            }
        }
    }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
const fn setting(key: &'static str, unit: Unit, reason: &'static str) -> Setting {
    Setting { key, unit, reason }
}
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

/// Every setting, in the order in which they are shown; those of a section stand together.
pub static SETTINGS: LazyLock<Vec<Setting>> = LazyLock::new(|| [MOST, auth::AUTH, shares::SHARES].concat());

/// All but those of sections with a file of their own.
const MOST: &[Setting] = &[
    setting(
        "listen",
        Unit::Address,
        "Where WebSocket and HTTP are served. The default can be reached from this machine only, so that \
         a first try exposes nothing. Port 0 takes any free port.",
    ),
    setting(
        "allow_anonymous",
        Unit::Switch,
        "Lets clients say by the query who they are, on an address that others can reach or where keys are \
         configured as well (then a token counts if there is one). Without it an address that others can reach needs \
         keys (auth); a loopback address does not. For networks in which everybody may do everything.",
    ),
    setting(
        "namespaces",
        Unit::Names,
        "Namespaces besides depot-reservoir, route-reservoir, vehicle-events and system-events. The same \
         on every node of a cluster.",
    ),
    setting(
        "agent_types",
        Unit::Names,
        "The agent types that clients may have. Each is also the kind of its agents' own topics, so a \
         name must not mean another kind of topic. The same on every node of a cluster.",
    ),
    setting(
        "origins",
        Unit::Names,
        "Web pages that may open WebSockets here and call /api: https://app.example.com, https://*.example.com, or * for \
         all. Without it those of the node's own host may, on a loopback address those of this machine. Where clients are \
         anonymous, /api and /ws answer to addresses, names without a dot and the names listed here only, on a loopback \
         address to localhost, loopback addresses and these.",
    ),
    setting(
        "node.advertise",
        Unit::Text("10.0.0.7:8080"),
        "The address of this node that is told to operators and other nodes. Without it the listening \
         address is told, which says little when that is 0.0.0.0.",
    ),
    setting(
        "redis.url",
        Unit::Secret("redis://:password@127.0.0.1:6379/0"),
        "What the nodes share their state through. Without it the node is embedded: alone, in memory. \
         SIGNALBOX_REDIS_FILE names a file that holds the address, for mounted secrets.",
    ),
    setting(
        "redis.mode",
        Unit::Choice(&["single", "sentinel", "cluster"]),
        "What redis.url names: the one Redis, the sentinels that say where it is, or some servers of a Redis Cluster. Several \
         are divided by commas, redis://user:password@a:26379,b:26379/0; user, password and database are for Redis.",
    ),
    setting(
        "redis.sentinel_service",
        Unit::Text("mymaster"),
        "What the sentinels call the master. For redis.mode = \"sentinel\".",
    ),
    setting(
        "redis.sentinel_user",
        Unit::Text("sentinel"),
        "Who logs in to the sentinels, if that takes a name.",
    ),
    setting(
        "redis.sentinel_password",
        Unit::Secret("a password"),
        "The password of the sentinels, if they want one. That of the URL is for Redis.",
    ),
    setting(
        "redis.ca_file",
        Unit::Text("/etc/signalbox/redis-ca.pem"),
        "Certificates, in PEM, that vouch for the server of a rediss:// address. Without it those that this machine trusts. \
         Read at the start.",
    ),
    setting(
        "redis.prefix",
        Unit::Text("sb"),
        "What every key and channel begins with; another prefix is another cluster in the same Redis.",
    ),
    setting(
        "redis.command_timeout",
        Unit::Period(ms(50), s(4)),
        "How long one command or script may take. A few thousand times what Redis needs, and well below \
         the 5 s of a node's lease, so that one lost answer does not cost the lease.",
    ),
    setting(
        "redis.connect_timeout",
        Unit::Period(ms(50), s(30)),
        "How long connecting may take. Short, since the next attempt may find a Redis that is back.",
    ),
    setting(
        "redis.links",
        Unit::Count("connections", 1, 64),
        "Multiplexed connections that carry the hot path. Redis executes on one core, so more than a few \
         gain nothing; two keep a large answer from delaying everything.",
    ),
    setting(
        "redis.pool_size",
        Unit::Count("connections", 1, 1024),
        "Connections for commands that hold one for themselves.",
    ),
    setting(
        "redis.row_ttl",
        Unit::Period(s(30), s(86_400)),
        "How long a connection's row outlives the last refresh by its node. Only a second net: a dead \
         node's rows stop counting with its lease and are swept. Rows are refreshed twice in this time.",
    ),
    setting(
        "redis.audit_interval",
        Unit::Period(ms(100), s(3_600)),
        "How often a node compares its rows in the directory with its sockets, at a pace that Redis hardly notices, \
         and sets right what differs in two comparisons. Only a third net: see `signalbox_directory_stale_rows`.",
    ),
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
        "A node that has more connections than the mean of all nodes and so much more sends the excess to connect again,          those who have been there for longest first, as stop.closes_per_second allows. For nodes that are alike, behind a          balancer that lets clients go elsewhere. 0: never.",
    ),
    setting(
        "connection.shed_after",
        Unit::Period(s(5), s(3600)),
        "How long a node has to have that excess before some go, and up to half as long again, so that nodes do not act          together. Where those who were sent come back the time is doubled each time, up to an hour.",
    ),
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
    setting(
        "durable.messages_max",
        Unit::Count("messages", 1, 1_000_000),
        "Durable messages kept of each topic: a client that missed more is told so. 1,000 are two minutes of eight a \
         second. The same on every node of a cluster, as all settings of this section.",
    ),
    setting(
        "durable.bytes_max",
        Unit::Bytes(KIB, GIB),
        "Bytes of durable messages kept of each topic, the newest always. What a topic may cost of Redis' memory.",
    ),
    setting(
        "durable.age",
        Unit::Period(s(1), s(24 * 3600)),
        "How long a durable message is kept, and for how long at least its id is known. Two minutes: clients that were \
         cut off are back within seconds, also from a node that was restarted.",
    ),
    setting(
        "durable.kinds",
        Unit::Names,
        "Kinds of topics that keep something else, each as kind, messages, bytes and age: `order 5000 8MiB 10m`.",
    ),
    setting(
        "durable.replicas",
        Unit::Count("replicas", 0, 16),
        "Replicas of Redis that must have a message before it is acknowledged. 0: it is acknowledged when the primary \
         has it, and a failover may lose what was acknowledged just before; clients are told so.",
    ),
    setting(
        "durable.replicas_wait",
        Unit::Period(ms(10), s(10)),
        "How long they are waited for; after that the sender is told `outcome_unknown` and asks again.",
    ),
    setting(
        "durable.check_interval",
        Unit::Period(ms(100), s(3600)),
        "How often what was delivered is compared with where the logs end. It finds a message that was lost on the way \
         and that no later one shows to be missing. One question for 256 topics; groups, and what has a log.",
    ),
    setting(
        "bus.destination_bytes_max",
        Unit::Bytes(64 * KIB, GIB),
        "Bytes that may wait to be published to one node or topic; beyond it ephemeral messages drop.",
    ),
    setting(
        "bus.total_bytes_max",
        Unit::Bytes(64 * KIB, 16 * GIB),
        "Bytes that may wait to be published in all: what a stalled Redis can cost in memory.",
    ),
    setting(
        "bus.gather",
        Unit::Period(ms(0), ms(20)),
        "Where more than 4,000 messages a second go to one node or topic, they are published together that often. It \
         adds less than this to their latency, and saves more than half of their CPU. 0s: never.",
    ),
    setting(
        "stop.balancer_wait",
        Unit::Period(ms(0), s(300)),
        "From turning unready to refusing handshakes: the load balancer's time to notice. Should exceed the \
         interval of its health check. Not waited for by a node alone.",
    ),
    setting(
        "stop.closes_per_second",
        Unit::Count("connections/s", 1, 1_000_000),
        "Connections closed each second while stopping, and so the handshakes that the other nodes have to take \
         in. Each is told its moment by system:draining.",
    ),
    setting(
        "stop.timeout",
        Unit::Period(ms(10), s(3600)),
        "The longest that a stop may take; what is open 3 s before is closed at once. Needs the balancer's wait, \
         connections / stop.closes_per_second, and 4 s. Less than the grace period of whoever sends the SIGKILL \
         (systemd 90 s, Kubernetes 30 s unless raised).",
    ),
    setting("log.format", Unit::Choice(&["text", "json"]), "Lines for people, or JSON objects for machines."),
    setting(
        "log.filter",
        Unit::Text("info,signalbox_gateway=debug"),
        "Which log events are written, in the syntax of RUST_LOG, which wins when set.",
    ),
    setting(
        "trace.otlp_endpoint",
        Unit::Text("http://127.0.0.1:4318"),
        "A collector that is told, by OTLP over HTTP with JSON, of handshakes, requests and messages whose traceparent says \
         that they are recorded. Absent: nobody, and nothing is looked for.",
    ),
    setting(
        "trace.otlp_ca_file",
        Unit::Text("/etc/signalbox/ca.pem"),
        "Certificates in PEM that vouch for the server of trace.otlp_endpoint. Without it those of the machine do.",
    ),
    setting("trace.service_name", Unit::Text("signalbox"), "What the node is called there."),
    setting(
        "runtime.worker_threads",
        Unit::Count("threads", 0, 1024),
        "Worker threads; 0 means one per core that the process may use.",
    ),
];
