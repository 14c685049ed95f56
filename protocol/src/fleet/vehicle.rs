//! Vehicles: what may board, and who is on board.

use serde::{Deserialize, Serialize};

use super::{GeoPoint, Passenger, Pool};
use crate::ids::{PassengerId, VehicleId};

/// What `PUT /api/vehicles/{id}` takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct NewVehicle {
    /// Seats.
    #[cfg_attr(feature = "openapi", schemars(range(min = 1, max = crate::limits::CAPACITY_MAX)))]
    pub capacity: u32,
    /// Where it works now; it may board from any pool.
    #[serde(default)]
    pub pool: Option<Pool>,
    /// Where it was last.
    #[serde(default)]
    pub position: Option<GeoPoint>,
}

/// A vehicle as the API tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Vehicle {
    /// Its id; as an agent it is `vehicle:` and this.
    pub vehicle_id: VehicleId,
    /// Seats.
    pub capacity: u32,
    /// Seats that nobody has.
    pub seats_left: u32,
    /// Where it works now.
    pub pool: Option<Pool>,
    /// Where it was last.
    pub position: Option<GeoPoint>,
    /// Who is on board, in the order of boarding.
    pub manifest: Vec<PassengerId>,
}

/// Who is on board a vehicle, in full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Manifest {
    /// The vehicle.
    pub vehicle_id: VehicleId,
    /// Seats.
    pub capacity: u32,
    /// Seats that nobody has.
    pub seats_left: u32,
    /// Who is on board, in the order of boarding.
    pub passengers: Vec<Passenger>,
}
