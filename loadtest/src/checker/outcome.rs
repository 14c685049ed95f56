//! What is found when all is over, compared with what clients were told.

use std::collections::{HashMap, HashSet};

use super::rides::{Alighted, Ride, Story};
use super::{Rule, Verdict};
use crate::history::Answer;
use crate::history::boardings::{BoardingAction, BoardingHistory};

/// Passengers and vehicles as they were found when all was over.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    /// Of each passenger.
    pub(crate) passengers: Vec<PassengerEnd>,
    /// Of each vehicle.
    pub(crate) manifests: Vec<Manifest>,
}

/// How a passenger ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PassengerEnd {
    pub(crate) state: PassengerState,
    pub(crate) vehicle: Option<u32>,
    pub(crate) fence: Option<u64>,
}

/// The state of a passenger, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PassengerState {
    /// Nobody boarded this passenger.
    NeverBoarded,
    Boarded,
    Alighted,
}

/// Who is on board of a vehicle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) seats_left: u32,
    pub(crate) passengers: Vec<u32>,
}

impl Outcome {
    /// Judges the end of the passenger whose story this is, and counts what it resolves.
    pub(crate) fn judge_passenger(&self, story: Story<'_>, rides: &[Ride], verdict: &mut Verdict) {
        let Some(end) = self.passengers.get(story.passenger() as usize) else { return };
        let blame = |verdict: &mut Verdict, operations: &[u32]| {
            let subject = || format!("{} is found as {end:?}", story.subject());
            verdict.blame(Rule::EndAgrees, subject, operations);
        };
        match rides {
            [] if !end.may_be_unheard_of(story) => {
                let operations: Vec<u32> = story.iter().map(|(number, _)| number).take(2).collect();
                blame(verdict, &operations);
            }
            [] => {}
            rides => {
                for ride in rides.iter().filter(|ride| !end.agrees(ride)) {
                    blame(verdict, &[ride.operation]);
                }
            }
        }
    }

    /// Judges the passengers that nobody asked about: they still wait.
    pub(crate) fn judge_others(&self, asked_about: &HashSet<u32>, verdict: &mut Verdict) {
        for (number, end) in self.passengers.iter().enumerate() {
            if end.state != PassengerState::NeverBoarded && !asked_about.contains(&(number as u32)) {
                let subject = || format!("passenger {number}, whom nobody asked for, is found as {end:?}");
                verdict.blame(Rule::EndAgrees, subject, &[]);
            }
        }
    }

    /// Judges the manifests: each lists exactly those that are found on board, and leaves the other seats.
    pub(crate) fn judge_manifests(&self, history: &BoardingHistory, verdict: &mut Verdict) {
        let mut on_board: HashMap<u32, Vec<u32>> = HashMap::new();
        for (number, end) in self.passengers.iter().enumerate() {
            if let (PassengerState::Boarded, Some(vehicle)) = (end.state, end.vehicle) {
                on_board.entry(vehicle).or_default().push(number as u32);
            }
        }
        for (vehicle, manifest) in self.manifests.iter().enumerate() {
            let expected = on_board.remove(&(vehicle as u32)).unwrap_or_default();
            let capacity = history.capacities.get(vehicle).copied().unwrap_or(0);
            let mut listed = manifest.passengers.clone();
            listed.sort_unstable();
            let seats = listed.len() as u64 + u64::from(manifest.seats_left);
            if listed != expected || seats != u64::from(capacity) {
                let subject = || {
                    format!(
                        "vehicle {vehicle} lists {listed:?} and {} seats left of {capacity}, and {expected:?} are found on board",
                        manifest.seats_left
                    )
                };
                verdict.blame(Rule::EndAgrees, subject, &[]);
            }
        }
        for (vehicle, passengers) in on_board {
            let subject = || format!("{passengers:?} are on board of vehicle {vehicle}, which is none");
            verdict.blame(Rule::EndAgrees, subject, &[]);
        }
    }
}

impl PassengerEnd {
    /// Whether it is what the client of `ride` was told.
    fn agrees(&self, ride: &Ride) -> bool {
        let state = match ride.alighted {
            Alighted::No => self.state == PassengerState::Boarded,
            Alighted::Maybe => self.state != PassengerState::NeverBoarded,
            Alighted::Yes => self.state == PassengerState::Alighted,
        };
        let of_this_ride = self.vehicle == Some(ride.vehicle) && self.fence == Some(ride.fence);
        // What is kept of a ride that is over is not promised.
        let forgotten = self.vehicle.is_none() && self.fence.is_none();
        state && (of_this_ride || self.state == PassengerState::Alighted && forgotten)
    }

    /// Whether it can be so although no boarding was confirmed: if the vehicle asked and had no answer.
    fn may_be_unheard_of(&self, story: Story<'_>) -> bool {
        match self.state {
            PassengerState::NeverBoarded => true,
            PassengerState::Alighted => false,
            PassengerState::Boarded => story.iter().any(|(_, operation)| {
                let unknown =
                    matches!(operation.action, BoardingAction::Board { answer: Answer::Unknown, .. });
                unknown && self.vehicle == Some(operation.vehicle)
            }),
        }
    }
}
