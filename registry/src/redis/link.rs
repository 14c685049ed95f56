//! The hot path: a few connections that everything small shares, each kept up by a supervisor of its own.
//!
//! A supervisor connects, makes Redis end the connection before (so that what was sent there and not yet
//! done never is), loads the scripts, and then asks once a second whether Redis still answers. While a link
//! is down its calls fail at once. A call that gets no answer in time is given up, not the link.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::FutureExt;
use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::call::{Call, note};
use super::endpoint::Endpoint;
use super::fault::Refusal;
use super::reach::Reach;
use super::script;
use super::wire::{ClientId, Wire};
use crate::Error;
use crate::measured::{Failure, Measured, Way};

/// How often Redis is asked whether it answers, and how long the answer may take.
const PING: Duration = Duration::from_secs(1);
/// So many unanswered pings in a row end a connection.
const PINGS_MISSED_MAX: u32 = 2;
/// First and longest pause between attempts to connect.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));
/// Between two lines of the log about the same trouble.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// A connection that stands.
#[derive(Debug)]
struct Up {
    connection: MultiplexedConnection,
    run_id: Option<String>,
}

/// One shared connection. Commands that need an order among them go by the same link.
#[derive(Debug)]
pub(super) struct Link {
    number: usize,
    command_timeout: Duration,
    /// The connection, while it stands.
    up: RwLock<Option<Up>>,
    reach: Arc<Reach>,
    measured: Arc<Measured>,
    /// The supervisor should connect anew: Redis behind this connection is not the one to talk to.
    renew: Notify,
}

impl Link {
    pub(super) fn new(
        number: usize,
        command_timeout: Duration,
        reach: Arc<Reach>,
        measured: Arc<Measured>,
    ) -> Arc<Self> {
        let (up, renew) = (RwLock::new(None), Notify::new());
        Arc::new(Self { number, command_timeout, up, reach, measured, renew })
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Which process it is connected to, while it is up.
    pub(super) fn run_id(&self) -> Option<String> {
        self.up.read().unwrap_or_else(PoisonError::into_inner).as_ref()?.run_id.clone()
    }

    fn connection(&self) -> Option<MultiplexedConnection> {
        let up = self.up.read().unwrap_or_else(PoisonError::into_inner);
        up.as_ref().map(|up| up.connection.clone())
    }

    fn set(&self, up: Option<Up>) {
        *self.up.write().unwrap_or_else(PoisonError::into_inner) = up;
        self.reach.look();
    }

    /// Connects anew.
    pub(super) fn renew(&self) {
        self.renew.notify_one();
    }

    /// Carries out commands that change something, one round trip for all. They run in this order, but
    /// not as one step; the first refusal is the answer.
    pub(super) async fn write(&self, calls: &[Call]) -> Result<Vec<Value>, Error> {
        self.raw(calls).await?.into_iter().map(checked).collect()
    }

    /// The same; refusals are among the answers.
    pub(super) async fn raw(&self, calls: &[Call]) -> Result<Vec<Value>, Error> {
        let Some(connection) = self.connection() else {
            self.measured.count_failure(Failure::Down);
            return Err(Error::Unavailable(None));
        };
        let begun = Instant::now();
        let answered = timeout(self.command_timeout, self.send(connection, calls)).await;
        let answered = answered.unwrap_or_else(|late| Err(Error::OutcomeUnknown(Some(Box::new(late)))));
        note(&self.measured, Way::Shared, calls, begun, &answered);
        answered
    }

    /// Carries out a command on a slot that is on its way here.
    pub(super) async fn ask(&self, call: &Call) -> Result<Value, Error> {
        let whole = call.with_script_text().unwrap_or_else(|| call.clone());
        let answers = self.raw(&[Call::new("ASKING"), whole]).await?;
        answers.into_iter().nth(1).ok_or(Error::Unreadable { what: "answer" })
    }

    async fn send(&self, mut connection: MultiplexedConnection, calls: &[Call]) -> Result<Vec<Value>, Error> {
        let mut answers = send(&mut connection, calls).await.map_err(lost)?;
        for (call, answer) in calls.iter().zip(&mut answers) {
            let Value::ServerError(error) = answer else { continue };
            match (Refusal::of(error), call.with_script_text()) {
                (Refusal::NoScript, Some(call)) => {
                    *answer = connection.send_packed_command(call.cmd()).await.map_err(lost)?;
                }
                (Refusal::WrongOne, _) => self.renew(),
                _ => {}
            }
        }
        Ok(answers)
    }

    /// Keeps the link up until `stop`.
    pub(super) async fn supervise(self: Arc<Self>, endpoint: Endpoint, stop: CancellationToken) {
        stop.run_until_cancelled(self.keep_up(endpoint)).await;
        if self.is_up() {
            self.set(None);
        }
    }

    async fn keep_up(&self, endpoint: Endpoint) {
        let mut earlier = None;
        let mut trouble = Trouble::new(&self.number);
        loop {
            match self.connect(&endpoint, &mut earlier).await {
                Ok(wire) => {
                    trouble.over();
                    let (connection, run_id) = (wire.connection.clone(), wire.run_id.clone());
                    self.set(Some(Up { connection, run_id }));
                    let why = self.until_lost(&wire).await;
                    self.set(None);
                    trouble.log("connection lost", why);
                }
                Err(error) => trouble.log("can't connect", &error),
            }
            trouble.pause().await;
        }
    }

    async fn connect(&self, endpoint: &Endpoint, earlier: &mut Option<ClientId>) -> Result<Wire, RedisError> {
        // What was asked for before is about to be done.
        let _ = self.renew.notified().now_or_never();
        let mut wire = endpoint.open(None).await?;
        let prepare = async {
            if let Some(earlier) = &*earlier {
                wire.bury(earlier).await?;
            }
            load_scripts(&mut wire.connection, endpoint.is_sharded()).await
        };
        let prepared = timeout(self.command_timeout, prepare).await;
        prepared.map_err(|_| RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut)))??;
        *earlier = wire.client.clone().or(earlier.take());
        Ok(wire)
    }

    /// Returns when the connection is lost, with the reason.
    async fn until_lost(&self, wire: &Wire) -> &'static str {
        let mut ticks = interval(PING);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut connection, mut missed) = (wire.connection.clone(), 0);
        let ping = redis::cmd("PING");
        loop {
            tokio::select! {
                () = wire.closed.cancelled() => return "closed",
                () = self.renew.notified() => return "renewed",
                _ = ticks.tick() => {}
            }
            let begun = Instant::now();
            let pong = tokio::select! {
                () = wire.closed.cancelled() => return "closed",
                pong = timeout(PING, connection.send_packed_command(&ping)) => pong,
            };
            self.measured.command(Way::Shared, b"ping").note_time(begun.elapsed());
            missed = if matches!(pong, Ok(Ok(_))) { 0 } else { missed + 1 };
            if missed >= PINGS_MISSED_MAX {
                return "no answer";
            }
        }
    }
}

async fn send(connection: &mut MultiplexedConnection, calls: &[Call]) -> Result<Vec<Value>, RedisError> {
    if let [call] = calls {
        return Ok(vec![connection.send_packed_command(call.cmd()).await?]);
    }
    let mut pipeline = redis::Pipeline::with_capacity(calls.len());
    for call in calls {
        pipeline.add_command(call.cmd().clone());
    }
    connection.send_packed_commands(&pipeline, 0, calls.len()).await
}

async fn load_scripts(connection: &mut MultiplexedConnection, is_sharded: bool) -> Result<(), RedisError> {
    let mut pipeline = redis::Pipeline::new();
    for script in script::ALL {
        pipeline.cmd("SCRIPT").arg("LOAD").arg(&script.written(is_sharded).text);
    }
    let answers = connection.send_packed_commands(&pipeline, 0, script::ALL.len()).await?;
    match answers.into_iter().find_map(|answer| answer.extract_error().err()) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// A refusal is an error.
pub(super) fn checked(answer: Value) -> Result<Value, Error> {
    match answer {
        Value::ServerError(error) => Err(Refusal::of(&error).error(error)),
        answer => Ok(answer),
    }
}

fn lost(error: RedisError) -> Error {
    Error::OutcomeUnknown(Some(Box::new(error)))
}

/// How long a connection has been in trouble: paces attempts and the log.
#[derive(Debug)]
pub(super) struct Trouble {
    link: String,
    pause: Duration,
    up_since: Option<Instant>,
    told: Option<Instant>,
}

impl Trouble {
    pub(super) fn new(link: &dyn std::fmt::Display) -> Self {
        Self { link: link.to_string(), pause: BACKOFF.0, up_since: None, told: None }
    }

    /// It is up again.
    pub(super) fn over(&mut self) {
        self.up_since = Some(Instant::now());
        if self.told.take().is_some() {
            info!(link = %self.link, "redis is back");
        }
    }

    pub(super) fn log(&mut self, what: &str, why: impl std::fmt::Display) {
        if self.told.is_none_or(|told| told.elapsed() >= LOG_EVERY) {
            warn!(link = %self.link, %why, "redis: {what}");
            self.told = Some(Instant::now());
        }
    }

    /// Waits before the next attempt: longer each time, briefly again after a connection that lasted.
    pub(super) async fn pause(&mut self) {
        if self.up_since.take().is_some_and(|since| since.elapsed() >= BACKOFF.1) {
            self.pause = BACKOFF.0;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(BACKOFF.1);
    }
}
