//! What a client's task and its handles share.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use signalbox_protocol::control::Welcome;
use signalbox_protocol::limits::MESSAGE_BYTES_MAX;
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::closed::Closed;
use crate::event::{EVENTS_MAX, Event, Events};
use crate::listeners::Listeners;
use crate::outbox::Outbox;
use crate::stats::{ClientState, ClientStats, Counters};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) outbox: Outbox,
    pub(crate) listeners: Listeners,
    pub(crate) counters: Counters,
    /// Somebody wants the client to leave its node.
    pub(crate) moves: Notify,
    state: watch::Sender<ClientState>,
    /// `None` when the client has ended.
    events: Mutex<Option<broadcast::Sender<Event>>>,
    link: Mutex<Link>,
    begun_at: Instant,
    end: OnceLock<(Closed, Instant)>,
    /// Cancelled when `end` is set.
    pub(crate) ended: CancellationToken,
}

/// The connection of now, or the last one.
#[derive(Debug, Default)]
struct Link {
    welcome: Option<Arc<Welcome>>,
    open_since: Option<Instant>,
    /// How long those before it were open.
    open_before: Duration,
}

impl Shared {
    pub(crate) fn new(outbox: Outbox, listeners: Listeners) -> Self {
        Self {
            outbox,
            listeners,
            counters: Counters::default(),
            moves: Notify::new(),
            state: watch::Sender::new(ClientState::Connecting),
            events: Mutex::new(Some(broadcast::Sender::new(EVENTS_MAX))),
            link: Mutex::default(),
            begun_at: Instant::now(),
            end: OnceLock::new(),
            ended: CancellationToken::new(),
        }
    }

    pub(crate) fn welcomed(&self, welcome: Arc<Welcome>) {
        self.link().welcome = Some(welcome);
    }

    pub(crate) fn welcome(&self) -> Option<Arc<Welcome>> {
        self.link().welcome.clone()
    }

    /// Most bytes of a message that the node takes; the default as long as none has said.
    pub(crate) fn message_bytes_max(&self) -> usize {
        let told = self.link().welcome.as_ref().map(|welcome| welcome.message_bytes_max);
        told.map_or(MESSAGE_BYTES_MAX, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    pub(crate) fn set_state(&self, state: ClientState) {
        let mut link = self.link();
        if state == ClientState::Open {
            link.open_since.get_or_insert_with(Instant::now);
        } else if let Some(since) = link.open_since.take() {
            link.open_before += since.elapsed();
        }
        drop(link);
        self.state.send_if_modified(|before| std::mem::replace(before, state) != state);
    }

    pub(crate) fn state(&self) -> ClientState {
        *self.state.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<ClientState> {
        self.state.subscribe()
    }

    pub(crate) fn tell(&self, event: Event) {
        if let Some(events) = &*self.events.lock().unwrap_or_else(PoisonError::into_inner) {
            // Nobody listens: that is no error.
            let _ = events.send(event);
        }
    }

    pub(crate) fn events(&self) -> Events {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        Events::new(events.as_ref().map_or_else(|| broadcast::channel(1).1, broadcast::Sender::subscribe))
    }

    pub(crate) fn stats(&self) -> ClientStats {
        let until = self.end.get().map_or_else(Instant::now, |(_, at)| *at);
        let link = self.link();
        let open_now = link.open_since.map(|since| until.duration_since(since)).unwrap_or_default();
        let connected = link.open_before + open_now;
        drop(link);
        self.counters.snapshot(until.duration_since(self.begun_at), connected, self.state())
    }

    /// Why the client ended, if it has.
    pub(crate) fn end(&self) -> Option<&Closed> {
        self.end.get().map(|(closed, _)| closed)
    }

    /// The client has ended: tells everybody.
    pub(crate) fn finish(&self, closed: Closed) {
        self.set_state(ClientState::Closed);
        let (closed, _) = self.end.get_or_init(|| (closed, Instant::now()));
        self.listeners.close(closed);
        self.outbox.shut();
        self.events.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.ended.cancel();
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
