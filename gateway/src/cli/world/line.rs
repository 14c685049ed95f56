//! A line on the map, measured in metres from its start.
//!
//! Between two points it is straight in degrees, which at the length of a street is straight enough.

use signalbox_protocol::fleet::{GeoPoint, LATITUDE_MAX};
use thiserror::Error;

/// Metres of one degree of latitude, on the globe of [`GeoPoint::distance_m`].
const METRES_PER_DEGREE: f64 = 111_226.3;

/// Points that make no line.
#[derive(Debug, Error, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum InvalidLine {
    #[error("a line has at least two different points")]
    TooShort,
    #[error("a line must not cross the date line")]
    AcrossTheDateLine,
}

/// A line through at least two different points.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) struct Line {
    points: Vec<GeoPoint>,
    /// Metres from the start, for each point.
    metres: Vec<f64>,
}

impl Line {
    pub(in crate::cli) fn try_new(points: Vec<GeoPoint>) -> Result<Self, InvalidLine> {
        let mut metres = vec![0.0];
        let mut length = 0.0;
        for pair in points.windows(2) {
            if (pair[0].lon() - pair[1].lon()).abs() > 180.0 {
                return Err(InvalidLine::AcrossTheDateLine);
            }
            length += pair[0].distance_m(pair[1]);
            metres.push(length);
        }
        if length > 0.0 { Ok(Self { points, metres }) } else { Err(InvalidLine::TooShort) }
    }

    pub(in crate::cli) fn length_m(&self) -> f64 {
        self.metres.last().copied().unwrap_or(0.0)
    }

    /// The place that is so many metres from the start; before the start it is the start, behind the end the end.
    pub(in crate::cli) fn at(&self, metres: f64) -> GeoPoint {
        let metres = metres.clamp(0.0, self.length_m());
        let after = self.metres.partition_point(|&so_far| so_far <= metres).clamp(1, self.points.len() - 1);
        let (from, to) = (self.points[after - 1], self.points[after]);
        let step = self.metres[after] - self.metres[after - 1];
        let part = if step > 0.0 { (metres - self.metres[after - 1]) / step } else { 0.0 };
        point(from.lat() + part * (to.lat() - from.lat()), from.lon() + part * (to.lon() - from.lon()))
    }

    /// How many metres from the start the line comes nearest to `place`.
    pub(in crate::cli) fn nearest(&self, place: GeoPoint) -> f64 {
        let candidates = (1..self.points.len()).map(|to| {
            let part = part_nearest(self.points[to - 1], self.points[to], place);
            let metres = self.metres[to - 1] + part * (self.metres[to] - self.metres[to - 1]);
            (self.at(metres).distance_m(place), metres)
        });
        candidates.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(0.0, |(_, metres)| metres)
    }
}

/// Where between `from` (0) and `to` (1) the place nearest to `place` is.
fn part_nearest(from: GeoPoint, to: GeoPoint, place: GeoPoint) -> f64 {
    let shrink = from.lat().to_radians().cos();
    let away = |p: GeoPoint| ((p.lon() - from.lon()) * shrink, p.lat() - from.lat());
    let ((to_x, to_y), (x, y)) = (away(to), away(place));
    let square = to_x * to_x + to_y * to_y;
    if square > 0.0 { ((x * to_x + y * to_y) / square).clamp(0.0, 1.0) } else { 0.0 }
}

/// The place that is so many metres north and east of `place`.
pub(in crate::cli) fn moved(place: GeoPoint, north_m: f64, east_m: f64) -> GeoPoint {
    let shrink = place.lat().to_radians().cos().max(1e-6);
    point(place.lat() + north_m / METRES_PER_DEGREE, place.lon() + east_m / (METRES_PER_DEGREE * shrink))
}

/// A place by its degrees, to a tenth of a metre; what falls off the map is put on its edge.
fn point(lat: f64, lon: f64) -> GeoPoint {
    let rounded = |degrees: f64| (degrees * 1e6).round() / 1e6;
    let (lat, lon) = (rounded(lat).clamp(-LATITUDE_MAX, LATITUDE_MAX), rounded(lon).clamp(-180.0, 180.0));
    GeoPoint::try_new(lat, lon).expect("clamped to the map, and made of numbers")
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, proptest};

    use super::*;

    fn line(points: &[(f64, f64)]) -> Result<Line, InvalidLine> {
        Line::try_new(points.iter().map(|&(lat, lon)| GeoPoint::try_new(lat, lon).unwrap()).collect())
    }

    #[test]
    fn points_without_a_way_between_them_are_no_line() {
        for points in [&[][..], &[(1.0, 1.0)], &[(1.0, 1.0), (1.0, 1.0)]] {
            assert_eq!(line(points), Err(InvalidLine::TooShort));
        }
        assert_eq!(line(&[(0.0, 179.9), (0.0, -179.9)]), Err(InvalidLine::AcrossTheDateLine));
    }

    #[test]
    fn a_line_is_walked_by_metres() {
        let line = line(&[(0.0, 0.0), (0.0, 0.01), (0.0, 0.01), (0.01, 0.01)]).unwrap();
        let length = line.length_m();
        assert!((length - 0.02 * METRES_PER_DEGREE).abs() < 0.1, "{length}");
        for (metres, lat, lon) in [
            (-1.0, 0.0, 0.0),
            (0.0, 0.0, 0.0),
            (length / 4.0, 0.0, 0.005),
            (length / 2.0, 0.0, 0.01),
            (length * 0.75, 0.005, 0.01),
            (length, 0.01, 0.01),
            (length + 1.0, 0.01, 0.01),
        ] {
            let place = line.at(metres);
            assert!(
                (place.lat() - lat).abs() < 2e-6 && (place.lon() - lon).abs() < 2e-6,
                "{metres}: {place:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_place_on_the_line_is_found_again(
            steps in proptest::collection::vec((0.0005_f64..0.01, -0.01_f64..0.01), 2..20),
            part in 0.0_f64..1.0,
        ) {
            // Always eastward, so that no place is passed twice.
            let mut at = (47.0, -27.0);
            let mut points = vec![at];
            for (east, north) in steps {
                at = (at.0 + north, at.1 + east);
                points.push(at);
            }
            let line = line(&points).unwrap();
            let metres = part * line.length_m();
            let found = line.nearest(line.at(metres));
            prop_assert!((found - metres).abs() < 1.0, "{found} for {metres}");
        }

        #[test]
        fn a_move_goes_as_far_as_it_says(lat in -60.0_f64..60.0, north in -500.0_f64..500.0, east in -500.0_f64..500.0) {
            let from = GeoPoint::try_new(lat, 20.0).unwrap();
            let went = from.distance_m(moved(from, north, east));
            prop_assert!((went - north.hypot(east)).abs() < 0.5, "{went}");
        }
    }
}
