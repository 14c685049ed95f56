//! The `data` of the gateway's own commands and replies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Agent, NodeId, SessionId, Topic};

mod boarding;
mod lock;
mod order;
mod parse_data;
mod resume;
mod token;
mod welcome;

pub use boarding::{
    BoardingAlight, BoardingAlighted, BoardingConfirmed, BoardingDenial, BoardingDenied, BoardingRequest,
    CommutersFound, Found, QueryCommuters,
};
pub use lock::{LockAcquire, LockDenied, LockGranted, LockProof, LockReleased};
pub use order::{OrderAccept, OrderAccepted, OrderDenial, OrderDenied, OrderView, OrderViewers};
pub use parse_data::{parse_body, parse_data};
pub use resume::{Discontinuity, ResumeRequest, Resumed, TopicResumed};
pub use token::{TokenExpiring, TokenRefresh, TokenRefreshed};
pub use welcome::Welcome;

/// A place in a durable topic's log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Position {
    /// Which life of the log. Offsets of different epochs can't be compared.
    pub epoch: String,
    /// The number of the last message up to here; 0 before the first.
    pub offset: u64,
}

/// A place in each of several topics.
pub type Positions = BTreeMap<Topic, Position>;

/// What `system:subscribe` and `system:unsubscribe` ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct TopicsRequest {
    /// The topics to join or leave.
    pub topics: Vec<Topic>,
}

/// `system:ack` for a subscribe or unsubscribe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct TopicsAck {
    /// Where each of the topics stood at that moment.
    pub topics: Positions,
}

/// `system:ack` for an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct SendAck {
    /// The `id` of the acknowledged message.
    pub id: String,
    /// The place that it got in each durable topic; empty for an ephemeral message.
    pub positions: Positions,
}

/// How a node is, in `system:health_check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum NodeStatus {
    /// Everything works.
    Ok,
    /// Delivery within the node works; what needs the other nodes doesn't.
    Degraded,
    /// The node is about to stop and takes no new connections.
    Draining,
}

/// How a node's link to Redis is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RedisStatus {
    /// Commands are answered and the bus delivers.
    Up,
    /// It can't be reached, or the bus doesn't deliver.
    Down,
    /// The node runs alone and needs none.
    Embedded,
}

/// `system:health_check`: how the node is that holds the asker's connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct HealthCheck {
    /// The node's state as a whole.
    pub status: NodeStatus,
    /// The node.
    pub node_id: NodeId,
    /// For how long it has been running.
    pub uptime_seconds: u64,
    /// Its link to Redis.
    pub redis: RedisStatus,
    /// Its open connections.
    pub connections: u64,
}

/// `system:draining`: the node is about to close this connection with 1012.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Draining {
    /// When to connect again, counted from this message; each connection is told another moment, so that the
    /// other nodes are not stormed. The node closes this connection then, or a little later. Who is closed earlier
    /// waits for the rest of it; who is closed later connects at once, without a back-off of its own.
    pub reconnect_in_ms: u64,
    /// Why.
    pub reason: DrainReason,
}

/// Why a node drains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum DrainReason {
    /// Its process was asked to stop.
    Stopping,
    /// Somebody asked for it through the API.
    Requested,
    /// A part of it ended by itself.
    Fault,
    /// It does not: only this connection has to go, so that the nodes share the clients.
    Balance,
}

/// `system:stats`: counts of the asker's connection, of its node, and of the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Stats {
    /// The asker's connection.
    pub connection: ConnectionStats,
    /// The node that holds it.
    pub node: NodeStats,
    /// All nodes together.
    pub cluster: ClusterStats,
}

/// Counts of one connection since it was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ConnectionStats {
    /// Messages that the client sent.
    pub messages_in: u64,
    /// Messages that were sent to the client.
    pub messages_out: u64,
    /// Bytes of the messages that the client sent.
    pub bytes_in: u64,
    /// Bytes of the messages that were sent to the client.
    pub bytes_out: u64,
    /// Requests answered with `system:error`.
    pub errors: u64,
    /// For how long the connection has been open.
    pub uptime_seconds: u64,
    /// `open`, or `draining` when the node is about to close it.
    pub state: ConnectionState,
}

/// Where a connection is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// In use.
    Open,
    /// Its node is about to close it.
    Draining,
}

/// Counts of one node since it started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct NodeStats {
    /// The node.
    pub node_id: NodeId,
    /// Open connections.
    pub connections: u64,
    /// Open connections of each agent type.
    pub connections_by_agent_type: BTreeMap<String, u64>,
    /// Open connections of each pillar; those without one are not counted here.
    pub connections_by_pillar: BTreeMap<String, u64>,
    /// Messages from clients.
    pub messages_in: u64,
    /// Messages to clients.
    pub messages_out: u64,
    /// Messages from clients in each of the last seconds, on average.
    pub messages_in_per_second: f64,
    /// Messages to clients in each of the last seconds, on average.
    pub messages_out_per_second: f64,
    /// Locks that clients of this node asked for.
    pub locks: LockStats,
    /// For how long the node has been running.
    pub uptime_seconds: u64,
}

/// Counts of the locks that one node was asked for since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct LockStats {
    /// Granted, renewals not counted.
    pub granted: u64,
    /// Denied.
    pub denied: u64,
    /// Waiting in line now.
    pub waiting: u64,
}

/// Counts of all live nodes together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct ClusterStats {
    /// Live nodes.
    pub nodes: u64,
    /// Open connections.
    pub connections: u64,
    /// Open connections of each agent type.
    pub connections_by_agent_type: BTreeMap<String, u64>,
    /// Open connections of each pillar.
    pub connections_by_pillar: BTreeMap<String, u64>,
    /// Messages from clients, since each node started.
    pub messages_in: u64,
    /// Messages to clients, since each node started.
    pub messages_out: u64,
}

/// What `presence:list` asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PresenceRequest {
    /// The topic whose members are asked for.
    pub topic: Topic,
    /// Most members in one answer; the node has a limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The `cursor` of the answer before; absent for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// `presence:members`: who is connected, one page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct PresenceMembers {
    /// The topic that was asked for.
    pub topic: Topic,
    /// Distinct agents in the whole topic, not only on this page.
    pub count: u64,
    /// One row for each connection.
    pub members: Vec<Member>,
    /// Ask again with it for the next page; `null` on the last one.
    pub cursor: Option<String>,
}

/// One connection of a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Member {
    /// Who.
    pub agent: Agent,
    /// In which session.
    pub session_id: SessionId,
    /// On which node.
    pub node_id: NodeId,
    /// Since when, e.g. `2026-01-01T08:00:00.000Z`.
    pub connected_at: String,
}
