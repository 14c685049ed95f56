//! `boarding:*` and `vehicle:query_commuters`.

use serde::{Deserialize, Serialize};

use crate::error::Fault;
use crate::fleet::passenger::pool_of;
use crate::fleet::{GeoPoint, Passenger, Pool};
use crate::{PassengerId, RequestId, VehicleId};

/// `vehicle:query_commuters`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct QueryCommuters {
    /// The route; or the depot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route_id: Option<String>,
    /// The depot; or the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depot_id: Option<String>,
    /// Where the vehicle is.
    pub position: GeoPoint,
    /// How far around, in kilometres.
    #[serde(default = "default_radius_km")]
    pub radius_km: f64,
    /// How many at most: pass the free seats.
    #[serde(default = "default_max_results")]
    pub max_results: u32,
}

fn default_radius_km() -> f64 {
    crate::limits::QUERY_RADIUS_KM
}

fn default_max_results() -> u32 {
    crate::limits::QUERY_RESULTS
}

impl QueryCommuters {
    /// The pool that is asked.
    ///
    /// # Errors
    /// [`InvalidData`](crate::ErrorCode::InvalidData) naming the field when none, both or an impossible one is given.
    pub fn pool(&self) -> Result<Pool, Fault> {
        pool_of(None, self.route_id.as_deref(), self.depot_id.as_deref())
    }
}

/// A waiting passenger as an answer tells it, with the names that the sources use as well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Found<P = Passenger> {
    /// The passenger.
    #[serde(flatten)]
    pub passenger: P,
    /// From the asker's position, in metres.
    pub distance_m: f64,
}

/// `vehicle:commuters_found`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct CommutersFound<P = Passenger> {
    /// Nearest first.
    pub commuters: Vec<Found<P>>,
    /// Whether the answer came from the cache.
    pub cached: bool,
}

/// `boarding:request`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct BoardingRequest {
    /// Who is to be boarded.
    pub passenger_id: PassengerId,
    /// By which vehicle; the sender if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vehicle_id: Option<VehicleId>,
    /// Tells a retry from a new request; the message's id if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// The fence of a lock that the asker holds on the passenger. Refused as stale if a greater one was shown
    /// before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<u64>,
}

/// `boarding:confirmed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct BoardingConfirmed {
    /// Who was boarded.
    pub passenger_id: PassengerId,
    /// By which vehicle.
    pub vehicle_id: VehicleId,
    /// What alighting will need.
    pub fence: u64,
    /// Seats that were free after it.
    pub seats_left: u32,
}

/// Why a boarding or alighting was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum BoardingDenial {
    /// No such passenger or vehicle.
    NotFound,
    /// The passenger is in a state that does not allow it.
    State,
    /// Another boarding has the passenger.
    Boarded,
    /// The vehicle has no seat.
    Full,
    /// The fence is not, or no longer, the one that counts.
    StaleFence,
}

/// `boarding:denied`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct BoardingDenied {
    /// Whom it was about.
    pub passenger_id: PassengerId,
    /// Why.
    pub reason: BoardingDenial,
    /// The vehicle that has or had the passenger.
    pub boarded_by: Option<VehicleId>,
}

/// `boarding:alight`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct BoardingAlight {
    /// Who is dropped off.
    pub passenger_id: PassengerId,
    /// The boarding's fence.
    pub fence: u64,
}

/// `boarding:alighted`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct BoardingAlighted {
    /// Who was dropped off.
    pub passenger_id: PassengerId,
    /// By which vehicle.
    pub vehicle_id: VehicleId,
}
