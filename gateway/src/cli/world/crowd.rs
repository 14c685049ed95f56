//! Who comes: where passengers wait and where they want to go.

use std::f64::consts::TAU;

use fastrand::Rng;
use signalbox_protocol::fleet::{Direction, GeoPoint, NewPassenger, Pool};
use signalbox_protocol::ids::InvalidId;
use signalbox_protocol::{PassengerId, timestamp::Timestamp};

use super::{Line, Profile, Route, moved};

/// Nobody rides for less, unless the whole line is hardly longer.
const RIDE_M_MIN: f64 = 400.0;
/// How far from the middle of the street, or of a stop, people stand.
const ASIDE_M: f64 = 15.0;
/// How far from the middle of a depot people stand.
const DEPOT_M: f64 = 120.0;

/// Where the passengers of a pool come from.
#[derive(Debug, Clone)]
pub(in crate::cli) enum Ground {
    /// Along a route.
    Route(Route),
    /// Around a depot, to leave by one of its lines.
    Depot { pool: Pool, position: GeoPoint, lines: Vec<Line> },
}

impl Ground {
    pub(in crate::cli) fn pool(&self) -> &Pool {
        match self {
            Self::Route(route) => &route.pool,
            Self::Depot { pool, .. } => pool,
        }
    }
}

/// Makes passengers of some pools, each pool as often as any other.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Crowd {
    grounds: Vec<Ground>,
    inbound_share: f64,
    /// What the ids begin with.
    label: String,
}

impl Crowd {
    /// There has to be a ground.
    pub(in crate::cli) fn new(grounds: Vec<Ground>, profile: Profile, label: String) -> Self {
        Self { grounds, inbound_share: profile.inbound_share(), label }
    }

    /// The next passenger, who gets `number` as part of the id.
    ///
    /// # Errors
    /// When label and pool are too long for an id.
    pub(in crate::cli) fn passenger(
        &self,
        number: usize,
        expires_at: Option<Timestamp>,
        rng: &mut Rng,
    ) -> Result<NewPassenger, InvalidId> {
        let ground = &self.grounds[rng.usize(..self.grounds.len())];
        let (direction, position, destination) = match ground {
            Ground::Route(route) => self.along(route, rng),
            Ground::Depot { position, lines, .. } => from_depot(*position, lines, rng),
        };
        let pool = ground.pool();
        let kind = &pool.kind().as_str()[..1];
        let id = format!("{}-{kind}{}-{number:05}", self.label, pool.id());
        Ok(NewPassenger {
            passenger_id: PassengerId::try_new(&id)?,
            pool: Some(pool.clone()),
            route_id: None,
            depot_id: None,
            direction: Some(direction),
            position,
            destination: Some(destination),
            priority: if rng.u8(..20) == 0 { 5 } else { 0 },
            max_walking_distance_m: Some(f64::from(rng.u32(10..=30) * 10)),
            expires_at,
        })
    }

    /// Somewhere along the line or at a stop of it, to a place further along.
    fn along(&self, route: &Route, rng: &mut Rng) -> (Direction, GeoPoint, GeoPoint) {
        let length = route.line.length_m();
        let ride_min = RIDE_M_MIN.min(length / 2.0);
        let from = rng.f64() * (length - ride_min);
        let to = from + ride_min + rng.f64() * (length - ride_min - from);
        let (from, to) = at_stops(&route.stops, from, to);
        let inbound = rng.f64() < self.inbound_share;
        let (direction, from, to) =
            if inbound { (Direction::Inbound, to, from) } else { (Direction::Outbound, from, to) };
        (direction, aside(route.line.at(from), ASIDE_M, rng), route.line.at(to))
    }
}

fn from_depot(depot: GeoPoint, lines: &[Line], rng: &mut Rng) -> (Direction, GeoPoint, GeoPoint) {
    let line = &lines[rng.usize(..lines.len())];
    let ride_min = RIDE_M_MIN.min(line.length_m() / 2.0);
    let to = ride_min + rng.f64() * (line.length_m() - ride_min);
    (Direction::Outbound, aside(depot, DEPOT_M, rng), line.at(to))
}

/// The stops nearest to two places along the line, two different ones. Without stops the places themselves.
fn at_stops(stops: &[f64], from: f64, to: f64) -> (f64, f64) {
    if stops.len() < 2 {
        return (from, to);
    }
    let nearest = |metres: f64| {
        let behind = stops.partition_point(|stop| *stop < metres).min(stops.len() - 1);
        let before = behind.saturating_sub(1);
        if metres - stops[before] < stops[behind] - metres { before } else { behind }
    };
    let from = nearest(from).min(stops.len() - 2);
    (stops[from], stops[nearest(to).max(from + 1)])
}

/// A place at most so many metres away, anywhere in the circle alike.
fn aside(place: GeoPoint, metres: f64, rng: &mut Rng) -> GeoPoint {
    let (angle, away) = (rng.f64() * TAU, rng.f64().sqrt() * metres);
    moved(place, away * angle.cos(), away * angle.sin())
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, prop_assert_eq, proptest};

    use super::super::Network;
    use super::*;

    fn drawn(crowd: &Crowd, count: usize, seed: u64) -> Vec<NewPassenger> {
        let mut rng = Rng::with_seed(seed);
        (0..count).map(|number| crowd.passenger(number, None, &mut rng).unwrap()).collect()
    }

    fn crowd(profile: Profile) -> Crowd {
        let bay = Network::lantern_bay();
        let depot = bay.depot("4").unwrap();
        let lines = bay.lines_from(&depot);
        let depot = Ground::Depot { pool: depot.pool, position: depot.position, lines };
        Crowd::new(vec![Ground::Route(bay.route("12").unwrap()), depot], profile, "s7".to_owned())
    }

    /// What this seed gives must never change: people repeat runs across versions.
    #[test]
    fn a_seed_stands_for_its_passengers() {
        let told = drawn(&crowd(Profile::Commute), 3, 42);
        let place = |place: GeoPoint| format!("{},{}", place.lat(), place.lon());
        let told = told
            .iter()
            .map(|p| format!("{} {} {}", p.passenger_id, place(p.position), place(p.destination.unwrap())));
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                "s7-d4-00000 47.192279,-27.43216 47.187799,-27.370072",
                "s7-r12-00001 47.186173,-27.371461 47.182086,-27.375525",
                "s7-d4-00002 47.191533,-27.430962 47.236134,-27.451974",
            ]
        );
    }

    #[test]
    fn passengers_of_a_route_wait_at_its_stops_and_ride_on() {
        let route = Network::lantern_bay().route("12").unwrap();
        let crowd = Crowd::new(vec![Ground::Route(route.clone())], Profile::Commute, "x".to_owned());
        let near_stop = |metres: f64| route.stops.iter().any(|stop| (stop - metres).abs() < ASIDE_M + 2.0);
        for passenger in drawn(&crowd, 2_000, 1) {
            let destination = passenger.destination.unwrap();
            let (from, to) = (route.line.nearest(passenger.position), route.line.nearest(destination));
            assert!(near_stop(from) && near_stop(to), "{from} {to}");
            assert!(route.line.at(from).distance_m(passenger.position) < ASIDE_M + 1.0);
            assert_eq!(to > from, passenger.direction == Some(Direction::Outbound), "{from} {to}");
            assert!((to - from).abs() > RIDE_M_MIN - 2.0 * ASIDE_M, "{from} {to}");
        }
    }

    #[test]
    fn pools_and_directions_get_their_share() {
        let passengers = drawn(&crowd(Profile::Morning), 4_000, 2);
        let of_depot = |passenger: &&NewPassenger| passenger.pool.as_ref().unwrap().as_str() == "depot:4";
        let depot = passengers.iter().filter(of_depot).count();
        assert!((1_850..2_150).contains(&depot), "{depot}");
        let inbound = |p: &&NewPassenger| p.direction == Some(Direction::Inbound);
        let inbound = passengers.iter().filter(inbound).count();
        // Two thirds of the half that belongs to the route.
        assert!((1_230..1_430).contains(&inbound), "{inbound}");
        assert!(passengers[0].passenger_id.as_str().starts_with("s7-"));
    }

    proptest! {
        #[test]
        fn any_line_has_room_for_its_passengers(seed: u64, east in 0.00001_f64..0.2, stops in 0_u32..5) {
            let text = format!(
                r#"{{"type":"Feature","properties":{{"route_id":"1","stops":{}}},"geometry":
                    {{"type":"LineString","coordinates":[[0,50],[{east},50]]}}}}"#,
                if stops == 1 { 0 } else { stops }
            );
            let route = Network::read(&text).unwrap().route("1").unwrap();
            let crowd = Crowd::new(vec![Ground::Route(route)], Profile::Flat, "x".to_owned());
            let passengers = drawn(&crowd, 20, seed);
            prop_assert_eq!(&passengers, &drawn(&crowd, 20, seed));
            for passenger in passengers {
                let along = passenger.destination.unwrap().lon();
                prop_assert!((-1e-6..=east + 1e-6).contains(&along));
            }
        }
    }
}
