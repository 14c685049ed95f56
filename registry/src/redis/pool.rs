//! Connections for large answers and long work, which would hold up the links: a pool at the server that is the one
//! to talk to.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use deadpool_redis::{Connection, Manager, Pool, Runtime};
use redis::{AsyncConnectionConfig, RedisError, Value};
use tokio::time::{Instant, timeout};

use super::address::Address;
use super::call::{Call, note};
use super::config::RedisConfig;
use super::endpoint::Endpoint;
use super::fault::{Redirect, Refusal, of_question};
use super::link::checked;
use super::shards::Links;
use super::slot_map::Map;
use crate::Error;
use crate::measured::{Failure, Way};
use crate::mutex::lock;

/// Most calls of one pipeline: a bulk job must not keep Redis from everybody else for long.
pub(super) const PIPELINE_CALLS_MAX: usize = 64;

/// How many connections a pool has, and how long they are waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct PoolBounds {
    connections: usize,
    connect_timeout: Duration,
    command_timeout: Duration,
}

impl PoolBounds {
    pub(super) fn of(config: &RedisConfig) -> Self {
        Self {
            connections: config.pool_connections.max(1),
            connect_timeout: config.connect_timeout,
            command_timeout: config.command_timeout,
        }
    }
}

/// The pool of one server, made anew where that has moved.
pub(super) struct Pools {
    endpoint: Endpoint,
    bounds: PoolBounds,
    now: Mutex<Option<(Address, Pool)>>,
}

impl fmt::Debug for Pools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pools").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

impl Pools {
    pub(super) fn new(bounds: PoolBounds, endpoint: Endpoint) -> Self {
        Self { endpoint, bounds, now: Mutex::default() }
    }

    async fn connection(&self) -> Result<Connection, Error> {
        self.pool()?.get().await.map_err(|error| Error::Unavailable(Some(error.into())))
    }

    /// How many connections there are now.
    pub(super) fn len(&self) -> usize {
        lock(&self.now).as_ref().map_or(0, |(_, pool)| pool.status().size)
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
            .set_connection_timeout(Some(self.bounds.connect_timeout))
            .set_response_timeout(Some(self.bounds.command_timeout));
        let manager = Manager::new_with_config(self.endpoint.info(address)?, connection);
        Pool::builder(manager.map_err(|error| Error::Url(error.into()))?)
            .max_size(self.bounds.connections)
            .wait_timeout(Some(self.bounds.command_timeout))
            .create_timeout(Some(self.bounds.connect_timeout))
            .recycle_timeout(Some(self.bounds.command_timeout))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Error::Url(error.into()))
    }
}

/// A connection of the pool of each server that it takes.
pub(super) struct Bulk {
    links: Arc<Links>,
    map: Arc<Map>,
    connections: Vec<Option<Connection>>,
    command_timeout: Duration,
}

impl Bulk {
    /// Takes a connection at once where there is one server; else as they are needed.
    pub(super) async fn begin(links: &Arc<Links>, command_timeout: Duration) -> Result<Self, Error> {
        let map = links.map();
        let connections = map.shards().iter().map(|_| None).collect();
        let mut bulk = Self { links: Arc::clone(links), map, connections, command_timeout };
        if bulk.servers() <= 1 {
            bulk.connection(0).await?;
        }
        Ok(bulk)
    }

    /// How many servers there are.
    pub(super) fn servers(&self) -> usize {
        self.map.shards().len()
    }

    async fn connection(&mut self, server: usize) -> Result<&mut Connection, Error> {
        let gone = || Error::Unavailable(None);
        let (shard, place) = (self.map.shards().get(server), self.connections.get_mut(server));
        let (shard, place) = (shard.ok_or_else(gone)?, place.ok_or_else(gone)?);
        if place.is_none() {
            let connection = shard.pools.connection().await;
            let down = |_: &Error| self.links.measured.count_failure(Failure::Down);
            *place = Some(connection.inspect_err(down)?);
        }
        place.as_mut().ok_or_else(gone)
    }

    /// Carries out calls that may be repeated, in pipelines of at most [`PIPELINE_CALLS_MAX`].
    pub(super) async fn run(&mut self, calls: &[Call]) -> Result<Vec<Value>, Error> {
        let mut answers = vec![Value::Nil; calls.len()];
        for (server, places) in self.map.divide(calls)? {
            for places in places.chunks(PIPELINE_CALLS_MAX) {
                let some: Vec<_> = places.iter().map(|place| calls[*place].clone()).collect();
                let sent = self.pipeline(server, &some, Duration::ZERO).await.map_err(of_question)?;
                for (place, answer) in places.iter().zip(sent) {
                    answers[*place] = answer;
                }
            }
        }
        Ok(answers)
    }

    /// Carries out one call that changes something and may take so much longer than others.
    pub(super) async fn write_one(&mut self, call: &Call, longer: Duration) -> Result<Value, Error> {
        let calls = std::slice::from_ref(call);
        let server = self.map.divide(calls)?.into_keys().next().unwrap_or_default();
        first(self.pipeline(server, calls, longer).await?)
    }

    /// Carries out one call that may be repeated.
    pub(super) async fn one(&mut self, call: Call) -> Result<Value, Error> {
        first(self.run(std::slice::from_ref(&call)).await?)
    }

    /// Carries out one call that may be repeated at one of the servers, whatever its keys are.
    pub(super) async fn one_at(&mut self, server: usize, call: Call) -> Result<Value, Error> {
        first(self.pipeline(server, &[call], Duration::ZERO).await.map_err(of_question)?)
    }

    async fn pipeline(
        &mut self,
        server: usize,
        calls: &[Call],
        longer: Duration,
    ) -> Result<Vec<Value>, Error> {
        let patience = self.command_timeout + longer;
        let connection = self.connection(server).await?;
        let begun = Instant::now();
        let answered = timeout(patience, send(connection, calls)).await;
        let answered = answered.unwrap_or_else(|late| Err(Error::OutcomeUnknown(Some(late.into()))));
        note(&self.links.measured, Way::Pool, calls, begun, &answered);
        let answers = answered?;
        if answers.iter().any(|answer| Redirect::of(answer).is_some()) {
            self.links.stale.notify_one();
        }
        answers.into_iter().map(checked).collect()
    }
}

fn first(answers: Vec<Value>) -> Result<Value, Error> {
    answers.into_iter().next().ok_or(Error::Unreadable { what: "answer" })
}

/// Sends calls; refusals are among the answers.
async fn send(connection: &mut Connection, calls: &[Call]) -> Result<Vec<Value>, Error> {
    let mut pipeline = redis::Pipeline::with_capacity(calls.len());
    for call in calls {
        pipeline.add_command(call.cmd().clone());
    }
    let lost = |error: RedisError| Error::OutcomeUnknown(Some(error.into()));
    let mut answers = connection.send_packed_commands(&pipeline, 0, calls.len()).await.map_err(lost)?;
    for (call, answer) in calls.iter().zip(&mut answers) {
        let Value::ServerError(error) = answer else { continue };
        if let (Refusal::NoScript, Some(call)) = (Refusal::of(error), call.with_script_text()) {
            *answer = connection.send_packed_command(call.cmd()).await.map_err(lost)?;
        }
    }
    Ok(answers)
}
