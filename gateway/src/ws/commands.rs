//! The commands of a client: each is checked, carried out, and answered to the asker alone.

mod boarding;
mod lock;
pub(crate) mod order;
mod presence;
mod query;
mod report;
mod resume;
mod subscribe;

use std::sync::Arc;

use signalbox_protocol::Topic;
use signalbox_protocol::envelope::Incoming;
use signalbox_protocol::error::{ErrorCode, Fault};

use super::dispatch::Step;
use crate::hub::Connection;
use crate::node::Node;

pub(crate) use self::presence::{PresenceQuery, members};
pub(crate) use self::report::health;

/// Carries out one command.
///
/// # Errors
/// The [`Fault`] to answer with; nothing was changed.
pub fn run(node: &Arc<Node>, connection: &Arc<Connection>, incoming: &Incoming<'_>) -> Result<Step, Fault> {
    match &*incoming.message_type {
        "system:subscribe" => subscribe::subscribe(node, connection, incoming),
        "system:resume" => resume::resume(node, connection, incoming),
        "system:unsubscribe" => subscribe::unsubscribe(node, connection, incoming),
        "system:health_check" => Ok(report::health_check(node, connection, incoming)),
        "system:stats" => Ok(report::stats(node, connection, incoming)),
        "lock:acquire" => lock::acquire(node, connection, incoming),
        "lock:renew" => lock::renew(node, connection, incoming),
        "lock:release" => lock::release(node, connection, incoming),
        "order:view" => order::view(node, connection, incoming),
        "order:accept" => order::accept(node, connection, incoming),
        "vehicle:query_commuters" => query::commuters(node, connection, incoming),
        "boarding:request" => boarding::request(node, connection, incoming),
        "boarding:alight" => boarding::alight(node, connection, incoming),
        "presence:list" => presence::list(node, connection, incoming),
        other => {
            let text = format!("{other} is not supported by this version");
            Err(Fault::new(ErrorCode::UnknownType, text))
        }
    }
}

/// Whether the topic is one that the connection belongs to from its handshake to its end.
pub(crate) fn is_own(connection: &Connection, topic: &Topic) -> bool {
    let profile = connection.profile();
    match topic.kind() {
        "connection" => topic.id() == connection.id().as_str(),
        "session" => *topic == profile.session,
        "agent_type" => topic.id() == profile.agent.agent_type(),
        "pillar" => Some(topic.id()) == profile.pillar.as_deref(),
        "namespace" => Some(topic.id()) == profile.namespace.as_deref(),
        _ => topic == profile.agent.topic(),
    }
}
