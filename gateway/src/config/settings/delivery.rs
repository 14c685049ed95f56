//! The settings of `durable` and `bus`.

use super::{GIB, KIB, Setting, Unit, ms, s, setting};

/// What is stored of messages, and how they get to other nodes.
pub(super) const DELIVERY: &[Setting] = &[
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
];
