//! One passenger as the memory repository keeps it, and what can be decided from that alone.

use signalbox_protocol::RequestId;
use signalbox_protocol::control::BoardingDenial;
use signalbox_protocol::fleet::{Passenger, PassengerState};
use signalbox_protocol::timestamp::Timestamp;

use crate::error::Denied;
use crate::machine::{Change, Refused};
use crate::repository::{Boarded, Boarding};
use crate::{Actor, Error};

/// A passenger, and what only boarding needs to know.
#[derive(Debug)]
pub(super) struct Record {
    /// As it is told.
    pub(super) passenger: Passenger,
    /// The greatest fence that anybody showed.
    pub(super) shown: u64,
    /// How the passenger was boarded.
    pub(super) granted: Option<Granted>,
}

/// A boarding that happened.
#[derive(Debug)]
pub(super) struct Granted {
    /// Subject and request id.
    pub(super) request: Option<(String, RequestId)>,
    /// What was answered.
    pub(super) answer: Boarded,
}

impl Record {
    /// A refusal of this passenger.
    pub(super) fn denied(&self, reason: BoardingDenial) -> Error {
        let (state, boarded_by) = (Some(self.passenger.state), self.passenger.vehicle_id.clone());
        Error::Denied(Denied { reason, state, boarded_by })
    }

    /// The answer to an earlier try of the same request.
    pub(super) fn answered(&self, actor: &Actor, boarding: &Boarding) -> Option<Boarded> {
        let granted = self.granted.as_ref()?;
        let (subject, request_id) = granted.request.as_ref()?;
        let same = *subject == actor.subject
            && actor.request_id.as_ref() == Some(request_id)
            && self.passenger.vehicle_id.as_ref() == Some(&boarding.vehicle_id);
        same.then_some(granted.answer)
    }

    /// The state after a boarding, unless the passenger's state or time denies it.
    pub(super) fn boardable(&self, now: Timestamp) -> Result<PassengerState, Error> {
        let overdue = self.passenger.expires_at.is_some_and(|end| end <= now);
        match Change::Board.after(self.passenger.state) {
            Ok(_) if overdue => Err(Error::Denied(Denied {
                reason: BoardingDenial::State,
                state: Some(PassengerState::Expired),
                boarded_by: None,
            })),
            Ok(boarded) => Ok(boarded),
            Err(Refused { state: PassengerState::Boarded, .. }) => Err(self.denied(BoardingDenial::Boarded)),
            Err(_) => Err(self.denied(BoardingDenial::State)),
        }
    }
}
