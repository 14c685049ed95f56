//! What is made of one text message: an event is routed, a command is answered, nonsense is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use signalbox_protocol::catalogue::{self, Entry, Kind, UNLISTED};
use signalbox_protocol::conflation::conflation_key;
use signalbox_protocol::control::{Positions, SendAck, TopicResumed};
use signalbox_protocol::envelope::{Incoming, Stamp, Target, write_event};
use signalbox_protocol::error::{ErrorCode, Fault};
use signalbox_protocol::{Agent, Tenant, Topic};
use smallvec::{SmallVec, smallvec};

use super::{answer, commands, frame::TextFrame};
use crate::hub::Connection;
use crate::node::Node;
use crate::router::{Message, Record, Routed};
use crate::stamps::{MessageId, now_ms};

/// Bytes that the node may add to a message: id, timestamp, source and the names of all fields.
const STAMP_BYTES: usize = 256;

/// What came of a message.
pub enum Step {
    /// All is done, and whatever there is to answer is in the outbox.
    Done,
    /// The same, and the message was malformed: too many of these close the connection.
    Malformed,
    /// An answer is awaited; the client's next message is not read before.
    Wait(BoxFuture<'static, Outcome>),
    /// An answer is awaited that may take long; the client's next messages are read meanwhile. Refused if
    /// too many such answers are awaited already.
    Later(Later),
}

/// An answer that may take long, and whose it is.
pub struct Later {
    /// The work; not begun yet.
    pub work: BoxFuture<'static, Outcome>,
    /// For the refusal.
    pub correlation_id: Option<String>,
}

impl std::fmt::Debug for Later {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Later").field("correlation_id", &self.correlation_id).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Done => "Done",
            Self::Malformed => "Malformed",
            Self::Wait(_) => "Wait",
            Self::Later(_) => "Later",
        })
    }
}

/// What an awaited answer turned out to be; the connection's task acts on it.
#[derive(Debug)]
pub enum Outcome {
    /// Nobody asked for an answer.
    Nothing,
    /// Send this.
    Reply(Bytes),
    /// Say what went wrong.
    Failed(Fault, Option<String>),
    /// These topics are followed on the bus and in the hub: acknowledge, then let the client catch up.
    Joined {
        /// All that were asked for.
        topics: Vec<Topic>,
        /// Whose answer it is.
        correlation: Option<String>,
    },
    /// The same for topics that the client resumes.
    Resumed {
        /// How each goes on.
        told: BTreeMap<Topic, TopicResumed>,
        /// Whose answer it is.
        correlation: Option<String>,
    },
    /// These topics were left.
    Left {
        /// All that were asked for.
        topics: Vec<Topic>,
        /// The acknowledgement.
        ack: Bytes,
    },
}

/// Who says something, and where it goes if nothing else is said.
#[derive(Debug, Clone, Copy)]
pub struct Sender<'a> {
    /// The customer.
    pub tenant: &'a Tenant,
    /// Stamped as the source.
    pub agent: &'a Agent,
    /// The namespace that the connection joined by its path.
    pub namespace: Option<&'a str>,
    /// The connection's number, if it is one.
    pub connection: Option<u64>,
}

/// Handles one text message of a connection.
pub fn handle(node: &Arc<Node>, connection: &Arc<Connection>, text: &str) -> Step {
    let incoming = match Incoming::parse(text) {
        Ok(incoming) => incoming,
        Err(malformed) => {
            let correlation_id = malformed.correlation_id.as_deref();
            answer::fail(connection, &node.metrics, &malformed.fault, correlation_id);
            return Step::Malformed;
        }
    };
    let entry = catalogue::of(&incoming.message_type);
    let step = match entry.kind {
        Kind::Command => command(node, connection, &incoming, &entry),
        Kind::Event { .. } | Kind::Reply => event(node, connection, &incoming, &entry),
    };
    step.unwrap_or_else(|fault| {
        answer::fail(connection, &node.metrics, &fault, incoming.answer_to());
        if is_malformed(fault.code) { Step::Malformed } else { Step::Done }
    })
}

fn command(
    node: &Arc<Node>,
    connection: &Arc<Connection>,
    incoming: &Incoming<'_>,
    entry: &Entry,
) -> Result<Step, Fault> {
    may_send(connection.profile().agent.agent_type(), &incoming.message_type, entry)?;
    commands::run(node, connection, incoming)
}

fn may_send(agent_type: &str, message_type: &str, entry: &Entry) -> Result<(), Fault> {
    if entry.may_send(agent_type) {
        return Ok(());
    }
    Err(Fault::new(ErrorCode::Forbidden, format!("a {agent_type} may not send {message_type}")))
}

fn is_malformed(code: ErrorCode) -> bool {
    use ErrorCode::{InvalidData, InvalidEnvelope, InvalidJson, InvalidTarget, InvalidType};
    matches!(code, InvalidData | InvalidEnvelope | InvalidJson | InvalidTarget | InvalidType)
}

fn event(
    node: &Arc<Node>,
    connection: &Arc<Connection>,
    incoming: &Incoming<'_>,
    entry: &Entry,
) -> Result<Step, Fault> {
    let profile = connection.profile();
    let sender = Sender {
        tenant: &profile.tenant,
        agent: &profile.agent,
        namespace: profile.namespace.as_deref(),
        connection: Some(connection.number()),
    };
    let prepared = prepare(node, &sender, incoming, entry)?;
    let correlation = incoming.answer_to().map(str::to_owned);
    match prepared {
        Prepared::Passing(passing) => Ok(pass_on(node, passing, correlation)),
        Prepared::Lasting(record) => Ok(store(node, record, correlation)),
    }
}

fn pass_on(node: &Arc<Node>, passing: Passing, correlation: Option<String>) -> Step {
    let confirm = passing.message.confirm;
    let Routed::Pending(rest) = node.router.send(passing.message) else { return Step::Done };
    let ack_id = passing.acknowledged.then_some(passing.id);
    Step::Wait(Box::pin(async move {
        match (rest.await, ack_id) {
            (Ok(()), Some(id)) => Outcome::Reply(acknowledge(id, Positions::new(), correlation.as_deref())),
            (Err(fault), _) if confirm => Outcome::Failed(fault, correlation),
            (Ok(()) | Err(_), _) => Outcome::Nothing,
        }
    }))
}

fn store(node: &Arc<Node>, record: Record, correlation: Option<String>) -> Step {
    let router = Arc::clone(&node.router);
    Step::Wait(Box::pin(async move {
        match router.store(&record).await {
            Ok(positions) => Outcome::Reply(acknowledge(record.id, positions, correlation.as_deref())),
            Err(fault) => Outcome::Failed(fault, correlation.or(Some(record.id))),
        }
    }))
}

fn acknowledge(id: String, positions: Positions, correlation_id: Option<&str>) -> Bytes {
    let correlation_id = correlation_id.unwrap_or(&id).to_owned();
    answer::reply("system:ack", Some(&correlation_id), &SendAck { id, positions })
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
    let to = address(node, sender, incoming, entry)?;
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
