//! The settings of `tls`, `proxy`, `http` and `limits`.

use std::time::Duration;

use super::{Setting, Unit, setting};

/// What one customer, agent, address or connection may take, and who is believed about addresses.
pub(super) const SHARES: &[Setting] = &[
    setting(
        "tls.certificate",
        Unit::Text("/etc/signalbox/tls.crt"),
        "The certificate chain, in PEM, with which this node serves TLS (wss, https) on its address, and nothing else there. \
         Without it, it expects a proxy to do that. Read again when the file changes (looked at every 5 s) and on SIGHUP; \
         open connections stay.",
    ),
    setting("tls.key", Unit::Text("/etc/signalbox/tls.key"), "The private key of tls.certificate, in PEM."),
    setting(
        "proxy.trusted",
        Unit::Names,
        "Addresses and ranges (10.0.0.0/8) from which proxies connect. They alone are believed about a client's address, \
         by X-Forwarded-For or the PROXY protocol. None: any client could write what it likes.",
    ),
    setting(
        "proxy.protocol",
        Unit::Switch,
        "Whether connections from proxy.trusted begin with a header of the PROXY protocol, version 1 or 2. Then they all \
         have to; those from elsewhere never do.",
    ),
    setting(
        "http.connections_max",
        Unit::Count("connections", 16, 1_000_000),
        "Connections at once that speak plain HTTP, beside the WebSockets. Beyond it the one that has asked for nothing \
         for longest is dropped for each new one; where all are being answered, a new one gets 503, but for health checks \
         and handshakes. About 40 KiB each.",
    ),
    setting(
        "http.answer_timeout",
        Unit::Period(Duration::from_millis(100), Duration::from_secs(600)),
        "From the moment at which a client's socket takes no more of an answer until it has taken all of it; then it is dropped. \
         30 s: a full page of a list comes through a bad mobile line.",
    ),
    setting(
        "http.bodies_bytes_max",
        Unit::Bytes(1 << 20, 1 << 34),
        "Bytes of requests' bodies that are held at once; what comes beyond it gets 503. One body of the largest size (8 times \
         message.bytes_max) always has room.",
    ),
    setting(
        "limits.connections_max",
        Unit::Count("connections", 0, 10_000_000),
        "WebSockets of this node; one more gets 503. 0: as many as files can be open. As all of this section it is counted \
         by each node for itself, and 0 means no limit.",
    ),
    setting(
        "limits.tenant_connections_max",
        Unit::Count("connections", 0, 10_000_000),
        "WebSockets of one tenant on this node; one more gets 429. Off: what is fair depends on the fleet.",
    ),
    setting(
        "limits.agent_connections_max",
        Unit::Count("connections", 0, 10_000_000),
        "WebSockets of one agent on this node; one more gets 429. A session has 16 at most anyway.",
    ),
    setting(
        "limits.address_connections_max",
        Unit::Count("connections", 0, 10_000_000),
        "WebSockets from one address (of IPv6: one network of 64 bits) on this node; one more gets 429. Off: a mobile \
         network hides thousands behind one address, and without proxy.trusted so does a load balancer.",
    ),
    setting(
        "limits.address_connects_per_second",
        Unit::Count("connections/s", 0, 1_000_000),
        "New connections from one address (of IPv6: one network of 64 bits) to this node; ten seconds' worth may come at \
         once. One more gets 429 before anything of it is read; of a trusted proxy's clients the WebSockets are counted, by \
         the address that it tells. What keeps those who break rules from coming back at once. Off, for the same reasons.",
    ),
    setting(
        "limits.messages_per_second",
        Unit::Count("messages/s", 0, 1_000_000),
        "Messages of one connection; a second's worth may come at once. What is beyond is answered with rate_limited and \
         not handled.",
    ),
    setting(
        "limits.bytes_per_second",
        Unit::Count("bytes/s", 0, 1_000_000_000),
        "Bytes of the messages of one connection. One message is always taken, however large; the next ones wait for it.",
    ),
    setting(
        "limits.tenant_messages_per_second",
        Unit::Count("messages/s", 0, 10_000_000),
        "Messages of all connections of one tenant on this node, and those that it publishes here by HTTP.",
    ),
    setting("limits.tenant_bytes_per_second", Unit::Count("bytes/s", 0, 1_000_000_000), "Bytes of them."),
    setting(
        "limits.lock_attempts_per_second",
        Unit::Count("attempts/s", 0, 1_000_000),
        "Locks asked for by one connection, or by HTTP of one agent, granted or not.",
    ),
    setting(
        "limits.refusals_max",
        Unit::Count("refusals", 1, 1_000_000),
        "Messages refused by these rates within 10 s that close with 4429. A client that heeds retry_after_ms never \
         comes near.",
    ),
];
