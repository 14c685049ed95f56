//! Connections for large answers and long work, which would hold up the links: a pool at the server that is the one
//! to talk to.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use deadpool_redis::{Connection, Manager, Pool, Runtime};
use redis::{AsyncConnectionConfig, RedisError, Value};
use tokio::time::timeout;

use super::address::Address;
use super::call::Call;
use super::config::RedisConfig;
use super::endpoint::Endpoint;
use super::fault::{Refusal, of_question};
use crate::Error;
use crate::mutex::lock;

/// Most calls of one pipeline: a bulk job must not keep Redis from everybody else for long.
pub(super) const PIPELINE_CALLS_MAX: usize = 64;

/// The pool of one server, made anew where that has moved.
pub(super) struct Pools {
    endpoint: Endpoint,
    connections: usize,
    connect_timeout: Duration,
    command_timeout: Duration,
    now: Mutex<Option<(Address, Pool)>>,
}

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pools").field("connections", &self.connections).finish_non_exhaustive()
    }
}

impl Pools {
    pub(super) fn new(config: &RedisConfig, endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            connections: config.pool_connections.max(1),
            connect_timeout: config.connect_timeout,
            command_timeout: config.command_timeout,
            now: Mutex::default(),
        }
    }

    /// A connection of its own.
    pub(super) async fn bulk(&self) -> Result<Bulk, Error> {
        let pool = self.pool()?;
        let connection = pool.get().await.map_err(|error| Error::Unavailable(Some(error.into())))?;
        Ok(Bulk { connection, command_timeout: self.command_timeout })
    }

    /// Ends idle connections: Redis behind them is not the one to talk to.
    pub(super) fn renew(&self) {
        *lock(&self.now) = None;
    }

    /// The pool at the server where the links are.
    fn pool(&self) -> Result<Pool, Error> {
        let address = self.endpoint.latest().ok_or(Error::Unavailable(None))?;
        let mut now = lock(&self.now);
        if let Some((at, pool)) = &*now
            && *at == address
        {
            return Ok(pool.clone());
        }
        let pool = self.new_pool(&address)?;
        *now = Some((address, pool.clone()));
        Ok(pool)
    }

    fn new_pool(&self, address: &Address) -> Result<Pool, Error> {
        let connection = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            .set_response_timeout(Some(self.command_timeout));
        let manager = Manager::new_with_config(self.endpoint.info(address)?, connection);
        Pool::builder(manager.map_err(|error| Error::Url(error.into()))?)
            .max_size(self.connections)
            .wait_timeout(Some(self.command_timeout))
            .create_timeout(Some(self.connect_timeout))
            .recycle_timeout(Some(self.command_timeout))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Error::Url(error.into()))
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
