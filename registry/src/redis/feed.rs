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
use redis::RedisError;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use tracing::debug;

use super::channels::{Channels, within};
use super::follow::{FeedId, Group};
use super::inlet::{Funnel, Pulse};
use super::link::Trouble;
use super::login::timed_out;
use super::shards::Shard;
use super::subscriber::{PROBE_AGE_MAX, Subscriber};
use super::wire::{ClientId, Wire};
use crate::bus::batch::Batch;

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
    channels: Channels,
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
        let channels = Channels::new(&of, &shard);
        let (verified, again, run_id) = (AtomicBool::new(false), Notify::new(), watch::Sender::new(None));
        Arc::new(Self { id, of, channels, shard, pulse, verified, again, run_id })
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
        let home = self.channels.follow_own(&mut wire).await?;
        let begun = Instant::now();
        self.subscribe(&mut wire, of.followed.all_steps(|group| self.channels.has(group)).subscribe).await?;
        self.verify(begun).await?;
        Ok((wire, home))
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
                    if home != self.channels.is_home() {
                        return "slots have moved";
                    }
                    self.of.followed.leave(self.id, |group| self.channels.has(group));
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
        let steps = self.of.followed.steps(self.id, |group| self.channels.has(group));
        for some in steps.unsubscribe.chunks(CHANNELS_MAX) {
            self.channels.leave(wire, some, &self.pulse).await?;
            some.iter().for_each(|group| self.of.inlet.forget(group));
        }
        if self.subscribe(wire, steps.subscribe).await? {
            self.tell_break();
        }
        Ok(())
    }

    /// Follows groups; whether any of them was followed before, and something may have been missed since.
    async fn subscribe(&self, wire: &mut Wire, groups: Vec<Group>) -> Result<bool, RedisError> {
        let mut missed = false;
        for some in groups.chunks(CHANNELS_MAX) {
            let elsewhere = self.channels.follow(wire, some).await?;
            for (group, redirect) in &elsewhere {
                // The feed that has it by then follows it.
                self.of.store.links.moved(redirect);
                self.of.followed.again(group);
            }
            let is_here = |group: &Group| !elsewhere.iter().any(|(other, _)| *other == group);
            let here: Vec<_> = some.iter().filter(|group| is_here(group)).cloned().collect();
            missed |= self.of.followed.confirm(self.id, &here);
        }
        Ok(missed)
    }

    async fn send_probe(&self) {
        let channel = self.channels.probe();
        let probe = Batch::new(&self.of.inlet.new_probe());
        let call = self.of.store.publish(&channel, probe.bytes());
        if let Err(error) = self.of.store.links.of(&channel).write_one(call).await {
            // The link tells the log; here only the age of the probes matters.
            debug!(%error, "a probe was not published");
        }
    }
}
