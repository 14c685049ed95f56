//! The task that owns a client's socket.
//!
//! It waits in one place (`next_event`), acts on what came without waiting (`apply`), and writes whatever
//! is queued while it waits again. Handles reach it through the outbox and hear from it through
//! subscriptions, answers and `ended`. A later release reconnects here, around `drive`.

use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use signalbox_protocol::Received;
use signalbox_protocol::control::Welcome;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::closed::{CloseCause, Closed};
use crate::listeners::Listeners;
use crate::outbox::Outbox;
use crate::pending::{ERROR, Pending};
use crate::stats::Counters;
use crate::wire::{Frame, Wire};

/// What a connection's task and its handles share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) outbox: Outbox,
    pub(crate) listeners: Listeners,
    pub(crate) counters: Counters,
    pub(crate) opened_at: Instant,
    end: OnceLock<(Closed, Instant)>,
    /// Cancelled when `end` is set.
    pub(crate) ended: CancellationToken,
}

/// What the task owns alone.
#[derive(Debug)]
pub(crate) struct Connection<S = TcpStream> {
    wire: Wire<S>,
    shared: Arc<Shared>,
    pending: Pending,
    heard_at: Instant,
    silence_max: Duration,
}

enum Event {
    Frame(Frame),
    /// The socket, which was full, takes messages again.
    Room,
    Outbox,
    Alarm,
    Ended(Closed),
}

impl Shared {
    pub(crate) fn new(outbox: Outbox, listeners: Listeners) -> Self {
        Self {
            outbox,
            listeners,
            counters: Counters::default(),
            opened_at: Instant::now(),
            end: OnceLock::new(),
            ended: CancellationToken::new(),
        }
    }

    /// Why and when the connection ended, if it has.
    pub(crate) fn end(&self) -> Option<&(Closed, Instant)> {
        self.end.get()
    }

    fn finish(&self, closed: Closed) {
        let (closed, _) = self.end.get_or_init(|| (closed, Instant::now()));
        self.listeners.close(closed);
        self.outbox.shut();
        self.ended.cancel();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(crate) fn new(wire: Wire<S>, welcome: &Welcome, shared: Arc<Shared>) -> Self {
        Self {
            wire,
            shared,
            pending: Pending::new(welcome.agent.to_string()),
            heard_at: Instant::now(),
            silence_max: Duration::from_secs(welcome.timeout_seconds.max(1)),
        }
    }

    /// Drives the connection to its end, and tells everybody.
    pub(crate) async fn run(mut self) {
        let closed = self.drive().await;
        tracing::debug!(%closed, "connection ended");
        let Self { wire, shared, pending, .. } = self;
        let polite = matches!(closed.cause, CloseCause::ByClient | CloseCause::ByNode { .. });
        shared.finish(closed);
        // Only now: their askers look for the reason when they find themselves dropped.
        drop(pending);
        if polite {
            wire.close().await;
        }
    }

    async fn drive(&mut self) -> Closed {
        let mut alarm = pin!(sleep_until(self.deadline()));
        loop {
            let event = self.next_event(alarm.as_mut()).await;
            if let Err(closed) = self.apply(event) {
                return closed;
            }
            if self.deadline() < alarm.deadline() || alarm.is_elapsed() {
                alarm.as_mut().reset(self.deadline());
            }
        }
    }

    async fn next_event(&mut self, alarm: Pin<&mut Sleep>) -> Event {
        let has_room = self.wire.has_room();
        tokio::select! {
            came = self.wire.next_or_room() => match came {
                Ok(Some(frame)) => Event::Frame(frame),
                Ok(None) => Event::Room,
                Err(closed) => Event::Ended(closed),
            },
            () = self.shared.outbox.changed(), if has_room => Event::Outbox,
            () = alarm => Event::Alarm,
        }
    }

    fn apply(&mut self, event: Event) -> Result<(), Closed> {
        match event {
            Event::Frame(frame) => {
                self.heard_at = Instant::now();
                self.receive(frame);
                Ok(())
            }
            Event::Room | Event::Outbox => self.send(),
            Event::Alarm => self.check_deadlines(),
            Event::Ended(closed) => Err(closed),
        }
    }

    fn receive(&mut self, frame: Frame) {
        let counters = &self.shared.counters;
        let text = match frame {
            Frame::Heartbeat => return,
            Frame::Binary(_) => return counters.count_error(),
            Frame::Text(text) => text,
        };
        let message: Received = match serde_json::from_str(&text) {
            Ok(message) => message,
            Err(error) => {
                tracing::debug!(%error, "a frame that is no message");
                return counters.count_error();
            }
        };
        counters.count_received();
        if message.message_type == ERROR {
            counters.count_error();
        }
        if let Some(message) = self.pending.answer(message) {
            counters.count_missed(self.shared.listeners.dispatch(message));
        }
    }

    /// Hands what is queued to the socket, as far as that has room.
    fn send(&mut self) -> Result<(), Closed> {
        while self.wire.has_room() {
            let Some(command) = self.shared.outbox.take() else { break };
            if let Some(question) = command.question {
                self.pending.ask(question);
            }
            self.wire.queue(command.text)?;
            self.shared.counters.count_sent();
        }
        if self.shared.outbox.is_finished() { Err(CloseCause::ByClient.into()) } else { Ok(()) }
    }

    /// When the connection is dead unless something is heard or written.
    fn deadline(&self) -> Instant {
        let silent = self.heard_at + self.silence_max;
        self.wire.stalls_at().map_or(silent, |stalled| stalled.min(silent))
    }

    fn check_deadlines(&self) -> Result<(), Closed> {
        let now = Instant::now();
        if let Some(limit) = self.wire.stalled_for(now) {
            return Err(CloseCause::Stalled(limit).into());
        }
        if now >= self.heard_at + self.silence_max {
            return Err(CloseCause::Silent(self.silence_max).into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
