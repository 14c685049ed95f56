//! The bounds by name.

/// A bound that was hit, as the metric and the peer are told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it; `as_str` is what operators read")]
pub enum Limit {
    NodeConnections,
    TenantConnections,
    AgentConnections,
    AddressConnections,
    AddressConnects,
    Messages,
    Bytes,
    TenantMessages,
    TenantBytes,
    LockAttempts,
    Refusals,
    Frames,
    MessageBytes,
    Malformed,
    Subscriptions,
    Waits,
    HeaderBytes,
    HandshakeTime,
    HttpConnections,
    HttpBodies,
    AnswerTime,
}

impl Limit {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::NodeConnections,
        Self::TenantConnections,
        Self::AgentConnections,
        Self::AddressConnections,
        Self::AddressConnects,
        Self::Messages,
        Self::Bytes,
        Self::TenantMessages,
        Self::TenantBytes,
        Self::LockAttempts,
        Self::Refusals,
        Self::Frames,
        Self::MessageBytes,
        Self::Malformed,
        Self::Subscriptions,
        Self::Waits,
        Self::HeaderBytes,
        Self::HandshakeTime,
        Self::HttpConnections,
        Self::HttpBodies,
        Self::AnswerTime,
    ];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NodeConnections => "connections",
            Self::TenantConnections => "tenant_connections",
            Self::AgentConnections => "agent_connections",
            Self::AddressConnections => "address_connections",
            Self::AddressConnects => "address_connects",
            Self::Messages => "messages",
            Self::Bytes => "bytes",
            Self::TenantMessages => "tenant_messages",
            Self::TenantBytes => "tenant_bytes",
            Self::LockAttempts => "lock_attempts",
            Self::Refusals => "refusals",
            Self::Frames => "frames",
            Self::MessageBytes => "message_bytes",
            Self::Malformed => "malformed",
            Self::Subscriptions => "subscriptions",
            Self::Waits => "waits",
            Self::HeaderBytes => "header_bytes",
            Self::HandshakeTime => "handshake_time",
            Self::HttpConnections => "http_connections",
            Self::HttpBodies => "http_bodies",
            Self::AnswerTime => "answer_time",
        }
    }

    /// What is told to whoever hit it.
    pub fn told(self) -> &'static str {
        match self {
            Self::NodeConnections => "this node has as many connections as it may",
            Self::TenantConnections => "this tenant has as many connections on this node as it may",
            Self::AgentConnections => "this agent has as many connections on this node as it may",
            Self::AddressConnections => "this address has as many connections on this node as it may",
            Self::AddressConnects => "too many connections come from this address",
            Self::TenantMessages | Self::TenantBytes => "this tenant sends too much",
            Self::HttpConnections => "too many connections are being answered: try again",
            Self::LockAttempts => "too many locks are asked for",
            _ => "too much is sent",
        }
    }
}
