//! The logs of the topics that clients of this node follow: delivered in order, without a gap, once.
//!
//! The bus brings messages as they are stored. What is next is delivered at once; what comes too early is held back
//! while a task reads the log; what the log no longer has is told to everybody who follows the topic. A follower that
//! joins or resumes reads by itself until it is where the others are, see `ws::catch_up`.

mod base;
mod check;
mod heads;
mod settle;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use signalbox_protocol::control::Position;
use signalbox_protocol::{Tenant, Topic};
use signalbox_registry::{Error, Log, Logged};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::base::{Base, lost};
use self::heads::Heads;
use crate::hub::{Caught, Connection, Hub, TopicKey};
use crate::metrics::Metrics;

/// So many topics of a node are read at once to settle doubts.
const SETTLING_MAX: usize = 8;

/// See the module.
#[derive(Debug)]
pub struct Tails {
    hub: Arc<Hub>,
    log: Arc<dyn Log>,
    heads: Arc<Heads>,
    metrics: Metrics,
    tasks: TaskTracker,
    halt: CancellationToken,
    /// Where a topic stands in which nothing was ever said, as far as this node knows.
    base: ArcSwap<Base>,
    settling: Semaphore,
    /// All topics are to be compared with their logs, soon.
    in_doubt: Notify,
    /// Also those of which nobody has heard a stored message.
    all: AtomicBool,
}

impl Tails {
    /// The tails of a node's topics.
    pub fn new(
        hub: Arc<Hub>,
        log: Arc<dyn Log>,
        metrics: Metrics,
        (tasks, halt): (TaskTracker, CancellationToken),
    ) -> Arc<Self> {
        Arc::new(Self {
            hub,
            heads: Heads::new(Arc::clone(&log), tasks.clone()),
            log,
            metrics,
            tasks,
            halt,
            base: ArcSwap::default(),
            settling: Semaphore::new(SETTLING_MAX),
            in_doubt: Notify::new(),
            all: AtomicBool::new(false),
        })
    }

    /// The logs behind them.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// Where a topic stands if nothing was ever said in it.
    fn base_of(&self, key: &TopicKey) -> Option<Arc<Position>> {
        self.base.load().of(self.log.part_of(&key.tenant, &key.topic)).cloned()
    }

    /// A stored message was told to this node.
    pub fn on_logged(self: &Arc<Self>, logged: Logged) {
        let key = TopicKey::new(&logged.tenant, &logged.topic);
        let base = self.base_of(&key);
        let doubt = self.hub.with(&key, |followers| followers.take(logged, base.as_deref(), &self.metrics));
        if doubt == Some(true) {
            self.settle(key);
        }
    }

    /// Messages may have been skipped: every topic is compared with its log, soon.
    pub fn on_break(&self) {
        self.all.store(true, Ordering::Release);
        self.in_doubt.notify_one();
    }

    /// Sees to it that the node knows where these topics stand. Somebody follows them already, so that no message is
    /// missed meanwhile. What the node follows already costs nothing.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn begin(self: &Arc<Self>, tenant: &Tenant, topics: &[Topic]) -> Result<(), Error> {
        let unknown = |topic: &&Topic| {
            let known = self.hub.with(&TopicKey::new(tenant, topic), |followers| followers.is_known());
            known != Some(true)
        };
        let unknown: Vec<_> =
            topics.iter().filter(unknown).map(|topic| (tenant.clone(), topic.clone())).collect();
        if !unknown.is_empty() {
            self.heads(unknown).await?;
        }
        Ok(())
    }

    /// Where these topics end now; the node knows it from now on as well.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn heads(self: &Arc<Self>, topics: Vec<(Tenant, Topic)>) -> Result<Vec<Position>, Error> {
        if self.log.parts() > 1 && self.base.load().is_empty() {
            self.check_base().await?;
        }
        let keys: Vec<_> = topics.iter().map(|(tenant, topic)| TopicKey::new(tenant, topic)).collect();
        let heads = self.heads.of(topics).await?;
        for (key, head) in keys.into_iter().zip(&heads) {
            self.establish(key, head);
        }
        Ok(heads)
    }

    fn establish(self: &Arc<Self>, key: TopicKey, head: &Position) {
        if head.offset == 0 {
            self.learn_base(&key, head);
        }
        let base = self.base_of(&key);
        let doubt =
            self.hub.with(&key, |followers| followers.establish(head, base.as_deref(), &self.metrics));
        if doubt == Some(true) {
            self.settle(key);
        }
    }

    /// The first look tells where nothing stands. If it is not continued any more, all topics have to be looked at.
    fn learn_base(&self, key: &TopicKey, nothing: &Position) {
        match self.base_of(key) {
            None if self.log.parts() == 1 => self.base.store(Arc::new(Base::of_one(nothing.clone()))),
            Some(base) if lost(&base, nothing).is_none() => {}
            None | Some(_) => self.on_break(),
        }
    }

    /// From now on the connection reads the topic's log by itself, until [`Tails::catch_up`] says that it is one of
    /// all again. Where it stands.
    pub fn hold(&self, connection: &Connection, topic: &Topic) -> Option<Position> {
        let key = TopicKey::new(&connection.profile().tenant, topic);
        let base = self.base_of(&key);
        let held = self.hub.with(&key, |followers| followers.hold(connection.number(), base.as_deref()));
        held.flatten().or_else(|| base.as_deref().cloned())
    }

    /// The connection was told that it follows the topic.
    pub fn admit(&self, connection: &Connection, topic: &Topic) {
        let key = TopicKey::new(&connection.profile().tenant, topic);
        self.hub.with(&key, |followers| followers.admit(connection.number()));
    }

    /// The connection has got everything up to `cursor`; `at_end`: the log ended there just now. False: there is
    /// more to read.
    pub fn catch_up(
        self: &Arc<Self>,
        connection: &Connection,
        topic: &Topic,
        cursor: &Position,
        at_end: bool,
    ) -> bool {
        let key = TopicKey::new(&connection.profile().tenant, topic);
        let base = self.base_of(&key);
        let number = connection.number();
        let caught =
            self.hub.with(&key, |followers| followers.catch_up(number, cursor, base.as_deref(), at_end));
        if caught == Some(Caught::UpWithDoubt) {
            self.settle(key);
        }
        caught != Some(Caught::Behind)
    }
}

#[cfg(test)]
mod tests;
