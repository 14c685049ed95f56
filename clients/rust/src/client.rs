//! The handle of a client: what programs hold and call.

use std::sync::Arc;
use std::time::Duration;

use signalbox_protocol::control::Welcome;
use signalbox_protocol::limits::HEARTBEAT_TIMEOUT;
use tokio::sync::{Semaphore, watch};
use tokio_util::task::TaskTracker;

use crate::closed::{CloseCause, Closed};
use crate::config::{ClientConfig, WhenFull, WhenOffline};
use crate::connection::Patience;
use crate::dial::{Dial, Tcp};
use crate::error::ConnectError;
use crate::event::Events;
use crate::outbox::Outbox;
use crate::road::Road;
use crate::runner::{LastWord, Runner};
use crate::session::Session;
use crate::shared::Shared;
use crate::stats::{ClientState, ClientStats};
use crate::subscription::Subscription;

mod asking;
mod emitting;

/// A client of a cluster. Clones share it; when the last one is dropped, it closes.
#[derive(Debug, Clone)]
pub struct Client {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    request_timeout: Duration,
    send_timeout: Duration,
    delivery_timeout: Duration,
    when_full: WhenFull,
    when_offline: WhenOffline,
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
    /// Connects and waits for the welcome; every address is tried once. From then on the client stays connected: it
    /// reconnects without end, unless a node tells it to stay away.
    ///
    /// # Errors
    /// [`ConnectError`] when no node can be reached, or the last one refuses, closes, or takes too long.
    pub async fn connect(config: ClientConfig) -> Result<Self, ConnectError> {
        let tcp = Tcp { local_address: config.wire.local_address };
        Self::connect_over(config, tcp).await
    }

    /// As [`Client::connect`], over other connections than plain TCP.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect_over<D: Dial>(config: ClientConfig, dialer: D) -> Result<Self, ConnectError> {
        let (client, mut runner) = Self::new(config, dialer);
        let welcomed = runner.first().await?;
        let tasks = client.handle.tasks.clone();
        tasks.spawn(runner.run(Some(welcomed)));
        tasks.close();
        Ok(client)
    }

    /// Returns at once and connects in the background. Until then messages are queued. Has to be called within a
    /// tokio runtime.
    pub fn start(config: ClientConfig) -> Self {
        let tcp = Tcp { local_address: config.wire.local_address };
        Self::start_over(config, tcp)
    }

    /// As [`Client::start`], over other connections than plain TCP.
    pub fn start_over<D: Dial>(config: ClientConfig, dialer: D) -> Self {
        let (client, runner) = Self::new(config, dialer);
        let tasks = client.handle.tasks.clone();
        tasks.spawn(runner.run(None));
        tasks.close();
        client
    }

    fn new<D: Dial>(config: ClientConfig, dialer: D) -> (Self, Runner<D>) {
        let mut rng = config.rng();
        let endpoints = config.endpoints(&mut rng);
        let pace = config.pace(rng.fork());
        let outbox = Outbox::new(config.outbox_messages_max, config.outbox_bytes_max);
        let shared = Arc::new(Shared::new(outbox, config.listeners.clone()));
        let session = Session::new(Arc::clone(&shared), &config, rng);
        let patience = Patience {
            silence: HEARTBEAT_TIMEOUT,
            resume: config.request_timeout,
            closing: config.closing_timeout,
            token: config.wire.connect_timeout,
        };
        let tasks = TaskTracker::new();
        let handle = Arc::new(Handle {
            shared: Arc::clone(&shared),
            request_timeout: config.request_timeout,
            send_timeout: config.send_timeout,
            delivery_timeout: config.delivery_timeout,
            when_full: config.when_full,
            when_offline: config.when_offline,
            requests: Semaphore::new(config.pending_requests_max.min(Semaphore::MAX_PERMITS)),
            requests_max: config.pending_requests_max,
            tasks: tasks.clone(),
        });
        let road = Road::new(dialer, endpoints, config.query, config.wire, config.token);
        let shared = LastWord(shared);
        (Self { handle }, Runner { road, pace, session, shared, patience, tasks })
    }

    /// What the node said about the connection of now, or the last one; `None` before the first.
    pub fn welcome(&self) -> Option<Arc<Welcome>> {
        self.handle.shared.welcome()
    }

    /// Receives the messages of one type from now on. Answers go to who asked, not here.
    pub fn on(&self, message_type: &str) -> Subscription {
        self.handle.shared.listeners.on(message_type)
    }

    /// Receives all messages from now on. Answers go to who asked, not here.
    pub fn on_any(&self) -> Subscription {
        self.handle.shared.listeners.on_any()
    }

    /// What happens to the client from now on: connections made and lost, messages declared missing.
    pub fn events(&self) -> Events {
        self.handle.shared.events()
    }

    /// Where the client is in its life, to be watched.
    pub fn watch(&self) -> watch::Receiver<ClientState> {
        self.handle.shared.watch()
    }

    /// What was sent and received so far.
    pub fn stats(&self) -> ClientStats {
        self.handle.shared.stats()
    }

    /// Waits until the client is connected and its topics go on; returns at once if it is.
    ///
    /// # Errors
    /// Why it ended, if it has.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn opened(&self) -> Result<(), Closed> {
        let mut state = self.watch();
        let settled = |state: &ClientState| matches!(state, ClientState::Open | ClientState::Closed);
        // What is shared outlives the watch, so that it can't end early.
        let open = state.wait_for(settled).await.is_ok_and(|state| *state == ClientState::Open);
        if open { Ok(()) } else { Err(self.closed().await) }
    }

    /// Leaves the node of now and connects to the next address, at once. For whoever sees that a node is there and
    /// does not do its work. Nothing happens while there is no connection.
    pub fn reconnect(&self) {
        let shared = &self.handle.shared;
        if shared.state() == ClientState::Open {
            shared.moves.notify_one();
        }
    }

    /// Waits for the end of the client: it was closed, or a node told it to stay away.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn closed(&self) -> Closed {
        self.handle.shared.ended.cancelled().await;
        self.end()
    }

    /// Ends the client: what is queued is sent, durable messages are acknowledged, the connection is closed. Bounded
    /// by the closing timeout, the write timeout and a few seconds for a node that does not answer. Without a
    /// connection it ends at once, and what was not sent is told to its senders.
    pub async fn close(&self) -> Closed {
        self.handle.shared.outbox.finish();
        self.handle.tasks.wait().await;
        self.end()
    }

    /// Why the client ended, or is about to.
    fn end(&self) -> Closed {
        self.handle.shared.end().cloned().unwrap_or_else(|| CloseCause::ByClient.into())
    }
}
