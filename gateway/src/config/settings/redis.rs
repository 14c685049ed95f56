//! The settings of `redis`.

use super::{Setting, Unit, ms, s, setting};

/// Where it is, how long it is waited for, and how long what is in it lives.
pub(super) const REDIS: &[Setting] = &[
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
];
