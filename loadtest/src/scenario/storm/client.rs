//! One client of a storm: it comes, stays, and comes again when it was cut off, as fast as it is let.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use signalbox_client::{ConnectError, Wire, WireConfig};
use tokio::time::{Instant, sleep};

use crate::dice::Dice;
use crate::latency::Latencies;

/// After an attempt that failed a client waits for so long at most, by chance, unless it was told.
const AGAIN_MS_MAX: u64 = 1_000;

/// What happened to all clients since the wave began.
pub(super) struct Crowd {
    began: Instant,
    last: Instant,
    took: Latencies,
    /// On each node.
    here: Vec<usize>,
    /// A node is expected to lose its clients: the first.
    cut_off: bool,
    /// Sent away with a status.
    pub(super) refused: u64,
    /// Attempts that ended without an answer.
    pub(super) failed: u64,
    /// Connections that ended although their nodes live.
    pub(super) left_others: u64,
}

impl Crowd {
    pub(super) fn starting_now() -> Self {
        let now = Instant::now();
        Self {
            began: now,
            last: now,
            took: Latencies::default(),
            here: Vec::new(),
            cut_off: false,
            refused: 0,
            failed: 0,
            left_others: 0,
        }
    }

    /// Another wave begins: the first node is about to die.
    pub(super) fn begin_anew(&mut self) {
        *self = Self { cut_off: true, here: std::mem::take(&mut self.here), ..Self::starting_now() };
    }

    /// How many came in this wave and are in. Who left a node that lives comes once more: that is nobody new.
    pub(super) fn came(&self) -> usize {
        usize::try_from(self.took.count().saturating_sub(self.left_others)).unwrap_or(usize::MAX)
    }

    /// How long each of them took from the beginning of the wave.
    pub(super) fn took(&self) -> &Latencies {
        &self.took
    }

    /// How long after the beginning the last one came.
    pub(super) fn last_after(&self) -> Duration {
        self.last - self.began
    }

    /// How many are on the node of this number.
    pub(super) fn on(&self, node: usize) -> usize {
        self.here.get(node).copied().unwrap_or_default()
    }

    fn arrive(&mut self, node: usize) {
        self.here.resize(self.here.len().max(node + 1), 0);
        self.here[node] += 1;
        self.last = Instant::now();
        self.took.record(self.last - self.began);
    }

    fn leave(&mut self, node: usize) {
        self.here[node] -= 1;
        if node > 0 || !self.cut_off {
            self.left_others += 1;
        }
    }

    fn fail(&mut self, error: &ConnectError) {
        match error {
            ConnectError::Refused { .. } => self.refused += 1,
            _ => self.failed += 1,
        }
    }
}

/// See the module.
pub(super) struct Client {
    /// To each node, its own first.
    roads: Vec<WireConfig>,
    own_node: usize,
    crowd: Rc<RefCell<Crowd>>,
    dice: Dice,
    /// Cuts its first connection on purpose.
    pub(super) leaves_once: bool,
}

impl Client {
    pub(super) fn new(number: usize, roads: Vec<WireConfig>, crowd: Rc<RefCell<Crowd>>) -> Self {
        let own_node = number % roads.len().max(1);
        Self { roads, own_node, crowd, dice: Dice::new(number as u64), leaves_once: false }
    }

    /// Until it is dropped.
    pub(super) async fn stay(mut self) {
        let mut turn = 0;
        loop {
            let (mut wire, turn_taken) = self.come(turn).await;
            let node = (self.own_node + turn_taken) % self.roads.len();
            self.crowd.borrow_mut().arrive(node);
            if !std::mem::take(&mut self.leaves_once) {
                while wire.next().await.is_ok() {}
            }
            self.crowd.borrow_mut().leave(node);
            turn = turn_taken + 1;
        }
    }

    /// Tries one node after the other until one takes it in; which, counted from its own.
    async fn come(&mut self, first: usize) -> (Wire, usize) {
        let mut turn = first;
        loop {
            let error = match Wire::connect(&self.roads[turn % self.roads.len()]).await {
                Ok((wire, _)) => return (wire, turn % self.roads.len()),
                Err(error) => error,
            };
            self.crowd.borrow_mut().fail(&error);
            let by_chance = Duration::from_millis(self.dice.below(AGAIN_MS_MAX));
            let wait = match error {
                ConnectError::Refused { retry_after: Some(told), .. } => told,
                _ => by_chance,
            };
            sleep(wait).await;
            turn += 1;
        }
    }
}
