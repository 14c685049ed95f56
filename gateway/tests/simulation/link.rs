//! A node's way to what the nodes share. It takes time, loses commands and answers, and can be cut.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use signalbox_protocol::NodeId;
use signalbox_registry::Error;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::climate::Fault;
use crate::weather::{Away, Weather};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_millis(500);
/// After this long a node knows that it is cut off, and asks no more.
const NOTICED: Duration = Duration::from_secs(1);
/// The longest way in ordinary times.
const LATENCY_MAX_MS: u64 = 3;

/// See the module.
#[derive(Debug)]
pub(crate) struct Link {
    node: NodeId,
    weather: Arc<Weather>,
    seed: u64,
    /// How often dice were thrown for each thing.
    counts: Mutex<HashMap<String, u64>>,
    reachable: watch::Sender<bool>,
}

impl Link {
    pub(crate) fn new(node: NodeId, weather: &Arc<Weather>, seed: u64) -> Arc<Self> {
        let (weather, counts) = (Arc::clone(weather), Mutex::default());
        Arc::new(Self { node, weather, seed, counts, reachable: watch::Sender::new(true) })
    }

    pub(crate) fn node(&self) -> &NodeId {
        &self.node
    }

    pub(crate) fn weather(&self) -> &Arc<Weather> {
        &self.weather
    }

    pub(crate) fn reachable(&self) -> watch::Receiver<bool> {
        self.reachable.subscribe()
    }

    /// Dice for something that happens to `what` now. They do not depend on what happens to other things, whose order
    /// within a millisecond is nobody's business.
    fn dice(&self, what: &str) -> Rng {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(what.to_owned()).or_default();
        *count += 1;
        Rng::with_seed(mix(self.seed, &format!("{what} {count}")))
    }

    /// How long something takes, of up to so many milliseconds.
    pub(crate) fn within(&self, what: &str, max_ms: u64) -> Duration {
        Duration::from_millis(self.dice(what).u64(0..=max_ms))
    }

    /// Whether a fault happens to something that happens so often.
    pub(crate) fn happens(&self, fault: Fault, what: &str) -> bool {
        let per_mille = fault.per_mille(self.weather.faults());
        let happens = per_mille > 0 && self.dice(what).u32(0..1_000) < per_mille;
        if happens {
            self.weather.count(fault.name());
        }
        happens
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.weather.away(&self.node).is_some()
    }

    /// Whether the node knows that it can't reach anything.
    pub(crate) fn is_down(&self) -> bool {
        !*self.reachable.borrow()
    }

    /// One way, or the way back; false: what went never arrives.
    pub(crate) async fn travel(&self, what: &str) -> bool {
        sleep(self.within(what, LATENCY_MAX_MS)).await;
        !self.is_cut() && !self.happens(Fault::CommandLost, what)
    }

    /// A question; it may be asked again.
    pub(crate) async fn ask<T>(
        &self,
        what: &str,
        question: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.run(what, question).await.unwrap_or(Err(Error::Unavailable(None)))
    }

    /// A command that changes something.
    pub(crate) async fn tell<T>(
        &self,
        what: &str,
        command: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        if self.is_down() {
            return Err(Error::Unavailable(None));
        }
        self.run(what, command).await.unwrap_or(Err(Error::OutcomeUnknown(None)))
    }

    /// `None`: there was no answer in time.
    async fn run<T>(&self, what: &str, work: impl Future<Output = T>) -> Option<T> {
        if !self.is_down() && self.travel(what).await {
            let answer = work.await;
            if self.travel(what).await {
                return Some(answer);
            }
        }
        self.give_up().await;
        None
    }

    /// Waits as long as an answer is waited for that does not come.
    pub(crate) async fn give_up(&self) {
        if !self.is_down() {
            sleep(PATIENCE).await;
        }
    }

    /// Nothing passes for a while.
    pub(crate) async fn cut_for(&self, lasts: Duration) {
        self.weather.set_away(&self.node, Some(Away::Cut));
        sleep(lasts.min(NOTICED)).await;
        if lasts > NOTICED {
            self.reachable.send_replace(false);
            sleep(lasts - NOTICED).await;
        }
        self.weather.set_away(&self.node, None);
        self.reachable.send_replace(true);
    }

    /// Nothing passes any more, and the others can tell.
    pub(crate) fn die(&self) {
        self.weather.set_away(&self.node, Some(Away::Dead));
        self.reachable.send_replace(false);
    }
}

/// One number of two; not more than that is asked of it.
pub(crate) fn mix(seed: u64, text: &str) -> u64 {
    const PRIME: u64 = 1_099_511_628_211;
    let start = seed.wrapping_mul(PRIME) ^ 0xcbf2_9ce4_8422_2325;
    text.bytes().fold(start, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(PRIME))
}
