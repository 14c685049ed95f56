//! How many connections there are of which kind, kept as they come and go: nobody has to look at all of them for it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ahash::RandomState;

use super::Profile;

/// By label.
type Counts = HashMap<Box<str>, u64, RandomState>;

/// The counts of one node.
#[derive(Debug, Default)]
pub struct Census(Mutex<Labels>);

#[derive(Debug, Default)]
struct Labels {
    agent_types: Counts,
    pillars: Counts,
}

impl Census {
    /// One more.
    pub(super) fn add(&self, profile: &Profile) {
        let mut labels = self.lock();
        add(&mut labels.agent_types, profile.agent.agent_type());
        if let Some(pillar) = &profile.pillar {
            add(&mut labels.pillars, pillar);
        }
    }

    /// One less.
    pub(super) fn strike(&self, profile: &Profile) {
        let mut labels = self.lock();
        strike(&mut labels.agent_types, profile.agent.agent_type());
        if let Some(pillar) = &profile.pillar {
            strike(&mut labels.pillars, pillar);
        }
    }

    /// How many of each agent type.
    pub fn by_agent_type(&self) -> Vec<(Box<str>, u64)> {
        listed(&self.lock().agent_types)
    }

    /// How many of each pillar.
    pub fn by_pillar(&self) -> Vec<(Box<str>, u64)> {
        listed(&self.lock().pillars)
    }

    fn lock(&self) -> MutexGuard<'_, Labels> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(counts: &mut Counts, label: &str) {
    match counts.get_mut(label) {
        Some(count) => *count += 1,
        None => drop(counts.insert(label.into(), 1)),
    }
}

fn strike(counts: &mut Counts, label: &str) {
    match counts.get_mut(label) {
        Some(count) if *count > 1 => *count -= 1,
        _ => drop(counts.remove(label)),
    }
}

fn listed(counts: &Counts) -> Vec<(Box<str>, u64)> {
    counts.iter().map(|(label, count)| (label.clone(), *count)).collect()
}
