//! The settings of the node itself, and of what a cluster has in common.

use super::{Setting, Unit, setting};

/// Where it serves whom, and which names there are.
pub(super) const NODE: &[Setting] = &[
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
];
