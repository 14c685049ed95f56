//! One connection's record in the directory.

use signalbox_protocol::{Agent, ConnectionId, NodeId, SessionId, Tenant};

/// How many times a node has taken a lease, from 1. Rows and batches carry it, so that what an
/// earlier life of the node left behind is told from what it does now.
pub type Generation = u32;

/// One connection, as every node sees it. Believed only while its node's lease, in its generation, lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The connection; `ws_id` on the wire. Never used twice.
    pub connection_id: ConnectionId,
    /// The customer it belongs to.
    pub tenant: Tenant,
    /// Who is talking.
    pub agent: Agent,
    /// The session it is part of.
    pub session_id: SessionId,
    /// Whether the client named the session; made-up sessions get no keys of their own: their id is
    /// the connection id, `~`, and something unguessable, so that the connection is found from it.
    pub session_named: bool,
    /// Its business area, if it told one; the characters of a topic id.
    pub pillar: Option<String>,
    /// The namespaces it is in, sorted.
    pub namespaces: Vec<String>,
    /// The node that holds the socket.
    pub node_id: NodeId,
    /// The generation of that node in which the row was written.
    pub generation: Generation,
    /// When it connected, in milliseconds since 1970.
    pub connected_at_ms: u64,
    /// When it last sent something, in milliseconds since 1970; written with the periodic refresh.
    pub last_activity_ms: u64,
}

/// The order in which a session's and an agent's connections are told: oldest first.
pub(crate) fn oldest_first(rows: &mut [Row]) {
    rows.sort_unstable_by(|a, b| {
        (a.connected_at_ms, &a.connection_id).cmp(&(b.connected_at_ms, &b.connection_id))
    });
}
