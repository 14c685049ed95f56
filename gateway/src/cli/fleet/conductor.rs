//! A vehicle's conductor: where it is, who rides, whom to take and who gets off.
//!
//! Decides and keeps count; asks nobody and waits for nothing.

use std::collections::{BTreeMap, HashSet};

use fastrand::Rng;
use signalbox_protocol::PassengerId;
use signalbox_protocol::control::Found;
use signalbox_protocol::fleet::{Direction, GeoPoint};

use crate::cli::world::Line;

/// Who is on board, and where the vehicle is on its line.
#[derive(Debug)]
pub(super) struct Conductor {
    line: Line,
    capacity: u32,
    heading: Direction,
    /// From the start of the line.
    metres: f64,
    driven_m: f64,
    riders: BTreeMap<PassengerId, Rider>,
    /// Those whom the gateway denied and who still turned up since. They are not asked for again.
    denied: HashSet<PassengerId>,
}

/// Somebody on board.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rider {
    /// What alighting needs.
    pub(super) fence: u64,
    /// Where along the line the passenger gets off.
    pub(super) to_m: f64,
}

/// Somebody to be asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Choice {
    pub(super) passenger_id: PassengerId,
    pub(super) to_m: f64,
}

impl Conductor {
    /// Somewhere on the line, heading either way.
    pub(super) fn new(line: Line, capacity: u32, rng: &mut Rng) -> Self {
        let metres = rng.f64() * line.length_m();
        let heading = if rng.bool() { Direction::Outbound } else { Direction::Inbound };
        let (riders, denied) = (BTreeMap::new(), HashSet::new());
        Self { line, capacity, heading, metres, driven_m: 0.0, riders, denied }
    }

    pub(super) fn position(&self) -> GeoPoint {
        self.line.at(self.metres)
    }

    pub(super) fn heading(&self) -> Direction {
        self.heading
    }

    pub(super) fn driven_m(&self) -> f64 {
        self.driven_m
    }

    pub(super) fn free_seats(&self) -> u32 {
        self.capacity.saturating_sub(u32::try_from(self.riders.len()).unwrap_or(u32::MAX))
    }

    pub(super) fn riders(&self) -> &BTreeMap<PassengerId, Rider> {
        &self.riders
    }

    /// Drives on, turning round at the ends. The answer are those whose destination was reached or passed.
    pub(super) fn drive(&mut self, metres: f64) -> Vec<PassengerId> {
        let mut left = metres.max(0.0);
        self.driven_m += left;
        let mut reached = Vec::new();
        loop {
            let room = match self.heading {
                Direction::Outbound => self.line.length_m() - self.metres,
                Direction::Inbound => self.metres,
            };
            let step = left.min(room);
            let from = self.metres;
            self.metres += if self.heading == Direction::Outbound { step } else { -step };
            let passed = from.min(self.metres)..=from.max(self.metres);
            let here = self.riders.iter().filter(|(_, rider)| passed.contains(&rider.to_m));
            reached.extend(
                here.map(|(id, _)| id.clone()).filter(|id| !reached.contains(id)).collect::<Vec<_>>(),
            );
            left -= step;
            if left <= 0.0 {
                return reached;
            }
            self.heading = match self.heading {
                Direction::Outbound => Direction::Inbound,
                Direction::Inbound => Direction::Outbound,
            };
        }
    }

    /// Whom of those found to ask for, nearest first: those who go the same way, as long as there are seats.
    pub(super) fn choose(&mut self, found: &[Found]) -> Vec<Choice> {
        let still_there: HashSet<&PassengerId> =
            found.iter().map(|one| &one.passenger.passenger_id).collect();
        self.denied.retain(|id| still_there.contains(id));
        let wanted = found.iter().map(|one| &one.passenger).filter(|passenger| {
            passenger.direction.is_none_or(|direction| direction == self.heading)
                && !self.denied.contains(&passenger.passenger_id)
                && !self.riders.contains_key(&passenger.passenger_id)
        });
        let end_m = if self.heading == Direction::Outbound { self.line.length_m() } else { 0.0 };
        let chosen = wanted.take(self.free_seats() as usize).map(|passenger| Choice {
            passenger_id: passenger.passenger_id.clone(),
            to_m: passenger.destination.map_or(end_m, |place| self.line.nearest(place)),
        });
        chosen.collect()
    }

    /// The gateway confirmed a boarding.
    pub(super) fn boarded(&mut self, choice: Choice, fence: u64) {
        self.riders.insert(choice.passenger_id, Rider { fence, to_m: choice.to_m });
    }

    /// The gateway denied one.
    pub(super) fn denied(&mut self, passenger_id: PassengerId) {
        self.denied.insert(passenger_id);
    }

    /// Somebody got off.
    pub(super) fn alighted(&mut self, passenger_id: &PassengerId) {
        self.riders.remove(passenger_id);
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn line() -> Line {
        let point = |lon| GeoPoint::try_new(0.0, lon).unwrap();
        Line::try_new(vec![point(0.0), point(0.01)]).unwrap()
    }

    fn conductor(capacity: u32) -> Conductor {
        let mut conductor = Conductor::new(line(), capacity, &mut Rng::with_seed(1));
        (conductor.metres, conductor.heading) = (0.0, Direction::Outbound);
        conductor
    }

    fn found(id: &str, direction: Option<&str>, to: Option<f64>) -> Found {
        serde_json::from_value(serde_json::json!({
            "passenger_id": id, "pool": "route:1", "direction": direction, "position": {"lat": 0.0, "lon": 0.0},
            "destination": to.map(|lon| serde_json::json!({"lat": 0.0, "lon": lon})), "priority": 0,
            "max_walking_distance_m": null, "state": "waiting", "vehicle_id": null, "fence": null,
            "spawned_at": "2026-01-01T00:00:00Z", "boarded_at": null, "alighted_at": null, "expires_at": null,
            "distance_m": 1.0,
        }))
        .unwrap()
    }

    fn names(choices: &[Choice]) -> Vec<&str> {
        choices.iter().map(|choice| choice.passenger_id.as_str()).collect()
    }

    #[test]
    fn only_who_goes_the_same_way_is_asked_for_up_to_the_free_seats() {
        let mut conductor = conductor(2);
        let waiting = [
            found("back", Some("inbound"), Some(0.0)),
            found("a", Some("outbound"), Some(0.005)),
            found("b", None, None),
            found("c", Some("outbound"), None),
        ];
        let choices = conductor.choose(&waiting);
        assert_eq!(names(&choices), ["a", "b"]);
        let length = conductor.line.length_m();
        assert!((choices[0].to_m - length / 2.0).abs() < 0.5, "to the destination");
        assert_eq!(choices[1].to_m, length, "to the end if there is none");

        conductor.boarded(choices[0].clone(), 7);
        assert_eq!(
            names(&conductor.choose(&waiting)),
            ["b"],
            "one seat is left, and nobody is asked for twice"
        );
        conductor.denied(choices[1].passenger_id.clone());
        assert_eq!(names(&conductor.choose(&waiting)), ["c"], "whoever was denied is left alone");
        assert_eq!(names(&conductor.choose(&waiting[..1])), [""; 0]);
        assert_eq!(names(&conductor.choose(&waiting)), ["b"], "until a query without them");
    }

    #[test]
    fn riders_get_off_where_they_want_to_in_either_direction() {
        let mut conductor = conductor(3);
        let length = conductor.line.length_m();
        for (id, to_m) in [("middle", length / 2.0), ("start", 0.0), ("end", length)] {
            conductor.boarded(Choice { passenger_id: PassengerId::try_new(id).unwrap(), to_m }, 1);
        }
        let told = |ids: Vec<PassengerId>| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        // At the start already; nobody has to be asked for whom it was passed.
        assert_eq!(told(conductor.drive(1.0)), ["start"]);
        assert_eq!(told(conductor.drive(length / 4.0)), [""; 0]);
        assert_eq!(told(conductor.drive(length)), ["end", "middle"], "each once, though passed twice");
        assert_eq!(conductor.heading(), Direction::Inbound);
        assert_eq!(told(conductor.drive(10.0 * length)).len(), 3, "whoever was not let off is told again");
    }

    proptest! {
        #[test]
        fn a_vehicle_stays_on_its_line_and_within_its_seats(
            seed: u64,
            steps in proptest::collection::vec((0.0_f64..5_000.0, 0_usize..10), 1..40),
        ) {
            let mut rng = Rng::with_seed(seed);
            let mut conductor = Conductor::new(line(), 4, &mut rng);
            let mut driven = 0.0;
            for (number, (metres, waiting)) in steps.into_iter().enumerate() {
                for id in conductor.drive(metres) {
                    conductor.alighted(&id);
                }
                driven += metres;
                let waiting: Vec<Found> = (0..waiting)
                    .map(|who| found(&format!("{number}-{who}"), None, Some(rng.f64() * 0.01)))
                    .collect();
                for choice in conductor.choose(&waiting) {
                    if rng.bool() { conductor.boarded(choice, 1) } else { conductor.denied(choice.passenger_id) }
                }
                prop_assert!((0.0..=conductor.line.length_m()).contains(&conductor.metres));
                prop_assert_eq!(conductor.free_seats() as usize + conductor.riders().len(), 4);
                prop_assert!((conductor.driven_m() - driven).abs() < 1e-6);
            }
        }
    }
}
