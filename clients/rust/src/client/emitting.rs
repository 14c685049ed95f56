//! Sending events.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use signalbox_protocol::control::SendAck;
use signalbox_protocol::envelope::Outgoing;
use signalbox_protocol::message_type::is_message_type;
use signalbox_protocol::{Received, catalogue};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::asking::read;
use super::{Client, WhenFull, WhenOffline};
use crate::deliveries::{Delivery, Sender};
use crate::error::{RequestError, SendError};
use crate::outbox::{Command, Plain, PushError};
use crate::pending::{Awaits, Question};
use crate::stats::{ClientState, Count};
use crate::target::IntoTarget;

impl Client {
    /// Sends an event. `target` is a topic, a list of topics, or `None` for the connection's namespace.
    /// Returns when it is queued; messages of one delivery class are sent in the order in which they were queued.
    ///
    /// A durable event is sent again, with the same `id`, until a node has stored it. If that does not happen within
    /// the delivery timeout, [`Event::Undelivered`](crate::Event::Undelivered) tells so.
    ///
    /// # Errors
    /// [`SendError`] when it is not a message, or can't be queued. Nothing was sent.
    pub async fn emit(
        &self,
        message_type: &str,
        data: impl Serialize,
        target: impl IntoTarget,
    ) -> Result<(), SendError> {
        let mut message = Outgoing::new(message_type, &data);
        message.target = target.into_target()?;
        if catalogue::of(message_type).is_durable() {
            return self.deliver(message).await;
        }
        if self.handle.when_offline == WhenOffline::Refuse && !self.is_open() {
            self.handle.shared.counters.count(Count::Refused);
            return Err(SendError::Offline);
        }
        self.send(&message).await
    }

    /// Sends an event and waits until the node has stored it or handed it to the bus, for the request timeout at
    /// most. See [`Client::emit_acked_within`].
    ///
    /// # Errors
    /// As [`Client::emit_acked_within`].
    pub async fn emit_acked(
        &self,
        message_type: &str,
        data: impl Serialize,
        target: impl IntoTarget,
    ) -> Result<SendAck, RequestError> {
        self.emit_acked_within(self.handle.request_timeout, message_type, data, target).await
    }

    /// Sends an event and waits until the node has stored it or handed it to the bus.
    ///
    /// A durable event is sent again, with the same `id`, when the connection ends before the acknowledgement or
    /// the node can't take it at the moment, until `limit` is over. An ephemeral one is sent once.
    ///
    /// # Errors
    /// [`RequestError::NotSent`] when it is certain that it was not stored; [`RequestError::Unknown`] when it may
    /// have been; [`RequestError::Refused`] when the node will not have it.
    ///
    /// # Cancel safety
    /// Dropping it ends the attempts; what became of those before is not known then.
    pub async fn emit_acked_within(
        &self,
        limit: Duration,
        message_type: &str,
        data: impl Serialize,
        target: impl IntoTarget,
    ) -> Result<SendAck, RequestError> {
        let id = Uuid::now_v7();
        let id_text = id.to_string();
        let mut message = Outgoing::new(message_type, &data);
        message.target = target.into_target().map_err(SendError::from)?;
        message.id = Some(&id_text);
        message.metadata.ack = true;
        let text = self.text(&message)?;
        let ack = self.ask(limit, |fate| {
            let (asker, answer) = oneshot::channel();
            let command = if catalogue::of(message_type).is_durable() {
                let sender = Sender::Waits { fate: Arc::clone(fate), asker };
                Command::Durable(Delivery::new(id, message_type.into(), text, sender), None)
            } else {
                let question = Question { id, awaits: Awaits::Ack, fate: Arc::clone(fate), asker };
                Command::Plain(Plain { text, question: Some(question), price: 0 })
            };
            (command, answer)
        });
        read(&ack.await?)
    }

    /// Answers another client's request.
    ///
    /// # Errors
    /// [`SendError::NotARequest`] when it has no `correlationId`, otherwise as [`Client::emit`].
    pub async fn respond(
        &self,
        request: &Received,
        message_type: &str,
        data: impl Serialize,
    ) -> Result<(), SendError> {
        let mut message = Outgoing::new(message_type, &data);
        message.correlation_id = Some(request.correlation_id.as_deref().ok_or(SendError::NotARequest)?);
        message.target = request.source.as_str().into_target()?;
        if catalogue::of(message_type).is_durable() {
            return self.deliver(message).await;
        }
        self.send(&message).await
    }

    /// Sends a durable message whose outcome nobody waits for.
    async fn deliver<T: Serialize + ?Sized>(&self, mut message: Outgoing<'_, T>) -> Result<(), SendError> {
        let id = Uuid::now_v7();
        let id_text = id.to_string();
        message.id = Some(&id_text);
        let text = self.text(&message)?;
        let sender = Sender::Gone { give_up_at: Instant::now() + self.handle.delivery_timeout };
        let delivery = Delivery::new(id, message.message_type.into(), text, sender);
        let delivery = match message.correlation_id {
            Some(correlation) => delivery.answering(correlation),
            None => delivery,
        };
        self.push(Command::Durable(delivery, None)).await
    }

    async fn send<T: Serialize + ?Sized>(&self, message: &Outgoing<'_, T>) -> Result<(), SendError> {
        let text = self.text(message)?;
        self.push(Command::Plain(Plain { text, question: None, price: 0 })).await
    }

    /// The message as it goes over the wire, checked.
    pub(super) fn text<T: Serialize + ?Sized>(&self, message: &Outgoing<'_, T>) -> Result<String, SendError> {
        if !is_message_type(message.message_type) {
            return Err(SendError::InvalidType(message.message_type.to_owned()));
        }
        let text = serde_json::to_string(message).map_err(|error| SendError::InvalidData(error.into()))?;
        let bytes_max = self.handle.shared.message_bytes_max();
        if text.len() > bytes_max {
            return Err(SendError::TooLarge { bytes: text.len(), bytes_max });
        }
        Ok(text)
    }

    /// Queues; waits for room if that is the policy.
    pub(super) async fn push(&self, command: Command) -> Result<(), SendError> {
        let (outbox, limit) = (&self.handle.shared.outbox, self.handle.send_timeout);
        let (pushed, waited) = match self.handle.when_full {
            WhenFull::Refuse => (outbox.try_push(command), Duration::ZERO),
            WhenFull::Wait => {
                let pushed = timeout(limit, outbox.push(command)).await;
                (pushed.unwrap_or(Err(PushError::Full)), limit)
            }
        };
        pushed.map_err(|error| {
            self.handle.shared.counters.count(Count::Refused);
            match error {
                PushError::Full => SendError::QueueFull(waited),
                PushError::Closed => self.end().into(),
            }
        })
    }

    fn is_open(&self) -> bool {
        self.handle.shared.state() == ClientState::Open
    }
}
