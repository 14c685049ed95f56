//! Who waits in an area: a box asked of Strapi, and what the claims know of those in it.

use signalbox_protocol::fleet::{GeoPoint, LATITUDE_MAX, Passenger, PassengerState};

use super::collection::Collection;
use super::filters::Filters;
use super::record::Record;
use super::store::Store;
use crate::Error;
use crate::repository::Area;
use crate::store::StoreError;

/// Metres of a degree of latitude, rather too few: the box must hold the circle.
const METRES_PER_DEGREE: f64 = 111_000.0;
/// How often a circle that holds too many is made smaller, each time by half.
const HALVINGS: u32 = 12;

impl Store {
    /// Who waits in an area, as [`Repository::near`](crate::Repository::near) promises. If the claims are away,
    /// as Strapi alone knows.
    pub(super) async fn waiting_near(&self, area: &Area) -> Result<Vec<Passenger>, Error> {
        let (records, searched_m) = self.records_near(area).await?;
        let said: Vec<_> = records.iter().map(|record| record.passenger.clone()).collect();
        let mut passengers = match self.overlay(records).await {
            Ok(overlaid) => overlaid.passengers,
            Err(Error::Registry(error)) => {
                tracing::debug!(%error, "the claims are away: strapi alone is asked");
                said
            }
            Err(other) => return Err(other),
        };
        passengers.retain(|passenger| passenger.state == PassengerState::Waiting);
        let inside = |passenger: &&Passenger| passenger.position.distance_m(area.center) <= searched_m;
        // Of those in the smaller circle some have boarded, and nobody can say who comes next.
        if searched_m < area.radius_m && passengers.iter().filter(inside).count() < area.limit {
            return Err(self.crowded());
        }
        Ok(passengers)
    }

    /// The records in the box around an area, or, where they are too many, around a smaller circle; and the
    /// radius of that.
    async fn records_near(&self, area: &Area) -> Result<(Vec<Record>, f64), Error> {
        for halving in 0..=HALVINGS {
            let radius_m = area.radius_m / f64::from(2_u32.pow(halving));
            let filters = within(Collection::waiting_in(&area.pool), area.center, radius_m);
            if let Ok(records) = self.collection.all(&filters, self.settings.records_max).await? {
                return Ok((records, radius_m));
            }
        }
        Err(self.crowded())
    }

    fn crowded(&self) -> Error {
        StoreError::Crowded { most: self.settings.records_max }.into()
    }
}

/// The box around a circle: as wide as the circle is at its end nearest to a pole, on both sides of the date
/// line.
fn within(filters: Filters, center: GeoPoint, radius_m: f64) -> Filters {
    let high = radius_m / METRES_PER_DEGREE;
    let [south, north] = [center.lat() - high, center.lat() + high];
    let filters = filters.and("latitude", "$gte", south).and("latitude", "$lte", north);
    let polemost = south.abs().max(north.abs()).min(LATITUDE_MAX);
    let wide = high / polemost.to_radians().cos();
    let [west, east] = [center.lon() - wide, center.lon() + wide];
    match (west < -180.0, east > 180.0) {
        _ if wide >= 180.0 => filters,
        (true, _) => filters.either("longitude", [("$gte", west + 360.0), ("$lte", east)]),
        (_, true) => filters.either("longitude", [("$gte", west), ("$lte", east - 360.0)]),
        _ => filters.and("longitude", "$gte", west).and("longitude", "$lte", east),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of a query by their attributes and operators.
    fn asked(lat: f64, lon: f64, radius_m: f64) -> Vec<(String, f64)> {
        let filters = within(Filters::default(), GeoPoint::try_new(lat, lon).unwrap(), radius_m);
        let read = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap();
            let name = name.replace("%5B", "[").replace("%5D", "]").replace("%24", "$");
            (name.trim_start_matches("filters").to_owned(), value.parse().unwrap())
        };
        filters.as_str().split('&').map(read).collect()
    }

    #[test]
    fn a_box_holds_its_circle() {
        for (lat, lon) in [(0.0, 0.0), (13.1, -59.6), (-60.0, 100.0), (84.0, 10.0)] {
            let center = GeoPoint::try_new(lat, lon).unwrap();
            let box_ = asked(lat, lon, 5_000.0);
            let [south, north, west, east] = [0, 1, 2, 3].map(|number| box_[number].1);
            for (lat, lon) in
                [(south, lon), (north, lon), (lat, west), (lat, east), (north, west), (south, east)]
            {
                let edge = GeoPoint::try_new(lat, lon).unwrap();
                assert!(center.distance_m(edge) >= 5_000.0, "{center:?} {edge:?}");
            }
        }
    }

    #[test]
    fn a_box_across_the_date_line_is_two() {
        let [_, _, west, east] = <[_; 4]>::try_from(asked(0.0, 179.99, 5_000.0)).unwrap();
        assert_eq!(
            (west.0.as_str(), east.0.as_str()),
            ("[$or][0][longitude][$gte]", "[$or][1][longitude][$lte]")
        );
        assert!(west.1 > 179.9 && west.1 < 179.99 && east.1 < -179.9, "{west:?} {east:?}");
        let [_, _, west, east] = <[_; 4]>::try_from(asked(0.0, -179.99, 5_000.0)).unwrap();
        assert!(west.1 > 179.9 && east.1 < -179.9 && east.1 > -179.99, "{west:?} {east:?}");
        assert_eq!(asked(85.0, 0.0, 5_000_000.0).len(), 2, "all around the pole");
    }
}
