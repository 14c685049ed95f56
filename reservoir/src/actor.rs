//! Who asks for a change.

use signalbox_protocol::timestamp::Timestamp;
use signalbox_protocol::{Agent, RequestId, Tenant};

/// Who asks for a change, and when.
#[derive(Debug, Clone)]
pub struct Actor {
    /// The customer.
    pub tenant: Tenant,
    /// Stamped as the source of the announcement.
    pub agent: Agent,
    /// Whose request ids they are.
    pub subject: String,
    /// Tells a retry from a new request.
    pub request_id: Option<RequestId>,
    /// The asker's clock.
    pub now: Timestamp,
}
