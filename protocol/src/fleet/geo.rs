//! Places on the globe: WGS 84, in degrees.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Furthest from the equator that a place may be, in degrees: where the Mercator square ends. The
/// geographic index of Redis takes nothing beyond it.
pub const LATITUDE_MAX: f64 = 85.051_128_78;

/// Metres: the mean radius of the globe as the geographic index of Redis has it (`geohash_helper.c`).
const RADIUS_M: f64 = 6_372_797.560_856;

/// Numbers that are no place.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
#[error("a position has a lat of -85.05112878 to 85.05112878 and a lon of -180 to 180 degrees")]
pub struct InvalidGeoPoint;

#[derive(Deserialize)]
struct Unchecked {
    lat: f64,
    lon: f64,
}

/// A place: `{"lat": .., "lon": ..}`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct GeoPoint {
    /// Degrees north.
    lat: f64,
    /// Degrees east.
    lon: f64,
}

impl TryFrom<Unchecked> for GeoPoint {
    type Error = InvalidGeoPoint;

    fn try_from(Unchecked { lat, lon }: Unchecked) -> Result<Self, InvalidGeoPoint> {
        Self::try_new(lat, lon)
    }
}

impl GeoPoint {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`InvalidGeoPoint`] when one is no number or off the map.
    pub fn try_new(lat: f64, lon: f64) -> Result<Self, InvalidGeoPoint> {
        if lat.abs() <= LATITUDE_MAX && lon.abs() <= 180.0 {
            Ok(Self { lat, lon })
        } else {
            Err(InvalidGeoPoint)
        }
    }

    /// Degrees north.
    pub fn lat(self) -> f64 {
        self.lat
    }

    /// Degrees east.
    pub fn lon(self) -> f64 {
        self.lon
    }

    /// Metres along the great circle, by the haversine formula.
    pub fn distance_m(self, other: Self) -> f64 {
        let [lat, other_lat] = [self.lat, other.lat].map(f64::to_radians);
        let half_chord = |radians: f64| (radians / 2.0).sin().powi(2);
        let of_lon = half_chord((other.lon - self.lon).to_radians());
        let square = half_chord(other_lat - lat) + lat.cos() * other_lat.cos() * of_lon;
        2.0 * RADIUS_M * square.sqrt().min(1.0).asin()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_off_the_map_is_no_place() {
        for (lat, lon) in [(0.0, 0.0), (85.05, 180.0), (-85.05, -180.0), (13.1, -59.6)] {
            assert!(GeoPoint::try_new(lat, lon).is_ok(), "{lat} {lon}");
        }
        for (lat, lon) in [(90.0, 0.0), (0.0, 180.1), (f64::NAN, 0.0), (0.0, f64::NAN), (f64::INFINITY, 0.0)]
        {
            assert_eq!(GeoPoint::try_new(lat, lon), Err(InvalidGeoPoint), "{lat} {lon}");
        }
        let json = r#"{"lat":13.1,"lon":-59.6}"#;
        let place: GeoPoint = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&place).unwrap(), json);
        assert!(serde_json::from_str::<GeoPoint>(r#"{"lat":91,"lon":0}"#).is_err());
    }

    #[test]
    fn distances_are_those_of_redis() {
        // From `GEODIST` of Redis 7.0, the example of its documentation: Palermo and Catania.
        let [palermo, catania] = [(38.115_556, 13.361_389), (37.502_669, 15.087_269)]
            .map(|(lat, lon)| GeoPoint::try_new(lat, lon).unwrap());
        assert!((palermo.distance_m(catania) - 166_274.15).abs() < 1.0);
        assert!(palermo.distance_m(palermo).abs() < 1e-9);
        let [west, east] = [-179.999, 179.999].map(|lon| GeoPoint::try_new(0.0, lon).unwrap());
        assert!(west.distance_m(east) < 250.0, "across the date line");
    }
}
