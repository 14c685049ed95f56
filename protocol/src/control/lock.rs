//! `lock:*`.

use serde::{Deserialize, Serialize};

use crate::{Agent, RequestId, Resource};

/// `lock:acquire`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct LockAcquire {
    /// What is to be locked.
    pub resource: Resource,
    /// How long the lock lasts unless it is renewed, in milliseconds.
    #[serde(default = "default_ttl_ms")]
    pub ttl_ms: u64,
    /// How long to wait in line, in milliseconds.
    #[serde(default)]
    pub wait_ms: u64,
    /// Tells a retry from a new request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

fn default_ttl_ms() -> u64 {
    crate::limits::LOCK_TTL.as_millis() as u64
}

/// `lock:renew`, `lock:release`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct LockProof {
    /// What is locked.
    pub resource: Resource,
    /// What `lock:granted` told; it alone authorises.
    pub token: String,
}

/// `lock:granted`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct LockGranted {
    /// What is locked.
    pub resource: Resource,
    /// The secret that proves that you hold it.
    pub token: String,
    /// Greater than that of every grant before, and below 2^53.
    pub fence: u64,
    /// How long it lasts from now, in milliseconds.
    pub ttl_ms: u64,
}

/// `lock:denied`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct LockDenied {
    /// What was asked for.
    pub resource: Resource,
    /// Who holds it, or is next; `null` if nobody.
    pub held_by: Option<Agent>,
    /// When asking again may help, in milliseconds.
    pub retry_after_ms: u64,
}

/// `lock:released`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct LockReleased {
    /// What is free now.
    pub resource: Resource,
}
