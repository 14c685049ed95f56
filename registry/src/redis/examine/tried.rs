//! Every command that a node needs, in a form that does no harm. A test of the gateway holds the list to the Redis user of
//! `docs/operations.md`.

use redis::Cmd;

/// Each as it is given: words, `K` for a key (and channel) that is nobody's. The first makes it a string that ends by
/// itself, so that what is for other types is refused for that, and the last ones remove it.
pub const TRIED: &[&str] = &[
    "SET K 1 PX 5000",
    "PING",
    "INFO server",
    "TIME",
    "WAIT 0 1",
    "CLIENT|SETNAME signalbox-doctor",
    "CLIENT|INFO",
    // Nobody has this id.
    "CLIENT|KILL ID 9007199254740993",
    "EVAL return 0 0",
    "EVALSHA 0000000000000000000000000000000000000000 0",
    "SCRIPT|LOAD return",
    "UNWATCH",
    "GET K",
    "SETEX K 5 1",
    "MGET K",
    "MSETNX K 1",
    "INCR K",
    "GETRANGE K 0 0",
    "SETRANGE K 0 1",
    "EXISTS K",
    "EXPIRE K 5",
    "PEXPIRE K 5000",
    "TTL K",
    "PTTL K",
    "RENAME K K",
    "SCAN 0 COUNT 1 MATCH K",
    "HGET K f",
    "HSET K f 1",
    "HDEL K f",
    "HGETALL K",
    "HMGET K f",
    "HLEN K",
    "HINCRBY K f 1",
    "HRANDFIELD K",
    "HSCAN K 0",
    "SADD K m",
    "SREM K m",
    "SCARD K",
    "SSCAN K 0",
    "ZADD K 1 m",
    "ZREM K m",
    "ZRANGE K 0 0",
    "ZCARD K",
    "ZSCORE K m",
    "ZMSCORE K m",
    "ZRANGEBYSCORE K 0 0",
    "ZREMRANGEBYSCORE K 0 0",
    "RPUSH K m",
    "LPOP K",
    "LLEN K",
    "LINDEX K 0",
    "LRANGE K 0 0",
    "LTRIM K 0 0",
    "GEOADD K 0 0 m",
    "GEOSEARCH K FROMLONLAT 0 0 BYRADIUS 1 m",
    "PUBLISH K x",
    "PUBSUB|NUMSUB K",
    "PUBSUB|CHANNELS K",
    "SUBSCRIBE K",
    "UNSUBSCRIBE K",
    "UNLINK K",
    "DEL K",
];

/// Those that a Cluster needs as well; most are answered by where the key is.
pub const TRIED_IN_A_CLUSTER: &[&str] = &[
    "CLUSTER|SLOTS",
    "CLUSTER|INFO",
    "SSUBSCRIBE K",
    "SUNSUBSCRIBE K",
    "SPUBLISH K x",
    "PUBSUB|SHARDNUMSUB K",
    "PUBSUB|SHARDCHANNELS K",
    "ASKING",
];

/// What a user's rules call it: `client|setname`.
pub(super) fn name(tried: &'static str) -> &'static str {
    tried.split(' ').next().unwrap_or(tried)
}

/// The command, with `key` as its key.
pub(super) fn on(tried: &'static str, key: &str) -> Cmd {
    let (name, arguments) = tried.split_once(' ').unwrap_or((tried, ""));
    let mut words = name.split('|');
    let mut command = redis::cmd(words.next().unwrap_or_default());
    for word in words.chain(arguments.split(' ').filter(|word| !word.is_empty())) {
        command.arg(if word == "K" { key } else { word });
    }
    command
}
