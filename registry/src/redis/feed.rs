//! The one task that owns the subscriptions at one server and their connection.
//!
//! It connects, follows the node's own channel and every wanted group whose slot the server has, and believes that only
//! when a probe, published by a link to a channel of its own, has come back. Then it serves changes, and watches: probes go
//! out once a second, and when the newest that came back is too old, the connection is dropped and all is
//! built anew, however healthy it looks. So it is when a server says that it no longer has a slot.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use redis::{RedisError, Value};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};
use tracing::debug;

use super::fault::Redirect;
use super::follow::{FeedId, Group};
use super::inlet::{Funnel, Pulse};
use super::link::Trouble;
use super::login::timed_out;
use super::shards::Shard;
use super::subscriber::{PROBE_AGE_MAX, Subscriber};
use super::wire::{ClientId, Wire};
use crate::bus::batch::Batch;
use crate::slot::slot_of;

/// How often a probe goes out.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// How often the newest is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Channels per SUBSCRIBE.
const CHANNELS_MAX: usize = 512;

/// The subscriptions at one server.
#[derive(Debug)]
pub(super) struct Feed {
    id: FeedId,
    of: Arc<Subscriber>,
    pub(super) shard: Arc<Shard>,
    pulse: Arc<Pulse>,
    /// Everything stands, verified by a probe.
    verified: AtomicBool,
    /// Build everything anew.
    again: Notify,
    /// Which process the subscription is at.
    run_id: watch::Sender<Option<String>>,
}

impl Feed {
    pub(super) fn new(of: Arc<Subscriber>, shard: Arc<Shard>) -> Arc<Self> {
        let (id, pulse) = (of.followed.new_feed(), Arc::new(Pulse::default()));
        let (verified, again, run_id) = (AtomicBool::new(false), Notify::new(), watch::Sender::new(None));
        Arc::new(Self { id, of, shard, pulse, verified, again, run_id })
    }

    pub(super) fn renew(&self) {
        self.again.notify_one();
    }

    pub(super) fn run_id(&self) -> Option<String> {
        self.run_id.borrow().clone()
    }

    pub(super) fn is_verified(&self) -> bool {
        self.verified.load(Ordering::Acquire)
    }

    pub(super) fn probe_age(&self) -> Option<Duration> {
        self.of.inlet.newest_probe(&self.pulse).map(|sent| sent.elapsed())
    }

    /// The server is none of ours any more.
    pub(super) fn end(&self) {
        self.shard.stop.cancel();
        self.of.followed.fall(self.id);
    }

    /// Publishes a probe every second until the server is none of ours.
    pub(super) async fn probe(self: Arc<Self>) {
        let probe = async {
            let mut ticks = interval(PROBE_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                self.send_probe().await;
            }
        };
        self.shard.stop.run_until_cancelled(probe).await;
    }

    /// Keeps everything subscribed until the server is none of ours.
    pub(super) async fn run(self: Arc<Self>) {
        self.shard.stop.run_until_cancelled(self.keep_up()).await;
        self.of.followed.fall(self.id);
    }

    async fn keep_up(&self) {
        let mut trouble = Trouble::new(&"subscriber");
        let (mut earlier, mut was_up) = (None, false);
        loop {
            match self.build(&mut earlier).await {
                Ok((mut wire, home)) => {
                    trouble.over();
                    self.run_id.send_replace(wire.run_id.clone());
                    self.verified.store(true, Ordering::Release);
                    if std::mem::replace(&mut was_up, true) {
                        self.tell_break();
                    }
                    let why = self.serve(&mut wire, home).await;
                    self.verified.store(false, Ordering::Release);
                    self.of.followed.fall(self.id);
                    self.run_id.send_replace(None);
                    trouble.log("subscription lost", why);
                    wire.end().await;
                }
                Err(error) => {
                    self.of.followed.fall(self.id);
                    trouble.log("can't subscribe", &error);
                }
            }
            trouble.pause().await;
        }
    }

    fn tell_break(&self) {
        self.of.followed.tally().reconnected();
        self.of.inlet.reconnected();
    }

    /// Connects, follows everything, and waits for a probe to come back.
    async fn build(&self, earlier: &mut Option<ClientId>) -> Result<(Wire, bool), RedisError> {
        let (of, patience) = (&self.of, self.of.patience);
        // What was asked for before is about to be done.
        let _ = self.again.notified().now_or_never();
        of.inlet.begin_anew();
        self.pulse.begin_anew();
        let funnel = Funnel::new(Arc::clone(&of.inlet), Arc::clone(&self.pulse));
        let mut wire = self.shard.endpoint.open(Some(Arc::new(funnel))).await?;
        if let Some(earlier) = &*earlier {
            within(patience, wire.bury(earlier)).await?;
        }
        *earlier = wire.client.clone().or(earlier.take());
        let home = self.follow_own(&mut wire).await?;
        let begun = Instant::now();
        self.subscribe(&mut wire, &of.followed.all_steps(|group| self.has(group)).subscribe).await?;
        self.verify(begun).await?;
        Ok((wire, home))
    }

    /// Follows the channels to this node that come by this server; whether the one that others post to does.
    async fn follow_own(&self, wire: &mut Wire) -> Result<bool, RedisError> {
        let (own, patience) = (self.own_channel(), self.of.patience);
        if !self.is_sharded() {
            within(patience, wire.connection.subscribe(own)).await?;
            return Ok(true);
        }
        let mut channels = vec![self.probe_channel()];
        let home = self.has_slot(slot_of(own.as_bytes()));
        if home {
            // Wakes come by any slot's scripts, and those that nobody shards reach every server.
            within(patience, wire.connection.subscribe(&own)).await?;
            channels.push(own);
        }
        for answer in self.by_slot(wire, "SSUBSCRIBE", &channels).await? {
            answer.extract_error()?;
        }
        Ok(home)
    }

    /// Waits until a probe comes back that was sent after `begun`.
    async fn verify(&self, begun: Instant) -> Result<(), RedisError> {
        let deadline = Instant::now() + PROBE_AGE_MAX;
        loop {
            let mut probed = std::pin::pin!(self.pulse.probed.notified());
            probed.as_mut().enable();
            if self.of.inlet.newest_probe(&self.pulse).is_some_and(|sent| sent >= begun) {
                return Ok(());
            }
            self.send_probe().await;
            let look_again = deadline.min(Instant::now() + LOOK_EVERY);
            if timeout_at(look_again, probed).await.is_err() && Instant::now() >= deadline {
                return Err(timed_out());
            }
        }
    }

    /// Serves changes until the connection has to go; says why.
    async fn serve(&self, wire: &mut Wire, home: bool) -> &'static str {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut news, mut maps) = (self.of.followed.news(), self.of.store.links.maps());
        // What changed while all was being built is not told again.
        news.mark_changed();
        loop {
            tokio::select! {
                () = wire.closed.cancelled() => return "closed",
                () = self.again.notified() => return "renewed",
                () = self.pulse.thrown_out.notified() => return "slots have moved",
                Ok(()) = maps.changed() => {
                    if home != self.has_slot(slot_of(self.own_channel().as_bytes())) {
                        return "slots have moved";
                    }
                    self.of.followed.leave(self.id, |group| self.has(group));
                }
                Ok(()) = news.changed() => {
                    if self.change(wire).await.is_err() {
                        return "no answer";
                    }
                }
                _ = looks.tick() => {
                    if self.probe_age().is_none_or(|age| age >= PROBE_AGE_MAX) {
                        return "no probe came back";
                    }
                }
            }
        }
    }

    async fn change(&self, wire: &mut Wire) -> Result<(), RedisError> {
        let steps = self.of.followed.steps(self.id, |group| self.has(group));
        for some in steps.unsubscribe.chunks(CHANNELS_MAX) {
            let channels = self.channels(some);
            if self.is_sharded() {
                self.pulse.leaving(&channels);
                self.by_slot(wire, "SUNSUBSCRIBE", &channels).await?;
            } else {
                within(self.of.patience, wire.connection.unsubscribe(channels)).await?;
            }
            some.iter().for_each(|group| self.of.inlet.forget(group));
        }
        if self.subscribe(wire, &steps.subscribe).await? {
            self.tell_break();
        }
        Ok(())
    }

    /// Follows groups; whether any of them was followed before, and something may have been missed since.
    async fn subscribe(&self, wire: &mut Wire, groups: &[Group]) -> Result<bool, RedisError> {
        let mut missed = false;
        for some in groups.chunks(CHANNELS_MAX) {
            let channels = self.channels(some);
            if !self.is_sharded() {
                within(self.of.patience, wire.connection.subscribe(channels)).await?;
                missed |= self.of.followed.confirm(self.id, some);
                continue;
            }
            for (group, answer) in some.iter().zip(self.by_slot(wire, "SSUBSCRIBE", &channels).await?) {
                match Redirect::of(&answer) {
                    // The feed that has it by then follows it.
                    Some(redirect) => {
                        self.of.store.links.moved(&redirect);
                        self.of.followed.again(group);
                    }
                    None => {
                        answer.extract_error()?;
                        missed |= self.of.followed.confirm(self.id, std::slice::from_ref(group));
                    }
                }
            }
        }
        Ok(missed)
    }

    /// One command for each channel: several in one would have to share a slot.
    async fn by_slot(
        &self,
        wire: &mut Wire,
        command: &str,
        channels: &[String],
    ) -> Result<Vec<Value>, RedisError> {
        let mut pipeline = redis::Pipeline::with_capacity(channels.len());
        for channel in channels {
            pipeline.cmd(command).arg(channel);
        }
        let sent = wire.connection.send_packed_commands(&pipeline, 0, channels.len());
        within(self.of.patience, sent).await
    }

    fn channels(&self, groups: &[Group]) -> Vec<String> {
        groups.iter().map(|(tenant, topic)| self.of.store.keys.channel(tenant, topic)).collect()
    }

    fn own_channel(&self) -> String {
        self.of.store.keys.node(&self.of.node)
    }

    /// The first of the channels for probes that comes by this server.
    fn probe_channel(&self) -> String {
        let channel = |number| self.of.store.keys.probe(&self.of.node, number);
        let mut channels = (0..crate::slot::SLOTS).map(channel);
        channels.find(|channel| self.has_slot(slot_of(channel.as_bytes()))).unwrap_or_else(|| channel(0))
    }

    fn is_sharded(&self) -> bool {
        self.of.store.keys.is_sharded()
    }

    fn has(&self, group: &Group) -> bool {
        self.has_slot(self.of.store.slot_of_group(group))
    }

    fn has_slot(&self, slot: u16) -> bool {
        self.of.store.links.map().shard_of(slot).is_some_and(|shard| Arc::ptr_eq(shard, &self.shard))
    }

    async fn send_probe(&self) {
        let channel = if self.is_sharded() { self.probe_channel() } else { self.own_channel() };
        let probe = Batch::new(&self.of.inlet.new_probe());
        let call = self.of.store.publish(&channel, probe.bytes());
        if let Err(error) = self.of.store.links.of(&channel).write_one(call).await {
            // The link tells the log; here only the age of the probes matters.
            debug!(%error, "a probe was not published");
        }
    }
}

async fn within<T>(
    patience: Duration,
    step: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, RedisError> {
    timeout(patience, step).await.unwrap_or_else(|_| Err(timed_out()))
}
