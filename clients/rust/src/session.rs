//! What a client keeps from connection to connection: its topics, its questions, what it still has to send and to
//! hand over.
//!
//! Owned by the client's task. Everything here acts at once and never waits; `handover.room` and the deadlines say
//! when to call again. What must stay true: a message is either on its way or its sender is told what became of it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use signalbox_protocol::SessionId;
use signalbox_protocol::control::Welcome;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::closed::Closed;
use crate::config::ClientConfig;
use crate::deliveries::Deliveries;
use crate::duplicates::Duplicates;
use crate::event::Event;
use crate::handover::Handover;
use crate::journal::Journal;
use crate::outbox::Plain;
use crate::pending::Pending;
use crate::recovery::Recovery;
use crate::rejoining::Rejoining;
use crate::shared::Shared;
use crate::stats::{ClientState, Count};

mod receiving;
mod renewing;
mod resuming;
mod sending;

/// A client's presence, outliving its connections.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) shared: Arc<Shared>,
    pub(crate) handover: Handover,
    journal: Journal,
    recovery: Recovery,
    rejoining: Rejoining,
    seen: Duplicates,
    pending: Pending,
    deliveries: Deliveries,
    /// What is sent once, in order.
    plain: VecDeque<Plain>,
    /// What this client itself has to say: before everything else.
    control: VecDeque<String>,
    /// For durable messages that the node can't take at the moment.
    retry: Backoff,
    /// How long a durable message that nobody waits for is tried.
    delivery_timeout: Duration,
    rng: Rng,
    /// The topics go on: what is queued may be sent.
    is_open: bool,
    /// The node that holds the connection has said when to leave it.
    leave_at: Option<Instant>,
    renewal: renewing::Renewal,
    id: Option<SessionId>,
    /// The handles know that no more will be taken, or are gone.
    finishing: bool,
}

impl Session {
    pub(crate) fn new(shared: Arc<Shared>, config: &ClientConfig, mut rng: Rng) -> Self {
        Self {
            shared,
            handover: Handover::default(),
            journal: Journal::default(),
            recovery: Recovery::new(config.request_timeout, rng.fork()),
            rejoining: Rejoining::default(),
            seen: Duplicates::new(config.duplicates_max),
            pending: Pending::default(),
            deliveries: Deliveries::new(config.in_flight_max),
            plain: VecDeque::new(),
            control: VecDeque::new(),
            retry: Backoff::new(Duration::from_millis(100), Duration::from_secs(2)),
            delivery_timeout: config.delivery_timeout,
            rng,
            is_open: false,
            leave_at: None,
            renewal: renewing::Renewal::default(),
            id: None,
            finishing: false,
        }
    }

    /// The session to go on with; `None` before the first welcome.
    pub(crate) fn id(&self) -> Option<&SessionId> {
        self.id.as_ref()
    }

    /// A node welcomed the client. If it was connected before, its topics have to be resumed first.
    pub(crate) fn connected(&mut self, welcome: Welcome) {
        let known = self.id.replace(welcome.session_id.clone()).is_some();
        self.pending.set_own_source(welcome.agent.as_str());
        self.journal.welcome(&welcome.positions);
        let welcome = Arc::new(welcome);
        self.shared.welcomed(Arc::clone(&welcome));
        self.leave_at = None;
        self.refuse_too_large();
        if known {
            self.shared.counters.count(Count::Reconnects);
            self.recovery.begin(self.journal.topics().cloned());
            self.continue_recovery();
        }
        if !self.recovery.is_under_way() {
            self.open();
        }
    }

    /// The topics go on, and with them everything else.
    fn open(&mut self) {
        if !std::mem::replace(&mut self.is_open, true) {
            self.shared.set_state(ClientState::Open);
            if let Some(welcome) = self.shared.welcome() {
                self.shared.tell(Event::Connected { welcome });
            }
        }
    }

    /// The connection ended. What has to be asked again comes before what was never sent.
    pub(crate) fn disconnected(&mut self, closed: &Closed) {
        self.is_open = false;
        self.control.clear();
        self.rejoining.disconnected();
        self.forget_renewal();
        self.deliveries.disconnected();
        for (question, text) in self.pending.disconnected(closed).into_iter().rev() {
            self.plain.push_front(Plain { text, question: Some(question), price: 0 });
        }
        // Whoever hears of it finds the client no longer open.
        self.shared.set_state(ClientState::Waiting);
        self.shared.tell(Event::Disconnected { closed: closed.clone() });
    }

    /// When the node wants the client elsewhere, if it has said so.
    pub(crate) fn leave_at(&self) -> Option<Instant> {
        self.leave_at
    }

    /// Hands over as much as there is room for.
    pub(crate) fn hand_over(&mut self) {
        let handed = self.handover.proceed();
        for (topic, offset) in handed.places {
            self.journal.advance(&topic, offset);
        }
        self.shared.counters.add(Count::Missed, handed.dropped);
    }

    /// Waits for what concerns the session whether or not there is a connection: something to send, room with a
    /// reader, a time limit that is over. Call [`Session::attend`] then.
    ///
    /// # Cancel safety
    /// Nothing is done here.
    pub(crate) async fn needs_attention(&self) {
        let give_up = async {
            match self.deliveries.give_up_at() {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.shared.outbox.changed(self.finishing) => {}
            () = self.handover.room() => {}
            () = give_up => {}
        }
    }

    /// Does what [`Session::needs_attention`] waited for.
    pub(crate) fn attend(&mut self) {
        self.take_commands();
        self.drop_what_is_over();
        self.hand_over();
    }

    /// Whether the handles are done and nothing is left to send or to be acknowledged.
    pub(crate) fn is_finished(&self) -> bool {
        self.finishing && self.plain.is_empty() && self.deliveries.is_empty() && self.control.is_empty()
    }

    /// Whether the handles are done.
    pub(crate) fn is_finishing(&self) -> bool {
        self.finishing
    }
}
