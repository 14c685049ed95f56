//! The fleet: who waits, who picks up, and where. The shapes of the API and of the events.

mod geo;
pub(crate) mod passenger;
mod pool;
mod vehicle;

pub use geo::{GeoPoint, InvalidGeoPoint, LATITUDE_MAX};
pub use passenger::{Direction, NewPassenger, Passenger, PassengerEvent, PassengerState};
pub use pool::{InvalidPool, Pool, PoolKind};
pub use vehicle::{Manifest, NewVehicle, Vehicle};
