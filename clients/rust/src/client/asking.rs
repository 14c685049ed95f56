//! Questions: to the gateway, to other clients, about topics.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use signalbox_protocol::control::{Positions, TopicsAck, TopicsRequest};
use signalbox_protocol::envelope::Outgoing;
use signalbox_protocol::{Received, catalogue};
use tokio::sync::oneshot;
use tokio::time::timeout;
use uuid::Uuid;

use super::Client;
use crate::deliveries::{Delivery, Sender};
use crate::error::{RequestError, SendError};
use crate::fate::Fate;
use crate::outbox::{Command, Outbox, Plain};
use crate::pending::{Answer, Awaits, Change, NoAnswer, Question};
use crate::target::IntoTarget;

/// Stops the attempts when whoever waits for an answer goes away.
struct Waiting<'a> {
    fate: Arc<Fate>,
    outbox: &'a Outbox,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.fate.is_abandoned() {
            self.fate.abandon();
            self.outbox.abandon();
        }
    }
}

impl Client {
    /// Asks the gateway (a command such as `system:stats`, no target) or another client (an event with a
    /// target) and waits for the answer with the same `correlationId`.
    ///
    /// The question is sent once: if the connection ends before the gateway's answer came, that is
    /// [`RequestError::Unknown`] at once. Another client's answer may still come over the next connection. Only if
    /// the question is a durable event is it sent again until a node has stored it.
    ///
    /// # Errors
    /// [`RequestError`] when it was not sent, was refused, or no answer came in time.
    pub async fn request(
        &self,
        message_type: &str,
        data: impl Serialize,
        target: impl IntoTarget,
        timeout: Duration,
    ) -> Result<Received, RequestError> {
        let id = Uuid::now_v7();
        let id_text = id.to_string();
        let mut message = Outgoing::new(message_type, &data);
        message.target = target.into_target().map_err(SendError::from)?;
        message.correlation_id = Some(&id_text);
        let is_durable = catalogue::of(message_type).is_durable();
        message.id = is_durable.then_some(&id_text);
        let text = self.text(&message)?;
        let asking = self.ask(timeout, |fate| {
            let (asker, answer) = oneshot::channel();
            let awaits = Awaits::answer_to(message_type);
            let question = Question { id, awaits, fate: Arc::clone(fate), asker };
            let command = if is_durable {
                let sender = Sender::Asks { fate: Arc::clone(fate) };
                Command::Durable(Delivery::new(id, message_type.into(), text, sender), Some(question))
            } else {
                Command::Plain(Plain { text, question: Some(question), price: 0 })
            };
            (command, answer)
        });
        asking.await
    }

    /// Joins group topics; returns when their messages flow. After a reconnect the client joins them again, and goes
    /// on where it was.
    ///
    /// # Errors
    /// [`RequestError`]; then none is joined, unless the outcome is unknown.
    pub async fn subscribe(&self, topics: impl IntoTarget) -> Result<Positions, RequestError> {
        self.change_topics("system:subscribe", Change::Join, topics).await
    }

    /// Leaves group topics.
    ///
    /// # Errors
    /// [`RequestError`]; then none is left, unless the outcome is unknown.
    pub async fn unsubscribe(&self, topics: impl IntoTarget) -> Result<Positions, RequestError> {
        self.change_topics("system:unsubscribe", Change::Leave, topics).await
    }

    async fn change_topics(
        &self,
        command: &str,
        change: Change,
        topics: impl IntoTarget,
    ) -> Result<Positions, RequestError> {
        let topics = topics.into_target().map_err(SendError::from)?.topics().to_vec();
        let id = Uuid::now_v7();
        let id_text = id.to_string();
        let data = TopicsRequest { topics };
        let mut message = Outgoing::new(command, &data);
        message.correlation_id = Some(&id_text);
        let text = self.text(&message)?;
        let ack = self.ask(self.handle.request_timeout, |fate| {
            let (asker, answer) = oneshot::channel();
            let question = Question { id, awaits: Awaits::Topics(change), fate: Arc::clone(fate), asker };
            (Command::Plain(Plain { text, question: Some(question), price: 0 }), answer)
        });
        Ok(read::<TopicsAck>(&ack.await?)?.topics)
    }

    /// Sends what `make` makes and waits for the answer to it.
    pub(super) async fn ask(
        &self,
        limit: Duration,
        make: impl FnOnce(&Arc<Fate>) -> (Command, oneshot::Receiver<Answer>),
    ) -> Result<Received, RequestError> {
        let handle = &self.handle;
        let _place = handle.requests.try_acquire().map_err(|_| RequestError::TooMany(handle.requests_max))?;
        let waiting = Waiting { fate: Arc::default(), outbox: &handle.shared.outbox };
        let (command, answer) = make(&waiting.fate);
        let asking = async {
            self.push(command).await?;
            // Whose question is dropped with the client's task is told why that ended.
            Ok(answer.await.unwrap_or_else(|_| Err(NoAnswer::Lost(self.end()))))
        };
        let answered = timeout(limit, asking).await;
        let written = waiting.fate.abandon();
        // The task has done with a question that is answered, and not with this one.
        if answered.is_err() {
            handle.shared.outbox.abandon();
        }
        match answered {
            Ok(Ok(answer)) => answer.map_err(|why| RequestError::of(why, written)),
            Ok(Err(not_queued)) => Err(RequestError::Send(not_queued)),
            Err(_) => Err(RequestError::of(NoAnswer::TooLate(limit), written)),
        }
    }
}

pub(super) fn read<T: DeserializeOwned>(answer: &Received) -> Result<T, RequestError> {
    answer.data().map_err(|error| RequestError::Unreadable(error.into()))
}
