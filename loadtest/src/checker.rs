//! Judges a history: was a promise broken, in whatever order things really happened?
//!
//! Nobody outside knows when between question and answer a node acted, nor whether it acted at all when no
//! answer came. So every rule uses only what is certain, and a history that a correct cluster can produce
//! is never blamed. Each rule sorts what it needs and passes over it once: a million operations take
//! seconds.

pub(crate) mod boardings;
mod fences;
mod grants;
mod holders;
pub(crate) mod locks;
mod outcome;
mod rides;
mod seats;
mod verdict;

pub(crate) use outcome::{Manifest, Outcome, PassengerEnd, PassengerState};
pub(crate) use verdict::{Rule, Verdict};

#[cfg(test)]
mod redis_locks;
#[cfg(test)]
mod simulation;
