//! One connection of a client: drives the socket, and the session with it, to the connection's end.
//!
//! It waits in one place (`next_event`), acts on what came without waiting (`apply`), and writes whatever may be
//! sent while it waits again. While a reader of the application has no room, nothing is read from the socket.

use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::closed::{CloseCause, Closed};
use crate::error::ConnectError;
use crate::session::Session;
use crate::stats::Count;
use crate::token::{Renewal, Token};
use crate::wire::{Bearer, Frame, Wire};

/// A node that stops closes the connection at the time that it named, or a little later. Then it has this long.
const OVERSTAY_MAX: Duration = Duration::from_secs(5);

pub(crate) struct Connection<'a, S> {
    wire: Wire<S>,
    session: &'a mut Session,
    heard_at: Instant,
    patience: Patience,
    /// The handles are done: what is still to be sent has until then.
    finish_by: Option<Instant>,
    token: &'a mut Token,
    /// Another token, for which somebody was asked.
    renewal: Option<Renewal>,
}

/// How long a connection waits for its node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For anything at all.
    pub(crate) silence: Duration,
    /// For the answer to a `system:resume`.
    pub(crate) resume: Duration,
    /// For the acknowledgements that are outstanding when the client closes.
    pub(crate) closing: Duration,
    /// For another token.
    pub(crate) token: Duration,
}

enum Event {
    Frame(Frame),
    /// The socket, which was full, takes messages again.
    Room,
    Session,
    Alarm,
    /// A handle wants another node.
    Move,
    /// Another token came, or none.
    Renewed(Result<Bearer, ConnectError>),
    Ended(Closed),
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Connection<'a, S> {
    pub(crate) fn new(
        wire: Wire<S>,
        session: &'a mut Session,
        token: &'a mut Token,
        patience: Patience,
    ) -> Self {
        Self { wire, session, heard_at: Instant::now(), patience, finish_by: None, token, renewal: None }
    }

    /// Drives the connection to its end. A socket on which a goodbye may help is returned with the reason.
    pub(crate) async fn run(mut self) -> (Closed, Option<Wire<S>>) {
        let closed = self.drive().await;
        tracing::debug!(%closed, "connection ended");
        self.session.disconnected(&closed);
        let polite = matches!(
            closed.cause,
            CloseCause::ByClient
                | CloseCause::ByNode { .. }
                | CloseCause::Moved
                | CloseCause::Drained
                | CloseCause::NotResumed(_)
        );
        (closed, polite.then_some(self.wire))
    }

    async fn drive(&mut self) -> Closed {
        let mut alarm = pin!(sleep_until(Instant::now()));
        loop {
            if let Err(closed) = self.send() {
                return closed;
            }
            if self.deadline() != alarm.deadline() || alarm.is_elapsed() {
                alarm.as_mut().reset(self.deadline());
            }
            let event = self.next_event(alarm.as_mut()).await;
            if let Err(closed) = self.apply(event) {
                return closed;
            }
        }
    }

    async fn next_event(&mut self, alarm: Pin<&mut Sleep>) -> Event {
        let reading = self.session.handover.is_done();
        tokio::select! {
            came = self.wire.next_or_room(reading) => match came {
                Ok(Some(frame)) => Event::Frame(frame),
                Ok(None) => Event::Room,
                Err(closed) => Event::Ended(closed),
            },
            () = self.session.needs_attention() => Event::Session,
            renewed = another(&mut self.renewal) => Event::Renewed(renewed),
            () = alarm => Event::Alarm,
            () = self.session.shared.moves.notified() => Event::Move,
        }
    }

    fn apply(&mut self, event: Event) -> Result<(), Closed> {
        match event {
            Event::Frame(frame) => {
                self.heard_at = Instant::now();
                self.receive(&frame);
                Ok(())
            }
            Event::Room => Ok(()),
            Event::Session => {
                self.attend();
                Ok(())
            }
            Event::Renewed(renewed) => {
                self.renewal = None;
                self.renew(renewed);
                Ok(())
            }
            Event::Alarm => self.check_deadlines(),
            Event::Move => Err(CloseCause::Moved.into()),
            Event::Ended(closed) => Err(closed),
        }
    }

    fn receive(&mut self, frame: &Frame) {
        match frame {
            Frame::Heartbeat => {}
            Frame::Binary(_) => self.session.shared.counters.count(Count::Errors),
            Frame::Text(text) => {
                self.session.receive(text, self.heard_at);
                if self.session.wants_token() && self.renewal.is_none() {
                    self.renewal = self.token.another(self.patience.token);
                }
            }
        }
    }

    /// Shows the node another token, which is also the one for the next connection. Without one the old one counts
    /// until its end.
    fn renew(&mut self, renewed: Result<Bearer, ConnectError>) {
        match renewed {
            Ok(token) => {
                self.session.show(token.expose().to_owned());
                self.token.replace(token);
            }
            Err(error) => tracing::debug!(%error, "no other token"),
        }
    }

    fn attend(&mut self) {
        let waited_for_reader = !self.session.handover.is_done();
        self.session.attend();
        if waited_for_reader && self.session.handover.is_done() {
            // Whatever the node said meanwhile is still to be read.
            self.heard_at = Instant::now();
            self.session.listens_again(self.heard_at);
        }
        if self.session.is_finishing() && self.finish_by.is_none() {
            self.finish_by = Some(Instant::now() + self.patience.closing);
        }
    }

    /// Hands what may be sent to the socket, as far as that has room.
    fn send(&mut self) -> Result<(), Closed> {
        let now = Instant::now();
        while self.wire.has_room() {
            let Some(text) = self.session.next_text(now) else { break };
            self.wire.queue(text)?;
            self.session.shared.counters.count(Count::Sent);
        }
        if self.session.is_finished() { Err(CloseCause::ByClient.into()) } else { Ok(()) }
    }

    /// When the node has been silent for too long; never while this side does not listen.
    fn silent_at(&self) -> Option<Instant> {
        self.session.handover.is_done().then_some(self.heard_at + self.patience.silence)
    }

    /// When something has to be done even if nothing comes.
    fn deadline(&self) -> Instant {
        let (session, wire) = (&self.session, &self.wire);
        let write_at = session.write_at().filter(|_| wire.has_room());
        let deadlines = [
            self.silent_at(),
            wire.stalls_at(),
            write_at,
            self.resumed_by(),
            self.overstayed_at(),
            self.finish_by,
        ];
        deadlines.into_iter().flatten().min().unwrap_or_else(|| Instant::now() + self.patience.silence)
    }

    /// When the answer to a resume is overdue; never while this side does not listen.
    fn resumed_by(&self) -> Option<Instant> {
        self.session.resumed_by().filter(|_| self.session.handover.is_done())
    }

    fn overstayed_at(&self) -> Option<Instant> {
        self.session.leave_at().map(|at| at + OVERSTAY_MAX)
    }

    fn check_deadlines(&mut self) -> Result<(), Closed> {
        let now = Instant::now();
        if let Some(limit) = self.wire.stalled_for(now) {
            return Err(CloseCause::Stalled(limit).into());
        }
        if self.silent_at().is_some_and(|at| at <= now) {
            return Err(CloseCause::Silent(self.patience.silence).into());
        }
        if self.resumed_by().is_some_and(|at| at <= now) {
            return Err(CloseCause::NotResumed(self.patience.resume).into());
        }
        if self.overstayed_at().is_some_and(|at| at <= now) {
            return Err(CloseCause::Drained.into());
        }
        if self.finish_by.is_some_and(|at| at <= now) {
            return Err(CloseCause::ByClient.into());
        }
        Ok(())
    }
}

/// The token that comes, if somebody was asked for one.
async fn another(renewal: &mut Option<Renewal>) -> Result<Bearer, ConnectError> {
    match renewal {
        Some(coming) => coming.await,
        None => std::future::pending().await,
    }
}
