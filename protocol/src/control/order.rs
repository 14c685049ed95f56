//! `order:*`.

use serde::{Deserialize, Serialize};

use crate::{Agent, OrderId, RequestId};

/// `order:view`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct OrderView {
    /// The order.
    pub order_id: OrderId,
    /// Whether the asker looks at it from now on, or no longer.
    #[serde(default = "yes")]
    pub viewing: bool,
}

fn yes() -> bool {
    true
}

/// `order:viewers`: the answer, and the notice to the other viewers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct OrderViewers {
    /// The order.
    pub order_id: OrderId,
    /// How many look at it.
    pub count: u64,
    /// Who they are.
    pub viewers: Vec<Agent>,
}

/// `order:accept`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct OrderAccept {
    /// The order.
    pub order_id: OrderId,
    /// Tells a retry from a new request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

/// `order:accepted`: the answer, and the event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct OrderAccepted {
    /// The order.
    pub order_id: OrderId,
    /// Who has it.
    pub by: Agent,
    /// Greater than that of every lock of `order:ID` before, and below 2^53.
    pub fence: u64,
}

/// Why an order was not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OrderDenial {
    /// Somebody has it for good.
    Accepted,
    /// Somebody holds the lock named `order:ID` now.
    Locked,
}

/// `order:denied`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct OrderDenied {
    /// The order.
    pub order_id: OrderId,
    /// Why.
    pub reason: OrderDenial,
    /// Who has it, or its lock.
    pub held_by: Agent,
}
