//! The questions that wait for an answer, and which message answers which.
//!
//! Owned by the connection's task. Whoever asked waits with a deadline of its own, and how many may wait
//! is bounded by the handle; a question whose asker went away is swept out when the table has doubled.

use std::collections::HashMap;

use signalbox_protocol::{Fault, Received, catalogue};
use tokio::sync::oneshot;
use uuid::Uuid;

/// What an answer is: a message, or a refusal.
pub(crate) type Answer = Result<Received, Fault>;

/// Somebody who waits for the answer to a message.
#[derive(Debug)]
pub(crate) struct Question {
    /// The `correlationId` of the answer: that of the message, or its `id`.
    pub(crate) id: Uuid,
    pub(crate) awaits: Awaits,
    pub(crate) asker: oneshot::Sender<Answer>,
}

/// Which message counts as the answer, besides a `system:error`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Awaits {
    /// The gateway's `system:ack`.
    Ack,
    /// Whatever the gateway replies to a command.
    Reply,
    /// Another client's message. What carries the same id but is not it: the gateway's `system:ack` for a
    /// durable request, and the request itself, coming back through a topic of its sender.
    Message {
        /// The type of the request.
        request_type: Box<str>,
    },
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
            Self::Ack => message.message_type == ACK,
            Self::Reply => true,
            Self::Message { request_type } => {
                let echo = message.message_type == **request_type && message.source == own_source;
                message.message_type != ACK && !echo
            }
        }
    }
}

const ACK: &str = "system:ack";
pub(crate) const ERROR: &str = "system:error";

/// Many a program asks now and then; the table is swept from this size on.
const SWEEP_FROM: usize = 32;

#[derive(Debug)]
pub(crate) struct Pending {
    questions: HashMap<Uuid, (Awaits, oneshot::Sender<Answer>)>,
    sweep_at: usize,
    own_source: String,
}

impl Pending {
    /// For a client whose messages have this source.
    pub(crate) fn new(own_source: String) -> Self {
        Self { questions: HashMap::new(), sweep_at: SWEEP_FROM, own_source }
    }

    pub(crate) fn ask(&mut self, question: Question) {
        if self.questions.len() >= self.sweep_at {
            self.questions.retain(|_, (_, asker)| !asker.is_closed());
            self.sweep_at = SWEEP_FROM.max(self.questions.len() * 2);
        }
        self.questions.insert(question.id, (question.awaits, question.asker));
    }

    /// Hands `message` to who asked for it; gives it back if nobody did.
    pub(crate) fn answer(&mut self, message: Received) -> Option<Received> {
        let Some(id) = message.correlation_id.as_deref().and_then(|id| Uuid::try_parse(id).ok()) else {
            return Some(message);
        };
        let refused = message.message_type == ERROR;
        let met = |(awaits, _): &(Awaits, _)| refused || awaits.is_met_by(&message, &self.own_source);
        if !self.questions.get(&id).is_some_and(met) {
            return Some(message);
        }
        let (_, asker) = self.questions.remove(&id)?;
        let answer = match refused.then(|| message.data::<Fault>()) {
            Some(Ok(fault)) => Err(fault),
            // A refusal in a shape that this client doesn't know is still the answer.
            Some(Err(_)) | None => Ok(message),
        };
        // Who has stopped waiting was told that it timed out.
        asker.send(answer).err()?.ok()
    }
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
        pending.ask(Question { id, awaits, asker });
        (id, answer)
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
            let mut pending = Pending::new("vehicle:me".to_owned());
            let (id, mut answer) = ask(&mut pending, awaits.clone());
            let rest = pending.answer(message(message_type, source, &id.to_string()));
            assert_eq!(rest.is_none(), answers, "{awaits:?} {message_type} {source}");
            assert_eq!(answer.try_recv().is_ok(), answers, "{awaits:?} {message_type} {source}");
        }
    }

    #[test]
    fn an_error_answers_every_kind() {
        for awaits in [Awaits::Ack, Awaits::Reply, Awaits::answer_to("a:b")] {
            let mut pending = Pending::new("vehicle:me".to_owned());
            let (id, mut answer) = ask(&mut pending, awaits);
            let text = format!(
                r#"{{"id":"1","type":"system:error","timestamp":"","source":"gateway:n1","correlationId":"{id}",
                     "data":{{"code":"not_found","message":"nobody","retryable":false,"details":null}},
                     "metadata":{{}}}}"#
            );
            assert!(pending.answer(serde_json::from_str(&text).unwrap()).is_none());
            assert_eq!(answer.try_recv().unwrap().unwrap_err().message, "nobody");
        }
    }

    #[test]
    fn an_answer_to_nobody_is_given_back() {
        let mut pending = Pending::new("vehicle:me".to_owned());
        let (id, answer) = ask(&mut pending, Awaits::Reply);
        assert!(pending.answer(message("a:b", "c:d", "not a uuid")).is_some());
        assert!(pending.answer(message("a:b", "c:d", &Uuid::now_v7().to_string())).is_some());
        drop(answer);
        let late = pending.answer(message("a:b", "c:d", &id.to_string()));
        assert!(late.is_some(), "the asker has gone");
        assert!(pending.answer(message("a:b", "c:d", &id.to_string())).is_some(), "answered twice");
    }

    #[test]
    fn abandoned_questions_are_swept_out() {
        let mut pending = Pending::new("vehicle:me".to_owned());
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
