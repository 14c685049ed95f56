//! The channels that come by one server, and how they are followed there: by plain Pub/Sub where there is one server, by
//! sharded in a Cluster, where each channel has a slot.

use std::sync::Arc;
use std::time::Duration;

use redis::{Pipeline, RedisError, Value};
use signalbox_protocol::NodeId;
use tokio::time::timeout;

use super::fault::Redirect;
use super::follow::Group;
use super::inlet::Pulse;
use super::login::timed_out;
use super::shards::Shard;
use super::store::Store;
use super::subscriber::Subscriber;
use super::wire::Wire;
use crate::slot::{SLOTS, slot_of};

/// Names channels of a server, and follows them.
#[derive(Debug)]
pub(super) struct Channels {
    node: NodeId,
    store: Arc<Store>,
    shard: Arc<Shard>,
    /// Longest wait for an answer.
    patience: Duration,
}

impl Channels {
    pub(super) fn new(of: &Subscriber, shard: &Arc<Shard>) -> Self {
        let (node, store) = (of.node.clone(), Arc::clone(&of.store));
        Self { node, store, shard: Arc::clone(shard), patience: of.patience }
    }

    /// Follows the channels to this node that come by this server; whether the one that others post to does.
    pub(super) async fn follow_own(&self, wire: &mut Wire) -> Result<bool, RedisError> {
        let own = self.own();
        if !self.is_sharded() {
            within(self.patience, wire.connection.subscribe(own)).await?;
            return Ok(true);
        }
        let (mut channels, home) = (vec![self.probe()], self.is_home());
        if home {
            // Wakes come by any slot's scripts, and those that nobody shards reach every server.
            within(self.patience, wire.connection.subscribe(&own)).await?;
            channels.push(own);
        }
        for answer in self.by_slot(wire, "SSUBSCRIBE", &channels).await? {
            answer.extract_error()?;
        }
        Ok(home)
    }

    /// Follows groups; answers those that the server says are elsewhere.
    pub(super) async fn follow<'a>(
        &self,
        wire: &mut Wire,
        groups: &'a [Group],
    ) -> Result<Vec<(&'a Group, Redirect)>, RedisError> {
        let (channels, mut elsewhere) = (self.names(groups), Vec::new());
        if !self.is_sharded() {
            within(self.patience, wire.connection.subscribe(channels)).await?;
            return Ok(elsewhere);
        }
        for (group, answer) in groups.iter().zip(self.by_slot(wire, "SSUBSCRIBE", &channels).await?) {
            match Redirect::of(&answer) {
                Some(redirect) => elsewhere.push((group, redirect)),
                None => drop(answer.extract_error()?),
            }
        }
        Ok(elsewhere)
    }

    /// Follows groups no longer.
    pub(super) async fn leave(
        &self,
        wire: &mut Wire,
        groups: &[Group],
        pulse: &Pulse,
    ) -> Result<(), RedisError> {
        let channels = self.names(groups);
        if !self.is_sharded() {
            return within(self.patience, wire.connection.unsubscribe(channels)).await;
        }
        pulse.leaving(&channels);
        self.by_slot(wire, "SUNSUBSCRIBE", &channels).await.map(drop)
    }

    /// One command for each channel: several in one would have to share a slot.
    async fn by_slot(
        &self,
        wire: &mut Wire,
        command: &str,
        channels: &[String],
    ) -> Result<Vec<Value>, RedisError> {
        let mut pipeline = Pipeline::with_capacity(channels.len());
        for channel in channels {
            pipeline.cmd(command).arg(channel);
        }
        within(self.patience, wire.connection.send_packed_commands(&pipeline, 0, channels.len())).await
    }

    fn names(&self, groups: &[Group]) -> Vec<String> {
        groups.iter().map(|(tenant, topic)| self.store.keys.channel(tenant, topic)).collect()
    }

    fn own(&self) -> String {
        self.store.keys.node(&self.node)
    }

    /// Where a probe goes: to the node's own channel; in a Cluster to the first of the channels for probes that comes by
    /// this server.
    pub(super) fn probe(&self) -> String {
        if !self.is_sharded() {
            return self.own();
        }
        let channel = |number| self.store.keys.probe(&self.node, number);
        let mut channels = (0..SLOTS).map(channel);
        channels.find(|channel| self.has_slot(slot_of(channel.as_bytes()))).unwrap_or_else(|| channel(0))
    }

    fn is_sharded(&self) -> bool {
        self.store.keys.is_sharded()
    }

    /// Whether the channel that others post to comes by this server.
    pub(super) fn is_home(&self) -> bool {
        self.has_slot(slot_of(self.own().as_bytes()))
    }

    /// Whether the channel of a group comes by this server.
    pub(super) fn has(&self, (tenant, topic): &Group) -> bool {
        self.has_slot(self.store.slot_of_topic(tenant, topic))
    }

    fn has_slot(&self, slot: u16) -> bool {
        self.store.links.map().shard_of(slot).is_some_and(|shard| Arc::ptr_eq(shard, &self.shard))
    }
}

pub(super) async fn within<T>(
    patience: Duration,
    step: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, RedisError> {
    timeout(patience, step).await.unwrap_or_else(|_| Err(timed_out()))
}
