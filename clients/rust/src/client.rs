//! The handle of a connection: what programs hold and call.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use signalbox_protocol::control::{Positions, SendAck, TopicsAck, TopicsRequest, Welcome};
use signalbox_protocol::envelope::Outgoing;
use signalbox_protocol::message_type::is_message_type;
use signalbox_protocol::{Received, Target};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::closed::{CloseCause, Closed};
use crate::config::ClientConfig;
use crate::connection::{Connection, Shared};
use crate::error::{ConnectError, RequestError, SendError};
use crate::outbox::{Command, Outbox};
use crate::pending::{Awaits, Question};
use crate::stats::{ClientState, ClientStats};
use crate::subscription::Subscription;
use crate::target::IntoTarget;
use crate::wire::Wire;

/// A connection to a node. Clones share it; when the last one is dropped, it closes.
#[derive(Debug, Clone)]
pub struct Client {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    welcome: Welcome,
    request_timeout: Duration,
    send_timeout: Duration,
    requests: Semaphore,
    requests_max: usize,
    tasks: TaskTracker,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.outbox.finish();
    }
}

impl Client {
    /// Connects and waits for the welcome.
    ///
    /// # Errors
    /// [`ConnectError`] when the node can't be reached, refuses, closes, or takes too long.
    pub async fn connect(config: ClientConfig) -> Result<Self, ConnectError> {
        let (wire, welcome) = Wire::connect(&config.wire).await?;
        Ok(Self::spawn(wire, welcome, config))
    }

    /// Starts the task that drives `wire`.
    pub(crate) fn spawn<S>(wire: Wire<S>, welcome: Welcome, config: ClientConfig) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let outbox = Outbox::new(config.outbox_messages_max, config.outbox_bytes_max);
        let shared = Arc::new(Shared::new(outbox, config.listeners));
        let tasks = TaskTracker::new();
        tasks.spawn(Connection::new(wire, &welcome, Arc::clone(&shared)).run());
        tasks.close();
        let requests = Semaphore::new(config.pending_requests_max.min(Semaphore::MAX_PERMITS));
        Self {
            handle: Arc::new(Handle {
                shared,
                welcome,
                request_timeout: config.request_timeout,
                send_timeout: config.send_timeout,
                requests,
                requests_max: config.pending_requests_max,
                tasks,
            }),
        }
    }

    /// What the node said about this connection.
    pub fn welcome(&self) -> &Welcome {
        &self.handle.welcome
    }

    /// Sends an event. `target` is a topic, a list of topics, or `None` for the connection's namespace.
    /// Returns when it is queued; messages are sent in the order in which they were queued.
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
        self.send(&message, None).await
    }

    /// Sends an event and waits until the node has stored it or handed it to the bus.
    ///
    /// # Errors
    /// [`RequestError`] when it was not sent, was refused, or no answer came within the request timeout.
    pub async fn emit_acked(
        &self,
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
        let ack = self.ask(&message, id, Awaits::Ack, self.handle.request_timeout).await?;
        read(&ack)
    }

    /// Asks the gateway (a command such as `system:stats`, no target) or another client (an event with a
    /// target) and waits for the answer with the same `correlationId`.
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
        self.ask(&message, id, Awaits::answer_to(message_type), timeout).await
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
        self.send(&message, None).await
    }

    /// Joins group topics; returns when their messages flow.
    ///
    /// # Errors
    /// [`RequestError`]; then none is joined, unless the answer was lost.
    pub async fn subscribe(&self, topics: impl IntoTarget) -> Result<Positions, RequestError> {
        self.change_topics("system:subscribe", topics).await
    }

    /// Leaves group topics.
    ///
    /// # Errors
    /// [`RequestError`]; then none is left, unless the answer was lost.
    pub async fn unsubscribe(&self, topics: impl IntoTarget) -> Result<Positions, RequestError> {
        self.change_topics("system:unsubscribe", topics).await
    }

    /// Receives the messages of one type from now on. Answers go to who asked, not here.
    pub fn on(&self, message_type: &str) -> Subscription {
        self.handle.shared.listeners.on(message_type)
    }

    /// Receives all messages from now on. Answers go to who asked, not here.
    pub fn on_any(&self) -> Subscription {
        self.handle.shared.listeners.on_any()
    }

    /// What was sent and received so far.
    pub fn stats(&self) -> ClientStats {
        let shared = &self.handle.shared;
        let (until, state) = match shared.end() {
            None => (Instant::now(), ClientState::Open),
            Some((_, at)) => (*at, ClientState::Closed),
        };
        shared.counters.snapshot(until.duration_since(shared.opened_at), state)
    }

    /// Waits for the end of the connection.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn closed(&self) -> Closed {
        self.handle.shared.ended.cancelled().await;
        self.end()
    }

    /// Sends what is queued, closes the connection, and waits for its end (bounded: a node that does not
    /// answer is left after the write timeout and a few seconds).
    pub async fn close(&self) -> Closed {
        self.handle.shared.outbox.finish();
        self.handle.tasks.wait().await;
        self.end()
    }

    async fn change_topics(&self, command: &str, topics: impl IntoTarget) -> Result<Positions, RequestError> {
        let topics = topics.into_target().map_err(SendError::from)?.topics().to_vec();
        let timeout = self.handle.request_timeout;
        let ack = self.request(command, TopicsRequest { topics }, Target::Default, timeout).await?;
        Ok(read::<TopicsAck>(&ack)?.topics)
    }

    /// Sends a question and waits for its answer.
    async fn ask<T: Serialize + ?Sized>(
        &self,
        message: &Outgoing<'_, T>,
        id: Uuid,
        awaits: Awaits,
        limit: Duration,
    ) -> Result<Received, RequestError> {
        let handle = &self.handle;
        let _place = handle.requests.try_acquire().map_err(|_| RequestError::TooMany(handle.requests_max))?;
        let (asker, answer) = oneshot::channel();
        let asking = async {
            self.send(message, Some(Question { id, awaits, asker })).await?;
            match answer.await {
                Ok(answer) => answer.map_err(RequestError::Refused),
                Err(_) => Err(RequestError::Closed(self.end())),
            }
        };
        timeout(limit, asking).await.map_err(|_| RequestError::Timeout(limit))?
    }

    async fn send<T: Serialize + ?Sized>(
        &self,
        message: &Outgoing<'_, T>,
        question: Option<Question>,
    ) -> Result<(), SendError> {
        if !is_message_type(message.message_type) {
            return Err(SendError::InvalidType(message.message_type.to_owned()));
        }
        let text = serde_json::to_string(message).map_err(|error| SendError::InvalidData(error.into()))?;
        let bytes_max = usize::try_from(self.handle.welcome.message_bytes_max).unwrap_or(usize::MAX);
        if text.len() > bytes_max {
            return Err(SendError::TooLarge { bytes: text.len(), bytes_max });
        }
        let limit = self.handle.send_timeout;
        let queued = timeout(limit, self.handle.shared.outbox.push(Command { text, question }));
        queued.await.map_err(|_| SendError::QueueFull(limit))?.map_err(|_| self.end().into())
    }

    /// Why the connection ended, or is about to.
    fn end(&self) -> Closed {
        self.handle.shared.end().map_or_else(|| CloseCause::ByClient.into(), |(closed, _)| closed.clone())
    }
}

fn read<T: DeserializeOwned>(answer: &Received) -> Result<T, RequestError> {
    answer.data().map_err(|error| RequestError::Unreadable(error.into()))
}
