//! Planted violations are found, and a run without one has none.

use serde_json::json;

use super::*;

fn vehicle(id: &str) -> VehicleId {
    VehicleId::try_new(id).unwrap()
}

fn passenger(id: &str) -> PassengerId {
    PassengerId::try_new(id).unwrap()
}

fn confirmed(vehicle_id: &str, passenger_id: &str, fence: u64) -> BoardingConfirmed {
    let (passenger_id, vehicle_id) = (passenger(passenger_id), vehicle(vehicle_id));
    BoardingConfirmed { passenger_id, vehicle_id, fence, seats_left: 0 }
}

fn manifest(vehicle_id: &str, capacity: u32, passengers: &[(&str, u64)]) -> Manifest {
    let on_board = |(id, fence): &(&str, u64)| {
        json!({"passenger_id": id, "pool": "route:1", "position": {"lat": 0.0, "lon": 0.0}, "priority": 0,
            "state": "boarded", "vehicle_id": vehicle_id, "fence": fence, "spawned_at": "2026-01-01T00:00:00Z"})
    };
    let seats_left = capacity.saturating_sub(passengers.len() as u32);
    let passengers: Vec<_> = passengers.iter().map(on_board).collect();
    let told = json!({"vehicle_id": vehicle_id, "capacity": capacity, "seats_left": seats_left,
        "passengers": passengers});
    serde_json::from_value(told).unwrap()
}

/// One fleet of two vehicles with two seats each, and a script of what it hears.
struct Run {
    audit: Audit,
    messages: u32,
}

impl Run {
    fn new() -> Self {
        let mut audit = Audit::new();
        audit.vehicle(vehicle("V1"), 2);
        audit.vehicle(vehicle("V2"), 2);
        Self { audit, messages: 0 }
    }

    fn boards(mut self, vehicle_id: &str, passenger_id: &str, fence: u64) -> Self {
        self.audit.confirmed(&vehicle(vehicle_id), &confirmed(vehicle_id, passenger_id, fence));
        self
    }

    fn alights(mut self, vehicle_id: &str, passenger_id: &str) -> Self {
        self.audit.alighted(&vehicle(vehicle_id), &passenger(passenger_id));
        self
    }

    /// Each change is a message of its own.
    fn hears(mut self, change: Change, passenger_id: &str, by: Option<(&str, u64)>) -> Self {
        self.messages += 1;
        let facts = Facts {
            passenger_id: passenger(passenger_id),
            vehicle_id: by.map(|(id, _)| vehicle(id)),
            fence: by.map(|(_, fence)| fence),
            spawned_at: None,
            boarded_at: None,
        };
        let announced = Announced { message_id: self.messages.to_string(), change, facts };
        self.audit.announced(false, &announced);
        self
    }

    fn listed(mut self, vehicle_id: &str, passengers: &[(&str, u64)]) -> Self {
        self.audit.manifest(&manifest(vehicle_id, 2, passengers), &HashSet::new());
        self
    }

    fn found(mut self) -> Vec<Violation> {
        self.audit.finish();
        assert_eq!(self.audit.violations_total(), self.audit.violations.len() as u64);
        self.audit.violations
    }
}

use Change::{DroppedOff, Gone, PickedUp, Spawned};

#[test]
fn a_run_as_it_should_be_has_no_violation() {
    let run = Run::new()
        .hears(Spawned, "P1", None)
        .hears(Spawned, "P2", None)
        .hears(Spawned, "P3", None)
        .boards("V1", "P1", 10)
        .hears(PickedUp, "P1", Some(("V1", 10)))
        .hears(PickedUp, "P2", Some(("V2", 11)))
        .boards("V2", "P2", 11)
        .hears(Gone, "P3", None)
        .alights("V1", "P1")
        .hears(DroppedOff, "P1", Some(("V1", 10)))
        .listed("V1", &[])
        .listed("V2", &[("P2", 11)]);
    assert_eq!((run.audit.pools.waiting(), run.audit.aboard(), run.audit.unannounced()), (0, 1, 0));
    assert_eq!((run.audit.pools.gaps, run.audit.pools.missed, run.audit.pools.heard), (0, 0, 7));
    assert_eq!(run.found(), []);
}

#[test]
fn a_passenger_with_two_vehicles_is_found_wherever_it_shows() {
    let two = |run: Run| {
        let found = run.found();
        let is_two = |one: &Violation| matches!(one, Violation::BoardedByTwo { passenger, .. } if passenger.as_str() == "P1");
        assert!(found.iter().any(is_two), "{found:?}");
    };
    // Both conductors were told so.
    two(Run::new().boards("V1", "P1", 10).boards("V2", "P1", 11));
    // One conductor was told twice, which is two boardings by their fences.
    two(Run::new().boards("V1", "P1", 10).alights("V1", "P1").boards("V1", "P1", 11));
    // Told to one, announced for the other.
    two(Run::new().boards("V1", "P1", 10).hears(PickedUp, "P1", Some(("V2", 11))));
    two(Run::new().boards("V1", "P1", 10).hears(DroppedOff, "P1", Some(("V2", 11))));
    // Announced twice.
    two(Run::new().hears(PickedUp, "P1", Some(("V1", 10))).hears(PickedUp, "P1", Some(("V2", 11))));
    // On two manifests.
    two(Run::new().listed("V1", &[("P1", 10)]).listed("V2", &[("P1", 11)]));
    // Confirmed to a conductor in another vehicle's name.
    let mut run = Run::new();
    run.audit.confirmed(&vehicle("V1"), &confirmed("V2", "P1", 10));
    two(run);
}

#[test]
fn a_vehicle_over_its_seats_is_found_wherever_it_shows() {
    let over = |run: Run| {
        let found = run.found();
        let is_over = |one: &Violation| matches!(one, Violation::OverCapacity { aboard: 3, capacity: 2, .. });
        assert!(found.iter().any(is_over), "{found:?}");
    };
    over(Run::new().boards("V1", "P1", 1).boards("V1", "P2", 2).boards("V1", "P3", 3));
    over(Run::new().listed("V1", &[("P1", 1), ("P2", 2), ("P3", 3)]));
    // By the announcements alone, somebody else's boardings among them.
    let three = |run: Run| {
        [("P1", 1), ("P2", 2), ("P3", 3)].into_iter().fold(run, |run, (id, fence)| {
            run.hears(Spawned, id, None).hears(PickedUp, id, Some(("V1", fence)))
        })
    };
    over(three(Run::new()));
    let mut away = Run::new();
    away.audit.pools.gaps = 1;
    assert_eq!(three(away).found(), [], "who was away may have missed that somebody got off");
}

#[test]
fn a_manifest_that_is_not_what_the_conductor_was_told_is_found() {
    let run = || Run::new().boards("V1", "P1", 1).boards("V1", "P2", 2);
    assert_eq!(run().listed("V1", &[("P2", 2), ("P1", 1)]).found(), []);
    let missing = run().listed("V1", &[("P1", 1)]).found();
    let [Violation::Manifest { only_told, only_believed, .. }] = &missing[..] else { panic!("{missing:?}") };
    assert_eq!((only_told.len(), only_believed), (0, &vec![passenger("P2")]));
    let stayed = run().alights("V1", "P1").listed("V1", &[("P1", 1), ("P2", 2)]).found();
    let [Violation::Manifest { only_told, only_believed, .. }] = &stayed[..] else { panic!("{stayed:?}") };
    assert_eq!((only_told, only_believed.len()), (&vec![passenger("P1")], 0));
    // Nobody knows of P2: neither answer is wrong.
    for listed in [&[("P1", 1)][..], &[("P1", 1), ("P2", 2)]] {
        let mut run = Run::new().boards("V1", "P1", 1);
        run.audit.manifest(&manifest("V1", 2, listed), &HashSet::from([passenger("P2")]));
        assert_eq!(run.found(), []);
    }
    // The seats don't add up.
    let mut run = Run::new();
    run.audit.manifest(&Manifest { seats_left: 1, ..manifest("V1", 2, &[]) }, &HashSet::new());
    assert!(matches!(run.found()[..], [Violation::Manifest { seats: 1, capacity: 2, .. }]));
}

#[test]
fn a_life_that_goes_back_is_found() {
    let lives: [&[Change]; 9] = [
        &[Spawned, Spawned],
        &[PickedUp, Spawned],
        &[Spawned, PickedUp, Spawned],
        &[Spawned, PickedUp, PickedUp],
        &[Spawned, PickedUp, DroppedOff, PickedUp],
        &[Spawned, PickedUp, DroppedOff, DroppedOff],
        &[Spawned, Gone, PickedUp],
        &[Gone, Spawned],
        &[Spawned, PickedUp, Gone],
    ];
    for life in lives {
        let run = life.iter().fold(Run::new(), |run, change| {
            let by = matches!(change, PickedUp | DroppedOff).then_some(("V1", 1));
            run.hears(*change, "P1", by)
        });
        let found = run.found();
        assert!(matches!(found[..], [Violation::OutOfOrder { .. }]), "{life:?}: {found:?}");
    }
}

#[test]
fn a_change_that_is_missing_is_counted_and_no_violation() {
    for (life, missed) in [
        (&[PickedUp][..], 1),
        (&[Gone], 1),
        (&[Spawned, DroppedOff], 1),
        (&[DroppedOff], 1),
        (&[Spawned, PickedUp, DroppedOff], 0),
    ] {
        let run = life.iter().fold(Run::new(), |run, change| run.hears(*change, "P1", None));
        assert_eq!((run.audit.pools.missed, run.found()), (missed, vec![]), "{life:?}");
    }
    let run = Run::new().boards("V1", "P1", 1).alights("V1", "P1");
    assert_eq!(run.audit.unannounced(), 2);
    let run = run.hears(Spawned, "P1", None).hears(PickedUp, "P1", Some(("V1", 1)));
    assert_eq!(run.audit.unannounced(), 1);
}

#[test]
fn the_same_message_twice_is_heard_once() {
    let mut run = Run::new().hears(Spawned, "P1", None).hears(PickedUp, "P1", Some(("V1", 1)));
    run.messages -= 1;
    let run = run.hears(PickedUp, "P1", Some(("V1", 1)));
    assert_eq!((run.audit.pools.waiting(), run.audit.pools.repeated), (0, 1));
    assert_eq!(run.found(), []);
}

#[test]
fn who_waited_before_may_be_announced_once_more() {
    let mut run = Run::new().hears(PickedUp, "P2", Some(("V1", 2)));
    run.audit.listed(&passenger("P1"));
    run.audit.listed(&passenger("P2"));
    assert_eq!(run.audit.pools.waiting(), 1, "a list that came late brings nobody back");
    let run = run.hears(Spawned, "P1", None).hears(PickedUp, "P1", Some(("V1", 1)));
    assert_eq!(run.audit.pools.waiting(), 0);
    assert_eq!(run.found(), []);
}

#[test]
fn a_boarding_of_somebody_who_gave_up_is_found() {
    let run = Run::new().hears(Spawned, "P1", None).hears(Gone, "P1", None).boards("V1", "P1", 1);
    assert!(matches!(run.found()[..], [Violation::BoardedAfterAll { .. }]));
}

#[test]
fn a_refused_alighting_is_a_violation() {
    let mut run = Run::new().boards("V1", "P1", 1);
    run.audit.alight_refused(&vehicle("V1"), &passenger("P1"), "stale_fence");
    assert!(matches!(run.found()[..], [Violation::NotLetOff { .. }]));
}
