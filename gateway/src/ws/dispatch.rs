//! What is made of one text message: an event is routed, a command is answered, nonsense is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use signalbox_protocol::Topic;
use signalbox_protocol::catalogue::{self, Entry, Kind};
use signalbox_protocol::control::{Positions, SendAck, TopicResumed};
use signalbox_protocol::envelope::Incoming;
use signalbox_protocol::error::{ErrorCode, Fault};
use tracing::Instrument;

use super::prepare::{Passing, Prepared, Sender, may_send, prepare};
use super::{answer, commands};
use crate::hub::Connection;
use crate::metrics::Class;
use crate::node::Node;
use crate::router::{Record, Routed};
use crate::trace::Span;

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

impl Outcome {
    /// How it went, in a word.
    fn result(&self) -> &'static str {
        match self {
            Self::Failed(fault, _) => fault.code.as_str(),
            Self::Nothing
            | Self::Reply(_)
            | Self::Joined { .. }
            | Self::Resumed { .. }
            | Self::Left { .. } => DONE,
        }
    }
}

/// The result of what did not fail.
const DONE: &str = "done";

/// Handles one text message of a connection.
pub fn handle(node: &Arc<Node>, connection: &Arc<Connection>, text: &str) -> Step {
    let incoming = match Incoming::parse(text) {
        Ok(incoming) => incoming,
        Err(malformed) => {
            let correlation_id = malformed.correlation_id.as_deref();
            answer::fail(connection, &node.metrics, &malformed.fault, correlation_id);
            node.metrics.messages_received.count_one(Class::Refused, text.len());
            return Step::Malformed;
        }
    };
    let entry = catalogue::of(&incoming.message_type);
    node.metrics.messages_received.count_one(Class::of(&entry), text.len());
    match node.tracer.begin_message(&incoming) {
        None => act_on(node, connection, &incoming, &entry).0,
        Some(told) => {
            let lines = told.lines();
            let (step, result) =
                lines.in_scope(|| act_on(node, connection, &told.message(&incoming), &entry));
            follow(told.into_span(), lines, step, result)
        }
    }
}

/// Does what the message says, and tells how that went as far as it is known.
fn act_on(
    node: &Arc<Node>,
    connection: &Arc<Connection>,
    incoming: &Incoming<'_>,
    entry: &Entry,
) -> (Step, &'static str) {
    let step = match entry.kind {
        Kind::Command => command(node, connection, incoming, entry),
        Kind::Event { .. } | Kind::Reply => event(node, connection, incoming, entry),
    };
    match step {
        Ok(step) => (step, DONE),
        Err(fault) => {
            answer::fail(connection, &node.metrics, &fault, incoming.answer_to());
            let step = if is_malformed(fault.code) { Step::Malformed } else { Step::Done };
            (step, fault.code.as_str())
        }
    }
}

/// Ends the span when the answer is there.
fn follow(span: Span, lines: tracing::Span, step: Step, result: &'static str) -> Step {
    let awaiting = |work: BoxFuture<'static, Outcome>, span: Span| -> BoxFuture<'static, Outcome> {
        Box::pin(async move {
            let outcome = work.instrument(lines).await;
            span.end_with(outcome.result());
            outcome
        })
    };
    match step {
        Step::Wait(work) => Step::Wait(awaiting(work, span)),
        Step::Later(Later { work, correlation_id }) => {
            Step::Later(Later { work: awaiting(work, span), correlation_id })
        }
        step @ (Step::Done | Step::Malformed) => {
            span.end_with(result);
            step
        }
    }
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
    let rights = connection.rights();
    let prepared = prepare(node, &Sender::of(connection, &rights), incoming, entry)?;
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
