//! Logs in Redis: not there yet. Every call is refused as if Redis were away, so that nothing is taken for stored.

use async_trait::async_trait;
use signalbox_protocol::control::Position;
use signalbox_protocol::{Tenant, Topic};

use crate::log::{Appended, Entry, Limits, Read};
use crate::{Error, Log};

/// See the module.
#[derive(Debug)]
pub(super) struct RedisLog;

#[async_trait]
impl Log for RedisLog {
    async fn append(&self, _: &Entry) -> Result<Appended, Error> {
        Err(Error::Unavailable(None))
    }

    async fn read(&self, _: &Tenant, _: &Topic, _: &Position, _: Limits) -> Result<Read, Error> {
        Err(Error::Unavailable(None))
    }

    async fn heads(&self, _: &[(Tenant, Topic)]) -> Result<Vec<Position>, Error> {
        Err(Error::Unavailable(None))
    }

    async fn new_epoch(&self, _: &Tenant, _: &Topic, _: &str) -> Result<Position, Error> {
        Err(Error::Unavailable(None))
    }
}
