//! What every part of this back end works with: the names, the links, the pool, and the view of the leases.

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::{Connection, Manager, Pool, Runtime};
use redis::{AsyncConnectionConfig, RedisError, Value};
use tokio::time::timeout;

use super::RedisConfig;
use super::call::Call;
use super::fault::{Refusal, of_question};
use super::link::{Link, Links};
use super::live::Live;
use super::log::LogBook;
use super::wire::Endpoint;
use crate::Error;
use crate::directory::SESSION_KEPT;
use crate::keys::Keys;
use crate::measured::Measured;

/// Most calls of one pipeline: a bulk job must not keep Redis from everybody else for long.
pub(super) const PIPELINE_CALLS_MAX: usize = 64;

/// One Redis, as one node uses it.
#[derive(Debug)]
pub(super) struct Store {
    pub(super) keys: Keys,
    pub(super) links: Arc<Links>,
    pub(super) live: Arc<Live>,
    /// Time to live of rows.
    pub(super) row_ttl: Duration,
    pool: Pool,
    pub(super) command_timeout: Duration,
    /// What is known of the logs.
    pub(super) log: LogBook,
    pub(super) measured: Arc<Measured>,
}

impl Store {
    pub(super) fn try_new(config: &RedisConfig, endpoint: &Endpoint) -> Result<Self, Error> {
        let keys = Keys::new(&config.prefix);
        let measured = Arc::<Measured>::default();
        let links = Arc::new(Links::new(config.links, config.command_timeout, &measured));
        let live = Arc::new(Live::new(keys.clone(), Arc::clone(&links), config.command_timeout));
        let connection = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(config.connect_timeout))
            .set_response_timeout(Some(config.command_timeout));
        let manager = Manager::new_with_config(endpoint.info(), connection);
        let pool = Pool::builder(manager.map_err(|error| Error::Url(error.into()))?)
            .max_size(config.pool_connections.max(1))
            .wait_timeout(Some(config.command_timeout))
            .create_timeout(Some(config.connect_timeout))
            .recycle_timeout(Some(config.command_timeout))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Error::Url(error.into()))?;
        let log = LogBook::new(config.log.clone(), config.log_strict);
        let (row_ttl, command_timeout) = (config.row_ttl, config.command_timeout);
        Ok(Self { keys, links, live, row_ttl, pool, command_timeout, log, measured })
    }

    /// The link for the leases and whatever else concerns the whole cluster.
    pub(super) fn first_link(&self) -> &Arc<Link> {
        &self.links.all()[0]
    }

    /// Until when a script that is sent now may take effect: milliseconds of Redis' clock. Whoever asked has
    /// given up by then.
    pub(super) async fn deadline_ms(&self) -> Result<u64, Error> {
        Ok(self.live.redis_now_ms().await? + self.command_timeout.as_millis() as u64)
    }

    /// A connection of its own for large answers and long work, which would hold up the links.
    pub(super) async fn bulk(&self) -> Result<Bulk, Error> {
        let connection = self.pool.get().await.map_err(|error| Error::Unavailable(Some(error.into())))?;
        Ok(Bulk { connection, command_timeout: self.command_timeout })
    }

    /// Ends the pool's idle connections: Redis behind them is not the one to talk to.
    pub(super) fn renew_pool(&self) {
        self.pool.retain(|_, _| false);
    }

    /// Seconds that a row lives unrefreshed.
    pub(super) fn row_seconds(&self) -> u64 {
        self.row_ttl.as_secs().max(1)
    }

    /// Seconds that a session stays its owner's after its last socket.
    pub(super) fn owner_seconds(&self) -> u64 {
        SESSION_KEPT.as_secs().max(self.row_seconds())
    }
}

/// A connection of the pool.
pub(super) struct Bulk {
    connection: Connection,
    command_timeout: Duration,
}

impl Bulk {
    /// Carries out calls that may be repeated, in pipelines of at most [`PIPELINE_CALLS_MAX`].
    pub(super) async fn run(&mut self, calls: &[Call]) -> Result<Vec<Value>, Error> {
        let mut answers = Vec::with_capacity(calls.len());
        for some in calls.chunks(PIPELINE_CALLS_MAX) {
            let sent = timeout(self.command_timeout, self.pipeline(some)).await;
            let sent = sent.map_err(|late| Error::Unavailable(Some(late.into())))?;
            answers.extend(sent.map_err(of_question)?);
        }
        Ok(answers)
    }

    /// Carries out one call that changes something and may take so much longer than others.
    pub(super) async fn write_one(&mut self, call: &Call, longer: Duration) -> Result<Value, Error> {
        let sent = timeout(self.command_timeout + longer, self.pipeline(std::slice::from_ref(call))).await;
        let answers = sent.map_err(|late| Error::OutcomeUnknown(Some(late.into())))??;
        answers.into_iter().next().ok_or(Error::Unreadable { what: "answer" })
    }

    /// Carries out one call that may be repeated.
    pub(super) async fn one(&mut self, call: Call) -> Result<Value, Error> {
        let answers = self.run(std::slice::from_ref(&call)).await?;
        answers.into_iter().next().ok_or(Error::Unreadable { what: "answer" })
    }

    async fn pipeline(&mut self, calls: &[Call]) -> Result<Vec<Value>, Error> {
        let mut pipeline = redis::Pipeline::with_capacity(calls.len());
        for call in calls {
            pipeline.add_command(call.cmd().clone());
        }
        let lost = |error: RedisError| Error::OutcomeUnknown(Some(error.into()));
        let mut answers =
            self.connection.send_packed_commands(&pipeline, 0, calls.len()).await.map_err(lost)?;
        for (call, answer) in calls.iter().zip(&mut answers) {
            let Value::ServerError(error) = answer else { continue };
            *answer = match (Refusal::of(error), call.with_script_text()) {
                (Refusal::NoScript, Some(call)) => {
                    self.connection.send_packed_command(call.cmd()).await.map_err(lost)?
                }
                (refusal, _) => return Err(refusal.error(error.clone())),
            };
            if let Value::ServerError(error) = answer {
                return Err(Refusal::of(error).error(error.clone()));
            }
        }
        Ok(answers)
    }
}
