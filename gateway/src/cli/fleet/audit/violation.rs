//! What must never happen, and how it is told.

use signalbox_protocol::{PassengerId, VehicleId};
use thiserror::Error;

use super::Change;

/// One boarding of a passenger; two differ in the vehicle or in the fence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli::fleet) struct Boarding {
    pub(in crate::cli::fleet) vehicle: VehicleId,
    pub(in crate::cli::fleet) fence: u64,
}

/// A broken promise of the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(in crate::cli::fleet) enum Violation {
    #[error(
        "{passenger} was boarded twice: by {} with fence {}, and by {} with fence {}",
        first.vehicle, first.fence, second.vehicle, second.fence
    )]
    BoardedByTwo { passenger: PassengerId, first: Boarding, second: Boarding },
    #[error("{vehicle} has {aboard} on board and {capacity} seats")]
    OverCapacity { vehicle: VehicleId, aboard: usize, capacity: u32 },
    #[error(
        "the manifest of {vehicle} is not what its conductor was told: on it alone {only_told:?}, missing \
         {only_believed:?}; taken and free seats are {seats} of {capacity}"
    )]
    Manifest {
        vehicle: VehicleId,
        only_told: Vec<PassengerId>,
        only_believed: Vec<PassengerId>,
        seats: u64,
        capacity: u32,
    },
    #[error("{stream} announced {passenger} as {then} after {before}")]
    OutOfOrder { stream: &'static str, passenger: PassengerId, before: Change, then: Change },
    #[error("{passenger} was boarded, and announced as cancelled or expired")]
    BoardedAfterAll { passenger: PassengerId },
    #[error("{passenger}, whom {vehicle} had boarded, was not let off: {why}")]
    NotLetOff { passenger: PassengerId, vehicle: VehicleId, why: String },
}
