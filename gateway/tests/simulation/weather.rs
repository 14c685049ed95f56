//! The faults of this moment, and what they did; shared by everything in a run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use signalbox_protocol::NodeId;

use crate::climate::Faults;

/// Why something can't be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Away {
    /// Packets vanish.
    Cut,
    /// It died, and everybody can tell.
    Dead,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Weather {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    faults: Faults,
    away: BTreeMap<NodeId, Away>,
    deaf: BTreeSet<NodeId>,
    /// The ids of passing messages that a node did not hear.
    lost: BTreeSet<String>,
    /// How often each thing happened.
    tally: BTreeMap<&'static str, u64>,
}

impl Weather {
    pub(crate) fn new(faults: Faults) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { faults, ..State::default() }) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn faults(&self) -> Faults {
        self.state().faults
    }

    /// No more small faults.
    pub(crate) fn clears_up(&self) {
        self.state().faults = Faults::default();
    }

    pub(crate) fn away(&self, node: &NodeId) -> Option<Away> {
        self.state().away.get(node).copied()
    }

    pub(crate) fn set_away(&self, node: &NodeId, away: Option<Away>) {
        let mut state = self.state();
        match away {
            Some(away) => drop(state.away.insert(node.clone(), away)),
            None => drop(state.away.remove(node)),
        }
    }

    /// Whether nothing on the bus reaches the node.
    pub(crate) fn is_deaf(&self, node: &NodeId) -> bool {
        let state = self.state();
        state.deaf.contains(node) || state.away.contains_key(node)
    }

    pub(crate) fn set_deaf(&self, node: &NodeId, deaf: bool) {
        let mut state = self.state();
        match deaf {
            true => state.deaf.insert(node.clone()),
            false => state.deaf.remove(node),
        };
    }

    /// A node did not hear this frame.
    pub(crate) fn lost(&self, frame: &[u8]) {
        let json = frame.iter().position(|byte| *byte == b'{').map_or(&[][..], |begin| &frame[begin..]);
        let message: Value = serde_json::from_slice(json).unwrap_or_default();
        self.state().lost.extend(message["id"].as_str().map(str::to_owned));
    }

    /// The ids of those.
    pub(crate) fn all_lost(&self) -> BTreeSet<String> {
        self.state().lost.clone()
    }

    pub(crate) fn count(&self, what: &'static str) {
        *self.state().tally.entry(what).or_default() += 1;
    }

    pub(crate) fn tally(&self) -> BTreeMap<&'static str, u64> {
        self.state().tally.clone()
    }
}
