//! Why something was not done, told apart by what the asker can do about it.

use signalbox_protocol::control::BoardingDenial;
use signalbox_protocol::error::Fault;
use signalbox_protocol::fleet::PassengerState;
use signalbox_protocol::{PassengerId, VehicleId};
use thiserror::Error;

/// What was not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// There is no such passenger.
    Passenger,
    /// There is no such vehicle.
    Vehicle,
}

/// A boarding or alighting that was refused; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// Why.
    pub reason: BoardingDenial,
    /// The passenger's state, if there is such a passenger.
    pub state: Option<PassengerState>,
    /// The vehicle that has or had the passenger.
    pub boarded_by: Option<VehicleId>,
}

/// Why something was not done. Unless it says otherwise, nothing was changed and nobody was told.
#[derive(Debug, Error)]
pub enum Error {
    /// It can't be as it was asked for; the fault names the field.
    #[error("{0}")]
    Invalid(#[source] Fault),
    /// One element of a list can't be; nothing of the list was taken.
    #[error("element {index}: {fault}")]
    InvalidElement {
        /// Its place in the list, from 0.
        index: usize,
        /// What is wrong with it.
        #[source]
        fault: Fault,
    },
    /// What was asked about does not exist.
    #[error("there is no such {0:?}")]
    NotFound(Missing),
    /// There is a passenger of that id.
    #[error("the passenger {0} exists")]
    Exists(PassengerId),
    /// The boarding or alighting was refused.
    #[error("refused: {0:?}")]
    Denied(Denied),
    /// The passenger's state does not allow it.
    #[error("a passenger who is {} can't be cancelled", .0.as_str())]
    State(PassengerState),
    /// The capacity is below the number on board.
    #[error("{on_board} passengers are on board")]
    CapacityBelowOnBoard {
        /// How many.
        on_board: u32,
    },
    /// The registry could not do it; see there what that means for the change.
    #[error(transparent)]
    Registry(#[from] signalbox_registry::Error),
    /// The store behind the cluster could not do it.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
}
