//! A fleet in a box, with any flaw that a test wants.

use crate::checker::{Manifest, Outcome, PassengerEnd, PassengerState};

/// How a fleet is wrong; the default is right.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flaws {
    /// It decides by whether the passenger was waiting a moment before.
    pub(super) get_then_board: bool,
    /// It decides by the seats that were free a moment before.
    pub(super) seats_unguarded: bool,
    /// Whoever asks with whatever fence alights a passenger.
    pub(super) alight_unchecked: bool,
    /// A repeated request is a new one.
    pub(super) forgets_requests: bool,
    /// A refusal names the vehicle that asked as the winner.
    pub(super) wrong_winner: bool,
    /// What was confirmed is not always kept.
    pub(super) forgets_boardings: bool,
}

#[derive(Debug)]
pub(super) struct Fleet {
    flaws: Flaws,
    capacities: Vec<u32>,
    passengers: Vec<Option<Boarded>>,
    /// Seats taken, of each vehicle.
    taken: Vec<u32>,
    fence: u64,
}

#[derive(Debug, Clone, Copy)]
struct Boarded {
    vehicle: u32,
    fence: u64,
    request: u64,
    alighted: bool,
}

/// What is seen a moment before deciding.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    waiting: bool,
    has_seat: bool,
}

impl Fleet {
    pub(super) fn new(flaws: Flaws, capacities: Vec<u32>, passengers: u32) -> Self {
        let taken = vec![0; capacities.len()];
        Self { flaws, capacities, passengers: vec![None; passengers as usize], taken, fence: 0 }
    }

    pub(super) fn look(&self, vehicle: u32, passenger: u32) -> Look {
        let has_seat = self.taken[vehicle as usize] < self.capacities[vehicle as usize];
        Look { waiting: self.passengers[passenger as usize].is_none(), has_seat }
    }

    /// Answers the fence, or who boarded instead; `seen` is what it saw a moment before.
    pub(super) fn board(
        &mut self,
        vehicle: u32,
        passenger: u32,
        request: u64,
        seen: Look,
    ) -> Result<u64, Option<u32>> {
        let record = self.passengers[passenger as usize];
        if let Some(known) = record.filter(|known| known.request == request && !self.flaws.forgets_requests) {
            return Ok(known.fence);
        }
        let now = self.look(vehicle, passenger);
        if !(if self.flaws.get_then_board { seen } else { now }).waiting {
            let winner = if self.flaws.wrong_winner { Some(vehicle) } else { record.map(|r| r.vehicle) };
            return Err(winner);
        }
        if !(if self.flaws.seats_unguarded { seen } else { now }).has_seat {
            return Err(None);
        }
        self.fence += 1;
        let fence = self.fence;
        if !(self.flaws.forgets_boardings && fence.is_multiple_of(8)) {
            let boarded = Boarded { vehicle, fence, request, alighted: false };
            self.passengers[passenger as usize] = Some(boarded);
            self.taken[vehicle as usize] += 1;
        }
        Ok(fence)
    }

    /// Whether the passenger alighted.
    pub(super) fn alight(&mut self, passenger: u32, fence: u64) -> bool {
        let unchecked = self.flaws.alight_unchecked;
        let record = self.passengers[passenger as usize].as_mut();
        let Some(boarded) = record.filter(|r| !r.alighted && (unchecked || r.fence == fence)) else {
            return false;
        };
        boarded.alighted = true;
        self.taken[boarded.vehicle as usize] -= 1;
        true
    }

    pub(super) fn outcome(&self) -> Outcome {
        let end = |record: &Option<Boarded>| match record {
            None => PassengerEnd { state: PassengerState::NeverBoarded, vehicle: None, fence: None },
            Some(boarded) => PassengerEnd {
                state: if boarded.alighted { PassengerState::Alighted } else { PassengerState::Boarded },
                vehicle: Some(boarded.vehicle),
                fence: Some(boarded.fence),
            },
        };
        let manifest = |(vehicle, capacity): (usize, &u32)| {
            let passengers: Vec<u32> = self.on_board(vehicle as u32).collect();
            Manifest { seats_left: capacity.saturating_sub(passengers.len() as u32), passengers }
        };
        Outcome {
            passengers: self.passengers.iter().map(end).collect(),
            manifests: self.capacities.iter().enumerate().map(manifest).collect(),
        }
    }

    fn on_board(&self, vehicle: u32) -> impl Iterator<Item = u32> {
        let records = self.passengers.iter().enumerate();
        let on_board = records.filter(move |(_, record)| {
            record.is_some_and(|record| record.vehicle == vehicle && !record.alighted)
        });
        on_board.map(|(number, _)| number as u32)
    }
}
