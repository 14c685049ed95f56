//! The questions that wait for an answer, and which message answers which.
//!
//! Owned by the connection's task. Whoever asked waits with a deadline of its own, and how many may wait
//! is bounded by the handle; a question whose asker went away is swept out when the table has doubled.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use signalbox_protocol::{Fault, Received, catalogue};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::closed::Closed;
use crate::fate::Fate;

/// What an answer is: a message, or the reason why there is none.
pub(crate) type Answer = Result<Received, NoAnswer>;

/// Why there is no answer to a question, as far as the task can tell; whether it was sent is in its [`Fate`].
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// The gateway refused.
    Refused(Fault),
    /// The gateway refused a second attempt, after the first one's answer was lost.
    RefusedAgain(Fault),
    /// The connection ended before the answer came.
    Lost(Closed),
    /// The time that the configuration gives it is over.
    TooLate(Duration),
    /// The node takes no message of this size.
    TooLarge { bytes: usize, bytes_max: usize },
}

/// Somebody who waits for the answer to a message.
#[derive(Debug)]
pub(crate) struct Question {
    /// The `correlationId` of the answer: that of the message, or its `id`.
    pub(crate) id: Uuid,
    pub(crate) awaits: Awaits,
    pub(crate) fate: Arc<Fate>,
    pub(crate) asker: oneshot::Sender<Answer>,
}

/// Which message counts as the answer, besides a `system:error`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Awaits {
    /// The gateway's `system:ack`.
    Ack,
    /// The gateway's `system:ack` for a change of topics, which may be asked for again: it changes nothing more.
    Topics(Change),
    /// Whatever the gateway replies to a command.
    Reply,
    /// Another client's message. What carries the same id but is not it: the gateway's `system:ack` for a
    /// durable request, and the request itself, coming back through a topic of its sender.
    Message {
        /// The type of the request.
        request_type: Box<str>,
    },
}

/// What is done with topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Join,
    Leave,
}

impl Awaits {
    /// What answers a request of this type.
    pub(crate) fn answer_to(request_type: &str) -> Self {
        if catalogue::of(request_type).is_command() {
            Self::Reply
        } else {
            Self::Message { request_type: request_type.into() }
        }
    }

    fn is_met_by(&self, message: &Received, own_source: &str) -> bool {
        match self {
            Self::Ack | Self::Topics(_) => message.message_type == ACK,
            Self::Reply => true,
            Self::Message { request_type } => {
                let echo = message.message_type == **request_type && message.source == own_source;
                message.message_type != ACK && !echo
            }
        }
    }

    /// The gateway tells its answer to the connection that asked, another client to the agent, which comes back.
    fn outlives_connection(&self) -> bool {
        matches!(self, Self::Message { .. })
    }
}

pub(crate) const ACK: &str = "system:ack";
pub(crate) const ERROR: &str = "system:error";

/// Many a program asks now and then; the table is swept from this size on.
const SWEEP_FROM: usize = 32;

#[derive(Debug, Default)]
pub(crate) struct Pending {
    questions: HashMap<Uuid, Entry>,
    sweep_at: usize,
    own_source: String,
}

#[derive(Debug)]
struct Entry {
    question: Question,
    /// What was sent, if it may be sent again.
    text: Option<String>,
}

impl Pending {
    /// The client's messages have this source from now on.
    pub(crate) fn set_own_source(&mut self, source: &str) {
        source.clone_into(&mut self.own_source);
    }

    /// `question` is being sent as `text`.
    pub(crate) fn ask(&mut self, question: Question, text: &str) {
        if self.questions.len() >= SWEEP_FROM.max(self.sweep_at) {
            self.questions.retain(|_, entry| !entry.question.asker.is_closed());
            self.sweep_at = self.questions.len() * 2;
        }
        let text = matches!(question.awaits, Awaits::Topics(_)).then(|| text.to_owned());
        self.questions.insert(question.id, Entry { question, text });
    }

    /// The connection ended. What has to be asked again is returned, oldest first; whose answer can't come any more
    /// is told so.
    pub(crate) fn disconnected(&mut self, closed: &Closed) -> Vec<(Question, String)> {
        let mut again = Vec::new();
        for (id, Entry { question, text }) in std::mem::take(&mut self.questions) {
            if question.asker.is_closed() {
                continue;
            }
            if question.awaits.outlives_connection() {
                self.questions.insert(id, Entry { question, text });
            } else if let Some(text) = text {
                again.push((question, text));
            } else {
                // Who has stopped waiting meanwhile was told that it timed out.
                let _ = question.asker.send(Err(NoAnswer::Lost(closed.clone())));
            }
        }
        again.sort_by_key(|(question, _)| question.id);
        again
    }

    /// The change of topics that `message` acknowledges, whether or not somebody still waits for that.
    pub(crate) fn change_of(&self, message: &Received) -> Option<Change> {
        let entry = self.questions.get(&correlation(message)?)?;
        match entry.question.awaits {
            Awaits::Topics(change) if message.message_type == ACK => Some(change),
            _ => None,
        }
    }

    /// Hands `message` to who asked for it; gives it back if nobody did.
    pub(crate) fn answer(&mut self, message: Received) -> Option<Received> {
        let Some(id) = correlation(&message) else { return Some(message) };
        let refused = message.message_type == ERROR;
        let met = |entry: &Entry| refused || entry.question.awaits.is_met_by(&message, &self.own_source);
        if !self.questions.get(&id).is_some_and(met) {
            return Some(message);
        }
        let Entry { question, .. } = self.questions.remove(&id)?;
        let answer = match refused.then(|| message.data::<Fault>()) {
            Some(Ok(fault)) => Err(NoAnswer::Refused(fault)),
            // A refusal in a shape that this client doesn't know is still the answer.
            Some(Err(_)) | None => Ok(message),
        };
        // Who has stopped waiting was told that it timed out.
        question.asker.send(answer).err()?.ok()
    }
}

/// Which question `message` answers, if one of this client's.
pub(crate) fn correlation(message: &Received) -> Option<Uuid> {
    Uuid::try_parse(message.correlation_id.as_deref()?).ok()
}

#[cfg(test)]
mod tests;
