//! What one listener hears of the pools: each passenger's changes have to come in the order of life.
//!
//! A change that is missing is counted, since a listener that was away misses some; one that goes back in life,
//! or comes again, is a violation whatever was missed.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::Deserialize;
use signalbox_protocol::timestamp::Timestamp;
use signalbox_protocol::{PassengerId, VehicleId};

use super::{Boarding, Violation};

/// What a pool announces of a passenger, in the order of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli::fleet) enum Change {
    /// Known to wait, from a list.
    Listed,
    Spawned,
    PickedUp,
    DroppedOff,
    /// Cancelled or expired: never picked up.
    Gone,
}

impl Change {
    /// The change that a message type announces.
    pub(in crate::cli::fleet) fn of(message_type: &str) -> Option<Self> {
        Some(match message_type {
            "commuter:spawned" | "commuter:spawned_batch" => Self::Spawned,
            "commuter:picked_up" => Self::PickedUp,
            "commuter:dropped_off" => Self::DroppedOff,
            "commuter:cancelled" | "commuter:expired" => Self::Gone,
            _ => return None,
        })
    }

    /// Whether `next` may be announced after this.
    fn may_precede(self, next: Self) -> bool {
        match self {
            Self::Listed => true,
            Self::Spawned => matches!(next, Self::PickedUp | Self::DroppedOff | Self::Gone),
            Self::PickedUp => next == Self::DroppedOff,
            Self::DroppedOff | Self::Gone => false,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Listed => "waiting",
            Self::Spawned => "spawned",
            Self::PickedUp => "picked up",
            Self::DroppedOff => "dropped off",
            Self::Gone => "cancelled or expired",
        })
    }
}

/// One passenger's part of an announcement.
#[derive(Debug, Clone)]
pub(in crate::cli::fleet) struct Announced {
    /// The message, to tell a repeated one from a repeated change.
    pub(in crate::cli::fleet) message_id: String,
    pub(in crate::cli::fleet) change: Change,
    pub(in crate::cli::fleet) facts: Facts,
}

/// What is read of a passenger in an announcement.
#[derive(Debug, Clone, Deserialize)]
pub(in crate::cli::fleet) struct Facts {
    pub(in crate::cli::fleet) passenger_id: PassengerId,
    #[serde(default)]
    pub(in crate::cli::fleet) vehicle_id: Option<VehicleId>,
    #[serde(default)]
    pub(in crate::cli::fleet) fence: Option<u64>,
    #[serde(default)]
    pub(in crate::cli::fleet) spawned_at: Option<Timestamp>,
    #[serde(default)]
    pub(in crate::cli::fleet) boarded_at: Option<Timestamp>,
}

/// What one listener has heard.
#[derive(Debug)]
pub(in crate::cli::fleet) struct Stream {
    name: &'static str,
    passengers: HashMap<PassengerId, Life>,
    waiting: usize,
    aboard: HashMap<VehicleId, Aboard>,
    /// Changes.
    pub(in crate::cli::fleet) heard: u64,
    /// How often the listener was away or too slow.
    pub(in crate::cli::fleet) gaps: u64,
    /// Messages that came again.
    pub(in crate::cli::fleet) repeated: u64,
    /// Changes that should have come before others, and did not.
    pub(in crate::cli::fleet) missed: u64,
}

#[derive(Debug)]
struct Life {
    change: Change,
    message_id: String,
    boarding: Option<Boarding>,
}

#[derive(Debug, Default)]
struct Aboard {
    now: HashSet<PassengerId>,
    most: usize,
}

impl Stream {
    pub(super) fn new(name: &'static str) -> Self {
        let (passengers, aboard) = (HashMap::new(), HashMap::new());
        Self { name, passengers, waiting: 0, aboard, heard: 0, gaps: 0, repeated: 0, missed: 0 }
    }

    /// A passenger who waited before the listener came.
    pub(super) fn listed(&mut self, passenger: PassengerId) {
        self.passengers.entry(passenger).or_insert_with(|| {
            self.waiting += 1;
            Life { change: Change::Listed, message_id: String::new(), boarding: None }
        });
    }

    /// Takes one announcement; the answer is what it breaks.
    pub(super) fn hear(&mut self, announced: &Announced) -> Option<Violation> {
        self.heard += 1;
        let facts = &announced.facts;
        let boarding = facts.vehicle_id.clone().zip(facts.fence);
        let mut boarding = boarding.map(|(vehicle, fence)| Boarding { vehicle, fence });
        let earlier = self.passengers.get(&facts.passenger_id);
        if let Some(life) = earlier {
            if life.message_id == announced.message_id {
                self.repeated += 1;
                return None;
            }
            if let Some(violation) = self.against(life, announced, boarding.as_ref()) {
                return Some(violation);
            }
            boarding = boarding.or_else(|| life.boarding.clone());
        }
        self.count(earlier.map(|life| life.change), announced, boarding.as_ref());
        let life = Life { change: announced.change, message_id: announced.message_id.clone(), boarding };
        self.passengers.insert(facts.passenger_id.clone(), life);
        None
    }

    /// What an announcement breaks after what came before it.
    fn against(&self, life: &Life, announced: &Announced, boarding: Option<&Boarding>) -> Option<Violation> {
        let passenger = &announced.facts.passenger_id;
        if let (Some(first), Some(second)) = (&life.boarding, boarding)
            && first != second
        {
            let (passenger, first, second) = (passenger.clone(), first.clone(), second.clone());
            return Some(Violation::BoardedByTwo { passenger, first, second });
        }
        let (before, then) = (life.change, announced.change);
        let (stream, passenger) = (self.name, passenger.clone());
        (!before.may_precede(then)).then_some(Violation::OutOfOrder { stream, passenger, before, then })
    }

    fn count(&mut self, before: Option<Change>, announced: &Announced, boarding: Option<&Boarding>) {
        let waited = matches!(before, Some(Change::Listed | Change::Spawned));
        let waits = announced.change == Change::Spawned;
        self.waiting = self.waiting + usize::from(waits) - usize::from(waited);
        let skipped = match announced.change {
            Change::Listed | Change::Spawned => false,
            Change::PickedUp | Change::Gone => before.is_none(),
            Change::DroppedOff => before != Some(Change::PickedUp),
        };
        self.missed += u64::from(skipped);
        let Some(boarding) = boarding else { return };
        let aboard = self.aboard.entry(boarding.vehicle.clone()).or_default();
        match announced.change {
            Change::PickedUp => {
                aboard.now.insert(announced.facts.passenger_id.clone());
                aboard.most = aboard.most.max(aboard.now.len());
            }
            Change::DroppedOff => {
                aboard.now.remove(&announced.facts.passenger_id);
            }
            Change::Listed | Change::Spawned | Change::Gone => {}
        }
    }

    /// Those who wait, as far as is known.
    pub(in crate::cli::fleet) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether nothing is known to be missing.
    pub(super) fn is_complete(&self) -> bool {
        self.gaps == 0 && self.missed == 0
    }

    pub(super) fn change_of(&self, passenger: &PassengerId) -> Option<Change> {
        self.passengers.get(passenger).map(|life| life.change)
    }

    /// Every boarding that was announced.
    pub(super) fn boardings(&self) -> impl Iterator<Item = (&PassengerId, &Boarding)> {
        self.passengers.iter().filter_map(|(id, life)| Some((id, life.boarding.as_ref()?)))
    }

    /// The most that were on board at once, by the announcements.
    pub(super) fn most_aboard(&self) -> impl Iterator<Item = (&VehicleId, usize)> {
        self.aboard.iter().map(|(vehicle, aboard)| (vehicle, aboard.most))
    }
}
