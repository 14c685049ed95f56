//! The task of a client: connects, drives the connection, and connects again, until it is told to stay away.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use signalbox_protocol::SessionId;
use signalbox_protocol::close::Advice;
use signalbox_protocol::control::Welcome;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use crate::closed::{CloseCause, Closed};
use crate::connection::{Connection, Patience};
use crate::dial::Dial;
use crate::error::ConnectError;
use crate::event::Event;
use crate::pace::Pace;
use crate::road::Road;
use crate::session::Session;
use crate::shared::Shared;
use crate::stats::ClientState;
use crate::wire::Wire;

/// What a client's task owns.
#[derive(Debug)]
pub(crate) struct Runner<D> {
    pub(crate) road: Road<D>,
    /// How it comes back; `None` if it does not.
    pub(crate) pace: Option<Pace>,
    pub(crate) session: Session,
    pub(crate) shared: LastWord,
    pub(crate) patience: Patience,
    /// Where goodbyes run, which hold up nobody.
    pub(crate) tasks: TaskTracker,
}

/// What is shared with the handles. Whoever waits for the end of the client is told of it, also if the task does
/// not get there, or never ran.
#[derive(Debug)]
pub(crate) struct LastWord(pub(crate) Arc<Shared>);

impl Deref for LastWord {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Drop for LastWord {
    fn drop(&mut self) {
        if self.0.end().is_none() {
            self.0.finish(CloseCause::Aborted.into());
        }
    }
}

/// A socket whose welcome the session knows.
#[derive(Debug)]
pub(crate) struct Welcomed<S> {
    wire: Wire<S>,
    /// The node pings more often than this.
    silence_max: Duration,
}

impl<D: Dial> Runner<D> {
    /// Tries every address once.
    ///
    /// # Errors
    /// What went wrong with the last one, or the first reason to give up.
    pub(crate) async fn first(&mut self) -> Result<Welcomed<D::Stream>, ConnectError> {
        let mut left = self.road.endpoints.len();
        loop {
            left -= 1;
            match self.road.attempt(None).await {
                Ok(welcomed) => return Ok(self.welcomed(welcomed)),
                Err(error) if left == 0 || error.advice() == Advice::GiveUp => return Err(error),
                Err(error) => tracing::debug!(%error, "an address of several"),
            }
        }
    }

    fn welcomed(&mut self, (wire, welcome): (Wire<D::Stream>, Welcome)) -> Welcomed<D::Stream> {
        let silence_max = Duration::from_secs(welcome.timeout_seconds.max(1));
        self.session.connected(welcome);
        Welcomed { wire, silence_max }
    }

    /// Drives the client to its end, and tells everybody. Begins with a connection, if there is one already.
    pub(crate) async fn run(mut self, first: Option<Welcomed<D::Stream>>) {
        let (closed, wire) = self.drive(first).await;
        tracing::debug!(%closed, "client ended");
        self.session.end(&closed);
        self.shared.finish(closed);
        // Only now: who waits for an answer looks for the reason when it finds itself dropped.
        let Self { session, tasks, .. } = self;
        drop(session);
        say_goodbye(&tasks, wire);
    }

    async fn drive(&mut self, mut first: Option<Welcomed<D::Stream>>) -> (Closed, Option<Wire<D::Stream>>) {
        loop {
            let Welcomed { wire, silence_max } = match first.take() {
                Some(welcomed) => welcomed,
                None => match self.reach().await {
                    Ok(welcomed) => welcomed,
                    Err(closed) => return (closed, None),
                },
            };
            let since = Instant::now();
            let patience = Patience { silence: silence_max, ..self.patience };
            let connection = Connection::new(wire, &mut self.session, &mut self.road.token, patience);
            let (closed, wire) = connection.run().await;
            let told = match closed.cause {
                CloseCause::Moved => Some(Duration::ZERO),
                _ => self.session.leave_at().map(|at| at.saturating_duration_since(Instant::now())),
            };
            let Some(pace) = self.pace.as_mut().filter(|_| comes_back(closed.advice, &mut self.road)) else {
                return (closed, wire);
            };
            let wait = pace.after_connection(&closed, since.elapsed(), told);
            say_goodbye(&self.tasks, wire);
            if let Err(closed) = meanwhile(&mut self.session, sleep(wait)).await {
                return (closed, None);
            }
        }
    }

    /// Tries until a node welcomes the client, or none ever will.
    async fn reach(&mut self) -> Result<Welcomed<D::Stream>, Closed> {
        let before: Option<SessionId> = self.session.id().cloned();
        loop {
            self.shared.set_state(ClientState::Connecting);
            let attempt = Box::pin(self.road.attempt(before.as_ref()));
            let error = match meanwhile(&mut self.session, attempt).await? {
                Ok(welcomed) => return Ok(self.welcomed(welcomed)),
                Err(error) => error,
            };
            tracing::debug!(%error, "not connected");
            let Some(pace) = self.pace.as_mut().filter(|_| comes_back(error.advice(), &mut self.road)) else {
                return Err(CloseCause::NotConnected(error.into()).into());
            };
            let retry_in = pace.after_attempt(&error);
            self.shared.tell(Event::NotConnected { error: error.into(), retry_in });
            self.shared.set_state(ClientState::Waiting);
            meanwhile(&mut self.session, sleep(retry_in)).await?;
        }
    }
}

/// Ends the connection in order, without holding up the next one. Bounded by [`Wire::close`].
fn say_goodbye<S>(tasks: &TaskTracker, wire: Option<Wire<S>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    if let Some(wire) = wire {
        tasks.spawn(wire.close());
    }
}

/// Whether another attempt makes sense; forgets a token that was refused.
fn comes_back<D: Dial>(advice: Advice, road: &mut Road<D>) -> bool {
    match advice {
        Advice::Reconnect => true,
        Advice::Reauthenticate => road.token.renew(),
        Advice::GiveUp => false,
    }
}

/// Waits for `step` while there is no connection, and minds the session meanwhile.
///
/// # Errors
/// When the handles are done: what is queued can't be sent.
async fn meanwhile<T>(session: &mut Session, step: impl Future<Output = T>) -> Result<T, Closed> {
    let mut step = std::pin::pin!(step);
    loop {
        if session.is_finishing() {
            return Err(CloseCause::ByClient.into());
        }
        tokio::select! {
            done = &mut step => return Ok(done),
            () = session.needs_attention() => session.attend(),
        }
    }
}
