//! The commands of a client: each is checked, carried out, and answered to the asker alone.

pub(crate) mod boarding;
mod lock;
pub(crate) mod order;
mod presence;
mod query;
mod refresh;
mod report;
mod resume;
mod subscribe;

use std::sync::Arc;

use signalbox_protocol::Topic;
use signalbox_protocol::envelope::Incoming;
use signalbox_protocol::error::{ErrorCode, Fault};

use super::asker::Asker;
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
    let asker = Asker::new(node, connection);
    match &*incoming.message_type {
        "system:subscribe" => subscribe::subscribe(node, asker, incoming),
        "system:resume" => resume::resume(node, asker, incoming),
        "system:refresh" => refresh::refresh(node, asker, incoming),
        "system:unsubscribe" => subscribe::unsubscribe(node, asker, incoming),
        "system:health_check" => Ok(report::health_check(node, asker, incoming)),
        "system:stats" => Ok(report::stats(node, asker, incoming)),
        "lock:acquire" => lock::acquire(node, asker, incoming),
        "lock:renew" => lock::renew(node, asker, incoming),
        "lock:release" => lock::release(node, asker, incoming),
        "order:view" => order::view(node, asker, incoming),
        "order:accept" => order::accept(node, asker, incoming),
        "vehicle:query_commuters" => query::commuters(node, asker, incoming),
        "boarding:request" => boarding::request(node, asker, incoming),
        "boarding:alight" => boarding::alight(node, asker, incoming),
        "presence:list" => presence::list(node, asker, incoming),
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
