//! Which entry answers a query.

use signalbox_protocol::fleet::{GeoPoint, Pool};

use crate::repository::Area;

/// Steps of a degree: four decimals.
const STEPS_PER_DEGREE: f64 = 10_000.0;

/// Names an entry of one tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) pool: Pool,
    /// The position in steps, north and east.
    lat: i32,
    lon: i32,
    /// The radius, bit by bit: an answer is for that one alone.
    radius: u64,
}

impl Key {
    pub(super) fn of(area: &Area) -> Self {
        let steps = |degrees: f64| (degrees * STEPS_PER_DEGREE).round() as i32;
        Self {
            pool: area.pool.clone(),
            lat: steps(area.center.lat()),
            lon: steps(area.center.lon()),
            radius: area.radius_m.to_bits(),
        }
    }

    /// The position that all those of the entry round to.
    pub(super) fn center(&self) -> GeoPoint {
        let [lat, lon] = [self.lat, self.lon].map(|steps| f64::from(steps) / STEPS_PER_DEGREE);
        GeoPoint::try_new(lat, lon).expect("a place rounds to a place: the map's edges round inwards")
    }

    /// As it stands in the name of a key of Redis.
    pub(super) fn name(&self) -> String {
        format!("{}:{}:{}:{:x}", self.pool, self.lat, self.lon, self.radius)
    }
}

#[cfg(test)]
mod tests {
    use signalbox_protocol::fleet::LATITUDE_MAX;

    use super::*;

    fn area(lat: f64, lon: f64, radius_m: f64) -> Area {
        let center = GeoPoint::try_new(lat, lon).unwrap();
        Area { pool: Pool::try_new("route:12").unwrap(), center, radius_m, limit: 10 }
    }

    #[test]
    fn positions_share_a_key_to_the_fourth_decimal() {
        let key = Key::of(&area(13.10004, -59.60004, 200.0));
        assert_eq!(key, Key::of(&area(13.1, -59.6, 200.0)));
        assert_eq!(key.name(), "route:12:131000:-596000:4069000000000000");
        assert_eq!((key.center().lat(), key.center().lon()), (13.1, -59.6));
        for other in [area(13.10006, -59.6, 200.0), area(13.1, -59.6001, 200.0), area(13.1, -59.6, 200.1)] {
            assert_ne!(key, Key::of(&other));
        }
        let depot = Area { pool: Pool::try_new("depot:12").unwrap(), ..area(13.1, -59.6, 200.0) };
        assert_ne!(key, Key::of(&depot));
    }

    #[test]
    fn the_edges_of_the_map_round_to_places() {
        for (lat, lon) in
            [(LATITUDE_MAX, 180.0), (-LATITUDE_MAX, -180.0), (0.0, 179.999_99), (0.0, -0.000_01)]
        {
            let center = Key::of(&area(lat, lon, 1.0)).center();
            assert!(center.distance_m(GeoPoint::try_new(lat, lon).unwrap()) < 8.0, "{lat} {lon}");
        }
    }
}
