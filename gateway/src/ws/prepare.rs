//! An event on its way out: whether its sender may send it there, and its one encoding for all receivers.

use signalbox_identity::Verb;
use signalbox_protocol::catalogue::{Entry, UNLISTED};
use signalbox_protocol::conflation::conflation_key;
use signalbox_protocol::envelope::{Incoming, Stamp, Target, write_event};
use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_protocol::{Agent, Tenant, Topic};
use smallvec::{SmallVec, smallvec};

use super::frame::TextFrame;
use crate::hub::Connection;
use crate::node::Node;
use crate::rights::Rights;
use crate::router::{Message, Record};
use crate::stamps::{MessageId, now_ms};

/// Bytes that the node may add to a message: id, timestamp, source and the names of all fields.
const STAMP_BYTES: usize = 256;

/// Who says something, and where it goes if nothing else is said.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    tenant: &'a Tenant,
    agent: &'a Agent,
    rights: &'a Rights,
    namespace: Option<&'a str>,
    connection: Option<u64>,
}

impl<'a> Sender<'a> {
    /// Somebody without a connection. What it may send is checked when a message is [prepared](prepare).
    pub fn new(tenant: &'a Tenant, agent: &'a Agent, rights: &'a Rights) -> Self {
        Self { tenant, agent, rights, namespace: None, connection: None }
    }

    pub(super) fn of(connection: &'a Connection, rights: &'a Rights) -> Self {
        let profile = connection.profile();
        Self {
            namespace: profile.namespace.as_deref(),
            connection: Some(connection.number()),
            ..Self::new(&profile.tenant, &profile.agent, rights)
        }
    }
}

/// A checked and encoded event.
#[derive(Debug)]
pub enum Prepared {
    /// An ephemeral one: delivered to whoever is there.
    Passing(Passing),
    /// A durable one: stored first. Its sender is always told that it is.
    Lasting(Record),
}

/// An ephemeral event.
#[derive(Debug)]
pub struct Passing {
    /// What the router takes.
    pub message: Message,
    /// The id it goes under.
    pub id: String,
    /// Whether the sender gets a `system:ack`.
    pub acknowledged: bool,
}

/// Checks that this sender may send this event there, and encodes it once for all receivers.
///
/// # Errors
/// The [`Fault`] to answer with; nothing was sent.
pub fn prepare(
    node: &Node,
    sender: &Sender<'_>,
    incoming: &Incoming<'_>,
    entry: &Entry,
) -> Result<Prepared, Fault> {
    let message_type = &*incoming.message_type;
    if !node.settings.unknown_types && *entry == UNLISTED {
        let text = format!("{message_type} is not in the catalogue, and this node passes no other types");
        return Err(Fault::new(ErrorCode::UnknownType, text));
    }
    may_send(sender.agent.agent_type(), message_type, entry)?;
    let access = &node.metrics.access;
    sender.rights.may(access, Verb::Publish, message_type)?;
    let to = address(node, sender, incoming, entry)?;
    to.iter().try_for_each(|(topic, _)| sender.rights.may_send_to(access, topic))?;
    let fresh = incoming.id.is_none().then(MessageId::fresh);
    let id = incoming.id.as_deref().or(fresh.as_ref().map(MessageId::as_str)).unwrap_or_default();
    let data_bytes = incoming.data.map_or(2, |data| data.get().len());
    let more_bytes = incoming.metadata.map_or(2, |metadata| metadata.get().len())
        + incoming.target_raw.map_or(4, |target| target.get().len());
    let mut frame = TextFrame::with_capacity(data_bytes + more_bytes + STAMP_BYTES);
    let stamp = Stamp { id, timestamp_ms: now_ms(), source: sender.agent.as_str() };
    write_event(frame.body(), incoming, &stamp);
    let (tenant, id) = (sender.tenant.clone(), id.to_owned());
    if entry.is_durable() {
        let to = to.into_iter().map(|(topic, _)| topic).collect();
        let (source, body) = (sender.agent.clone(), frame.into_text());
        return Ok(Prepared::Lasting(Record { tenant, to, source, id, body }));
    }
    let message = Message {
        tenant,
        to,
        frame: frame.finish(),
        except: sender.connection,
        confirm: incoming.ack || incoming.correlation_id.is_some(),
    };
    Ok(Prepared::Passing(Passing { message, id, acknowledged: incoming.ack }))
}

/// The topics that a message goes to, each with its conflation key.
fn address(
    node: &Node,
    sender: &Sender<'_>,
    incoming: &Incoming<'_>,
    entry: &Entry,
) -> Result<SmallVec<[(Topic, u64); 1]>, Fault> {
    let key = |topic: &Topic| match entry.conflates() {
        true => conflation_key(&incoming.message_type, topic.as_str(), sender.agent.as_str()),
        false => 0,
    };
    match &incoming.target {
        Target::Topics(topics) => {
            topics.iter().try_for_each(|topic| is_known(node, topic))?;
            Ok(topics.iter().map(|topic| (topic.clone(), key(topic))).collect())
        }
        Target::Default => {
            let namespace = sender.namespace.or_else(|| entry.default_namespace()).ok_or_else(|| {
                let text =
                    format!("{} has no single namespace of its own: name a target", incoming.message_type);
                Fault::new(ErrorCode::InvalidTarget, text)
            })?;
            let topic =
                Topic::of("namespace", namespace).expect("namespaces have the characters of topic ids");
            Ok(smallvec![(topic.clone(), key(&topic))])
        }
    }
}

/// Namespaces and agent types are closed lists: a typo in one is told and not sent into the void.
pub(super) fn is_known(node: &Node, topic: &Topic) -> Result<(), Fault> {
    let known = match topic.kind() {
        "namespace" => node.vocabulary.is_namespace(topic.id()),
        "agent_type" => node.vocabulary.is_agent_type(topic.id()),
        _ => true,
    };
    if known {
        Ok(())
    } else {
        Err(Fault::new(ErrorCode::InvalidTarget, format!("{topic}: there is no such {}", topic.kind())))
    }
}

/// Whether the catalogue lets agents of this type send it.
///
/// # Errors
/// [`ErrorCode::Forbidden`].
pub(super) fn may_send(agent_type: &str, message_type: &str, entry: &Entry) -> Result<(), Fault> {
    if entry.may_send(agent_type) {
        return Ok(());
    }
    Err(Fault::new(ErrorCode::Forbidden, format!("a {agent_type} may not send {message_type}")))
}
