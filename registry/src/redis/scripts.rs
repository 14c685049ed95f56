//! What crates that build on this one do in the same Redis: scripts and commands of their own, on the keys
//! of a fleet, by the same links and under the same deadlines.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use signalbox_protocol::{Tenant, Topic};

use super::call::Call;
use super::script::Script;
use super::store::Store;
use crate::Error;
use crate::keys::Scope;
use crate::log::Retention;

/// A handle to the Redis of a cluster; clones are the same.
#[derive(Debug, Clone)]
pub struct Scripts {
    store: Arc<Store>,
}

impl Scripts {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Self { store }
    }

    pub(crate) fn pooled(&self) -> usize {
        self.store.links.pooled()
    }

    /// A script on a tenant's fleet. `KEYS[1]` is what the names of all the fleet's keys and channels begin
    /// with; a colon follows.
    pub fn on_fleet(&self, script: &'static Script, tenant: &Tenant) -> Call {
        Call::script(script, &self.store.keys.of(Scope::Fleet(tenant)))
    }

    /// A script on the list of fleets, `KEYS[1]`: tenant -> when it wants to be looked at.
    pub fn on_fleets(&self, script: &'static Script) -> Call {
        Call::script(script, &self.store.keys.of(Scope::Fleets))
    }

    /// The name of a key of a tenant's fleet.
    pub fn fleet_key(&self, tenant: &Tenant, name: &str) -> String {
        format!("{}:{name}", self.store.keys.fleet(tenant))
    }

    /// The channel by which a group topic is followed.
    pub fn channel(&self, tenant: &Tenant, topic: &Topic) -> String {
        self.store.keys.channel(tenant, topic)
    }

    /// Tells those who follow a channel.
    pub(crate) fn publish(&self, channel: &str, message: &[u8]) -> Call {
        self.store.publish(channel, message)
    }

    /// Until when a script that is sent now may take effect: milliseconds of Redis' clock. Whoever asked has
    /// given up by then.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn deadline_ms(&self) -> Result<u64, Error> {
        self.store.deadline_ms().await
    }

    /// What a script that appends to logs is told, `tenant|life|kind=messages,bytes,ms|..`: the life of what Redis holds,
    /// and what topics of these kinds keep.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn log_terms(&self, tenant: &Tenant, kinds: &[&str]) -> Result<String, Error> {
        let mut terms = format!("{tenant}|{}", self.store.life(tenant).await?);
        for kind in kinds {
            let Retention { messages_max, bytes_max, age } = self.store.log.of(kind);
            let _ = write!(terms, "|{kind}={messages_max},{bytes_max},{}", age.as_millis());
        }
        Ok(terms)
    }

    /// The longest wait for an answer.
    pub fn patience(&self) -> Duration {
        self.store.command_timeout
    }

    /// Carries out what changes something. Calls of one tenant that are made one after the other run in
    /// that order.
    ///
    /// # Errors
    /// [`Error::Unavailable`]: nothing happened. [`Error::OutcomeUnknown`]: it may have, or may still.
    /// [`Error::Refused`].
    pub async fn write(&self, tenant: &Tenant, call: Call) -> Result<Value, Error> {
        self.store.links.of(tenant).write_one(call).await
    }

    /// Carries out what changes something that all tenants share.
    ///
    /// # Errors
    /// As for [`Scripts::write`].
    pub async fn write_shared(&self, call: Call) -> Result<Value, Error> {
        self.store.first_link().write_one(call).await
    }

    /// Carries out what changes nothing.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`].
    pub async fn read(&self, tenant: &Tenant, calls: &[Call]) -> Result<Vec<Value>, Error> {
        self.store.links.of(tenant).read(calls).await
    }
}
