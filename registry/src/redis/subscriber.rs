//! The one task that owns this node's subscriptions and their connection.
//!
//! It connects, follows the node's own channel and every wanted group, and believes that only when a probe,
//! published by a link to the own channel, has come back. Then it serves changes, and watches: probes go
//! out once a second, and when the newest that came back is too old, the connection is dropped and all is
//! built anew, however healthy it looks.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use redis::RedisError;
use signalbox_protocol::NodeId;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::call::Call;
use super::endpoint::Endpoint;
use super::follow::{Followed, Group};
use super::inlet::{Funnel, Inlet};
use super::link::Trouble;
use super::store::Store;
use super::wire::{ClientId, Wire};
use crate::Error;
use crate::bus::BusHealth;
use crate::bus::batch::Batch;

/// How often a probe goes out.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// A newest probe older than this ends the connection.
pub(super) const PROBE_AGE_MAX: Duration = Duration::from_secs(2);
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Channels per SUBSCRIBE.
const CHANNELS_MAX: usize = 512;

/// Keeps this node subscribed.
#[derive(Debug)]
pub(super) struct Subscriber {
    node: NodeId,
    store: Arc<Store>,
    followed: Arc<Followed>,
    inlet: Arc<Inlet>,
    /// Longest wait for an answer.
    patience: Duration,
    /// Everything stands, verified by a probe.
    verified: AtomicBool,
    /// Build everything anew.
    again: Notify,
    /// Which process the subscription is at.
    run_id: watch::Sender<Option<String>>,
}

impl Subscriber {
    pub(super) fn new(
        node: NodeId,
        store: Arc<Store>,
        followed: Arc<Followed>,
        inlet: Arc<Inlet>,
        patience: Duration,
    ) -> Arc<Self> {
        let (verified, again, run_id) = (AtomicBool::new(false), Notify::new(), watch::Sender::new(None));
        Arc::new(Self { node, store, followed, inlet, patience, verified, again, run_id })
    }

    /// Builds everything anew.
    pub(super) fn renew(&self) {
        self.again.notify_one();
    }

    /// Which process the subscription is at, while one stands.
    pub(super) fn run_id(&self) -> Option<String> {
        self.run_id.borrow().clone()
    }

    pub(super) fn health(&self) -> BusHealth {
        let probe_age = self.inlet.newest_probe().map(|sent| sent.elapsed());
        let fresh = probe_age.is_some_and(|age| age < PROBE_AGE_MAX);
        BusHealth { probe_age, healthy: fresh && self.verified.load(Ordering::Acquire) }
    }

    /// Publishes a probe every second until `stop`.
    pub(super) async fn probe(self: Arc<Self>, stop: CancellationToken) {
        let probe = async {
            let mut ticks = interval(PROBE_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                self.send_probe().await;
            }
        };
        stop.run_until_cancelled(probe).await;
    }

    /// Keeps everything subscribed until `stop`.
    pub(super) async fn run(self: Arc<Self>, endpoint: Endpoint, stop: CancellationToken) {
        stop.run_until_cancelled_owned(self.keep_up(endpoint)).await;
    }

    async fn keep_up(&self, endpoint: Endpoint) {
        let mut trouble = Trouble::new(&"subscriber");
        let (mut earlier, mut was_up) = (None, false);
        loop {
            match self.build(&endpoint, &mut earlier).await {
                Ok(mut wire) => {
                    trouble.over();
                    self.run_id.send_replace(wire.run_id.clone());
                    self.verified.store(true, Ordering::Release);
                    if std::mem::replace(&mut was_up, true) {
                        self.followed.tally().reconnected();
                        self.inlet.reconnected();
                    }
                    let why = self.serve(&mut wire).await;
                    self.verified.store(false, Ordering::Release);
                    self.followed.fall();
                    self.run_id.send_replace(None);
                    trouble.log("subscription lost", why);
                    wire.end().await;
                }
                Err(error) => {
                    self.followed.fall();
                    trouble.log("can't subscribe", &error);
                }
            }
            trouble.pause().await;
        }
    }

    /// Connects, follows everything, and waits for a probe to come back.
    async fn build(&self, endpoint: &Endpoint, earlier: &mut Option<ClientId>) -> Result<Wire, RedisError> {
        // What was asked for before is about to be done.
        let _ = self.again.notified().now_or_never();
        self.inlet.begin_anew();
        let mut wire = endpoint.open(Some(Arc::new(Funnel(Arc::clone(&self.inlet))))).await?;
        if let Some(earlier) = &*earlier {
            within(self.patience, wire.bury(earlier)).await?;
        }
        *earlier = wire.client.clone().or(earlier.take());
        within(self.patience, wire.connection.subscribe(self.store.keys.node(&self.node))).await?;
        let begun = Instant::now();
        self.subscribe(&mut wire, &self.followed.all_steps().subscribe).await?;
        self.verify(begun).await?;
        Ok(wire)
    }

    /// Waits until a probe comes back that was sent after `begun`.
    async fn verify(&self, begun: Instant) -> Result<(), RedisError> {
        let deadline = Instant::now() + PROBE_AGE_MAX;
        loop {
            let mut probed = std::pin::pin!(self.inlet.probed.notified());
            probed.as_mut().enable();
            if self.inlet.newest_probe().is_some_and(|sent| sent >= begun) {
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
    async fn serve(&self, wire: &mut Wire) -> &'static str {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = wire.closed.cancelled() => return "closed",
                () = self.again.notified() => return "renewed",
                () = self.followed.wake.notified() => {
                    if self.change(wire).await.is_err() {
                        return "no answer";
                    }
                }
                _ = looks.tick() => {
                    let newest = self.inlet.newest_probe();
                    if newest.is_none_or(|sent| sent.elapsed() >= PROBE_AGE_MAX) {
                        return "no probe came back";
                    }
                }
            }
        }
    }

    async fn change(&self, wire: &mut Wire) -> Result<(), RedisError> {
        let steps = self.followed.steps();
        for some in steps.unsubscribe.chunks(CHANNELS_MAX) {
            within(self.patience, wire.connection.unsubscribe(self.channels(some))).await?;
            some.iter().for_each(|group| self.inlet.forget(group));
        }
        self.subscribe(wire, &steps.subscribe).await
    }

    async fn subscribe(&self, wire: &mut Wire, groups: &[Group]) -> Result<(), RedisError> {
        for some in groups.chunks(CHANNELS_MAX) {
            within(self.patience, wire.connection.subscribe(self.channels(some))).await?;
            self.followed.confirm(some);
        }
        Ok(())
    }

    fn channels(&self, groups: &[Group]) -> Vec<String> {
        groups.iter().map(|(tenant, topic)| self.store.keys.channel(tenant, topic)).collect()
    }

    async fn send_probe(&self) {
        let channel = self.store.keys.node(&self.node);
        let probe = Batch::new(&self.inlet.new_probe());
        let call = Call::new("PUBLISH").arg(&channel).arg(probe.bytes());
        if let Err(error) = self.store.links.of(&channel).write_one(call).await {
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

fn timed_out() -> RedisError {
    io::Error::from(io::ErrorKind::TimedOut).into()
}

impl Subscriber {
    /// Follows a group topic; fails at once while Redis is away.
    pub(super) async fn follow(&self, group: Group) -> Result<(), Error> {
        if !self.store.first_link().is_up() {
            return Err(Error::Unavailable(None));
        }
        self.followed.want(group, 2 * self.patience).await
    }
}
