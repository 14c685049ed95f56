//! Who waits, for how long, and what is kept elsewhere.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use signalbox_protocol::Topic;

use crate::config::Secret;
use crate::config::units::period;

/// Who waits, and for how long that is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reservoir {
    /// How long a passenger waits who gave no end.
    #[serde(with = "period")]
    pub waiting_max: Duration,
    /// How long a passenger is remembered who was dropped off, cancelled or given up.
    #[serde(with = "period")]
    pub ended_kept: Duration,
}

impl Default for Reservoir {
    fn default() -> Self {
        Self { waiting_max: Duration::from_secs(24 * 3_600), ended_kept: Duration::from_secs(3_600) }
    }
}

/// Strapi as the store of one tenant's passengers; without a URL there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Strapi {
    /// `http://host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The API token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// Whose passengers it holds.
    pub tenant: String,
    /// Longest wait for an answer.
    #[serde(with = "period")]
    pub request_timeout: Duration,
    /// How long a change is tried again that Strapi fails with an error of its own.
    #[serde(with = "period")]
    pub give_up_after: Duration,
    /// Changes that may wait for it.
    pub outbox_max: u64,
    /// How long an answer to a query is remembered.
    #[serde(with = "period")]
    pub cache_ttl: Duration,
}

impl Default for Strapi {
    fn default() -> Self {
        Self {
            url: None,
            token: None,
            tenant: "default".to_owned(),
            request_timeout: Duration::from_secs(5),
            give_up_after: Duration::from_secs(600),
            outbox_max: 10_000,
            cache_ttl: Duration::from_secs(5),
        }
    }
}

/// Orders that one driver accepts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Orders {
    /// Topics that hear of an accepted order, beside its own.
    pub announce: Vec<Topic>,
}

impl Default for Orders {
    fn default() -> Self {
        let drivers = Topic::of("agent_type", "driver").expect("a constant topic");
        Self { announce: vec![drivers] }
    }
}
