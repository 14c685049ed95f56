//! How a handshake can end, and the count of it.

use crate::node::Node;

/// How a handshake ended, for the metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandshakeResult {
    /// Registered and welcomed.
    Accepted,
    /// Not a WebSocket handshake, or a bad query.
    Malformed,
    /// No such namespace.
    UnknownNamespace,
    /// No token, or one that is not believed.
    Unauthenticated,
    /// Another subject's session, or what the token does not allow.
    Forbidden,
    /// The node can't register anybody now.
    Unavailable,
    /// Too many began just now.
    RefusedRate,
    /// Too many were under way.
    RefusedBusy,
    /// The Origin may not connect.
    RefusedOrigin,
    /// Its tenant, agent or address, or the node, has enough connections.
    RefusedLimit,
    /// The node is stopping.
    RefusedDraining,
    /// The peer went before it was done.
    Aborted,
}

impl HandshakeResult {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Accepted,
        Self::Malformed,
        Self::UnknownNamespace,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::Unavailable,
        Self::RefusedRate,
        Self::RefusedBusy,
        Self::RefusedOrigin,
        Self::RefusedLimit,
        Self::RefusedDraining,
        Self::Aborted,
    ];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Malformed => "malformed",
            Self::UnknownNamespace => "unknown_namespace",
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden => "forbidden",
            Self::Unavailable => "unavailable",
            Self::RefusedRate => "refused_rate",
            Self::RefusedBusy => "refused_busy",
            Self::RefusedOrigin => "refused_origin",
            Self::RefusedLimit => "refused_limit",
            Self::RefusedDraining => "refused_draining",
            Self::Aborted => "aborted",
        }
    }
}

/// Counts a handshake that has ended.
pub(crate) fn count(node: &Node, result: HandshakeResult) {
    node.metrics.handshakes.with_label_values(&[result.as_str()]).inc();
}
