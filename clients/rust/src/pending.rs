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
mod tests {
    use super::*;

    fn message(message_type: &str, source: &str, correlation_id: &str) -> Received {
        let text = format!(
            r#"{{"id":"1","type":"{message_type}","timestamp":"","source":"{source}","data":{{}},
                 "correlationId":"{correlation_id}","metadata":{{}}}}"#
        );
        serde_json::from_str(&text).expect("it is a message")
    }

    fn ask(pending: &mut Pending, awaits: Awaits) -> (Uuid, oneshot::Receiver<Answer>) {
        let (asker, answer) = oneshot::channel();
        let id = Uuid::now_v7();
        pending.ask(Question { id, awaits, fate: Arc::default(), asker }, "text");
        (id, answer)
    }

    fn pending() -> Pending {
        let mut pending = Pending::default();
        pending.set_own_source("vehicle:me");
        pending
    }

    #[test]
    fn each_kind_of_question_knows_its_answer() {
        let durable = || Awaits::answer_to("boarding:request_made_up");
        for (awaits, message_type, source, answers) in [
            (Awaits::Ack, "system:ack", "gateway:n1", true),
            (Awaits::Ack, "order:accepted", "driver:1", false),
            (Awaits::answer_to("system:stats"), "system:stats", "gateway:n1", true),
            (Awaits::answer_to("system:subscribe"), "system:ack", "gateway:n1", true),
            (durable(), "system:ack", "gateway:n1", false),
            (durable(), "boarding:request_made_up", "vehicle:me", false),
            (durable(), "boarding:request_made_up", "vehicle:other", true),
            (durable(), "boarding:answered", "vehicle:me", true),
        ] {
            let mut pending = pending();
            let (id, mut answer) = ask(&mut pending, awaits.clone());
            let rest = pending.answer(message(message_type, source, &id.to_string()));
            assert_eq!(rest.is_none(), answers, "{awaits:?} {message_type} {source}");
            assert_eq!(answer.try_recv().is_ok(), answers, "{awaits:?} {message_type} {source}");
        }
    }

    #[test]
    fn an_error_answers_every_kind() {
        for awaits in [Awaits::Ack, Awaits::Reply, Awaits::answer_to("a:b")] {
            let mut pending = pending();
            let (id, mut answer) = ask(&mut pending, awaits);
            let text = format!(
                r#"{{"id":"1","type":"system:error","timestamp":"","source":"gateway:n1","correlationId":"{id}",
                     "data":{{"code":"not_found","message":"nobody","retryable":false,"details":null}},
                     "metadata":{{}}}}"#
            );
            assert!(pending.answer(serde_json::from_str(&text).unwrap()).is_none());
            let refused = answer.try_recv().unwrap();
            assert!(matches!(refused, Err(NoAnswer::Refused(fault)) if fault.message == "nobody"));
        }
    }

    #[test]
    fn an_answer_to_nobody_is_given_back() {
        let mut pending = pending();
        let (id, answer) = ask(&mut pending, Awaits::Reply);
        assert!(pending.answer(message("a:b", "c:d", "not a uuid")).is_some());
        assert!(pending.answer(message("a:b", "c:d", &Uuid::now_v7().to_string())).is_some());
        drop(answer);
        let late = pending.answer(message("a:b", "c:d", &id.to_string()));
        assert!(late.is_some(), "the asker has gone");
        assert!(pending.answer(message("a:b", "c:d", &id.to_string())).is_some(), "answered twice");
    }

    #[test]
    fn the_end_of_a_connection_is_no_end_for_every_question() {
        let mut pending = pending();
        let (_first, mut first) = ask(&mut pending, Awaits::Topics(Change::Join));
        let (_, mut ack) = ask(&mut pending, Awaits::Ack);
        let (_, mut reply) = ask(&mut pending, Awaits::answer_to("system:stats"));
        let (second_id, _second) = ask(&mut pending, Awaits::Topics(Change::Leave));
        let (message_id, mut answer) = ask(&mut pending, Awaits::answer_to("test:question"));
        drop(ask(&mut pending, Awaits::Topics(Change::Join)));
        let again = pending.disconnected(&crate::CloseCause::Lost(None).into());
        let changes: Vec<_> =
            again.iter().map(|(question, text)| (&question.awaits, text.as_str())).collect();
        assert_eq!(
            changes,
            [(&Awaits::Topics(Change::Join), "text"), (&Awaits::Topics(Change::Leave), "text")],
            "in order, and not that which nobody waits for"
        );
        assert!(again.iter().any(|(question, _)| question.id == second_id));
        for lost in [&mut ack, &mut reply] {
            assert!(matches!(lost.try_recv().unwrap(), Err(NoAnswer::Lost(_))));
        }
        assert!(first.try_recv().is_err(), "it is asked again");
        assert!(pending.answer(message("test:answer", "driver:1", &message_id.to_string())).is_none());
        assert!(answer.try_recv().unwrap().is_ok(), "it was sent to the agent, which is back");
    }

    #[test]
    fn an_acknowledged_change_of_topics_is_told_also_if_nobody_waits() {
        let mut pending = pending();
        let (id, _) = ask(&mut pending, Awaits::Topics(Change::Leave));
        assert_eq!(
            pending.change_of(&message("system:ack", "gateway:n1", &id.to_string())),
            Some(Change::Leave)
        );
        assert_eq!(pending.change_of(&message("system:error", "gateway:n1", &id.to_string())), None);
        assert_eq!(pending.change_of(&message("system:ack", "gateway:n1", &Uuid::nil().to_string())), None);
    }

    #[test]
    fn abandoned_questions_are_swept_out() {
        let mut pending = pending();
        let kept: Vec<_> = (0..100).map(|_| ask(&mut pending, Awaits::Reply)).collect();
        for _ in 0..1_000 {
            drop(ask(&mut pending, Awaits::Reply));
            assert!(pending.questions.len() <= 2 * kept.len() + SWEEP_FROM);
        }
        drop(kept);
        for _ in 0..1_000 {
            drop(ask(&mut pending, Awaits::Reply));
        }
        assert!(pending.questions.len() <= SWEEP_FROM);
    }
}
