//! What becomes of durable messages, event by event.

use std::time::Duration;

use super::*;
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn key(number: u128) -> String {
    id(number).to_string()
}

fn waited_for(number: u128) -> (Delivery, Arc<Fate>, oneshot::Receiver<Answer>) {
    let (fate, (asker, answer)) = (Arc::new(Fate::default()), oneshot::channel());
    let sender = Sender::Waits { fate: Arc::clone(&fate), asker };
    (Delivery::new(id(number), "order:new".into(), number.to_string(), sender), fate, answer)
}

fn nobodys(number: u128, give_up_at: Instant) -> Delivery {
    Delivery::new(id(number), "order:new".into(), number.to_string(), Sender::Gone { give_up_at })
}

fn fault(code: ErrorCode) -> Fault {
    Fault::new(code, "not now")
}

/// The numbers of all that can be written now.
fn written(deliveries: &mut Deliveries, now: Instant) -> Vec<u128> {
    std::iter::from_fn(|| deliveries.write(now).map(|delivery| delivery.id.as_u128())).collect()
}

fn three(in_flight_max: usize, now: Instant) -> Deliveries {
    let mut deliveries = Deliveries::new(in_flight_max);
    (1..=3).for_each(|number| deliveries.push(nobodys(number, now + 60 * SECOND)));
    deliveries
}

#[test]
fn only_so_many_are_in_flight_and_the_next_follows_an_acknowledgement() {
    let now = Instant::now();
    let mut deliveries = three(2, now);
    assert_eq!(written(&mut deliveries, now), [1, 2]);
    assert!(deliveries.acknowledged(&key(3)).is_none(), "it was not written");
    assert!(deliveries.acknowledged(&key(2)).is_some());
    assert!(deliveries.acknowledged(&key(2)).is_none(), "once");
    assert_eq!(written(&mut deliveries, now), [3]);
    assert!(deliveries.acknowledged(&key(1)).is_some() && deliveries.acknowledged(&key(3)).is_some());
    assert!(deliveries.is_empty());
}

#[test]
fn after_a_reconnect_they_are_written_again_in_order() {
    let now = Instant::now();
    let mut deliveries = three(2, now);
    written(&mut deliveries, now);
    deliveries.disconnected();
    assert_eq!(written(&mut deliveries, now), [1, 2]);
    let first = deliveries.acknowledged(&key(1)).unwrap();
    assert!(first.is_repeated());
}

#[test]
fn one_that_is_refused_for_the_moment_comes_again_before_the_others() {
    let now = Instant::now();
    let mut deliveries = three(1, now);
    written(&mut deliveries, now);
    let refused = deliveries.refused(&key(1), &fault(ErrorCode::Unavailable));
    deliveries.hold_until(now + SECOND);
    assert!(matches!(refused, Some(Refused::Again)));
    assert!(written(&mut deliveries, now).is_empty());
    assert_eq!(deliveries.retry_at(), Some(now + SECOND));
    assert_eq!(written(&mut deliveries, now + SECOND), [1]);
}

#[test]
fn one_that_is_refused_for_good_is_over() {
    let now = Instant::now();
    let mut deliveries = three(1, now);
    written(&mut deliveries, now);
    let refused = deliveries.refused(&key(1), &fault(ErrorCode::Forbidden));
    assert!(matches!(refused, Some(Refused::Over(over)) if over.id == id(1) && !over.may_be_stored()));
    assert!(deliveries.refused(&key(1), &fault(ErrorCode::Forbidden)).is_none());
    assert_eq!(written(&mut deliveries, now), [2]);
}

#[test]
fn whoever_stops_waiting_is_told_whether_it_may_be_stored() {
    let now = Instant::now();
    let unavailable = |deliveries: &mut Deliveries| {
        deliveries.write(now);
        deliveries.refused(&key(1), &fault(ErrorCode::Unavailable));
    };
    let lost = |deliveries: &mut Deliveries| {
        deliveries.write(now);
        deliveries.disconnected();
    };
    let unknown = |deliveries: &mut Deliveries| {
        deliveries.write(now);
        deliveries.refused(&key(1), &fault(ErrorCode::OutcomeUnknown));
    };
    let nothing = |_: &mut Deliveries| {};
    let in_flight = |deliveries: &mut Deliveries| assert!(deliveries.write(now).is_some());
    type Step<'a> = &'a dyn Fn(&mut Deliveries);
    for (steps, may_be_stored) in [
        ([&nothing, &nothing] as [Step<'_>; 2], false),
        ([&nothing, &in_flight], true),
        ([&nothing, &unavailable], false),
        ([&nothing, &lost], true),
        ([&nothing, &unknown], true),
        ([&lost, &unavailable], true),
        ([&unavailable, &in_flight], true),
    ] {
        let mut deliveries = Deliveries::new(1);
        let (delivery, fate, _answer) = waited_for(1);
        deliveries.push(delivery);
        steps.iter().for_each(|step| step(&mut deliveries));
        assert_eq!(fate.abandon(), may_be_stored);
        assert!(written(&mut deliveries, now).is_empty(), "nobody wants it any more");
        let over = deliveries.take_over(now);
        assert_eq!(over.iter().map(Delivery::may_be_stored).collect::<Vec<_>>(), [may_be_stored]);
        assert!(deliveries.is_empty());
    }
}

#[test]
fn one_that_nobody_waits_for_is_given_up_at_its_time() {
    let now = Instant::now();
    let mut deliveries = three(1, now);
    assert_eq!(deliveries.give_up_at(), Some(now + 60 * SECOND));
    written(&mut deliveries, now);
    assert!(deliveries.take_over(now + 59 * SECOND).is_empty());
    let over = deliveries.take_over(now + 60 * SECOND);
    assert_eq!(over.iter().map(Delivery::may_be_stored).collect::<Vec<_>>(), [true, false, false]);
    let (other, _fate, _answer) = waited_for(4);
    deliveries.push(other);
    assert_eq!(written(&mut deliveries, now), [4], "what is over is in flight no more");
}

proptest! {
    /// A node that acknowledges, refuses for the moment and goes away as it likes, and stores what it acknowledged
    /// and some of what it did not: everything is stored, and the first copies are in order.
    #[test]
    fn with_one_in_flight_everything_is_stored_in_order(whims in prop::collection::vec(0_u8..5, 0..300)) {
        let now = Instant::now();
        let mut deliveries = Deliveries::new(1);
        (1..=20).for_each(|number| deliveries.push(nobodys(number, now + SECOND)));
        let mut stored: Vec<u128> = Vec::new();
        for whim in whims.into_iter().chain(std::iter::repeat_n(0, 20)) {
            let Some(number) = deliveries.write(now).map(|delivery| delivery.id.as_u128()) else { break };
            if matches!(whim, 0 | 3 | 4) && !stored.contains(&number) {
                stored.push(number);
            }
            match whim {
                0 => drop(deliveries.acknowledged(&key(number))),
                1 => drop(deliveries.refused(&key(number), &fault(ErrorCode::Unavailable))),
                3 => drop(deliveries.refused(&key(number), &fault(ErrorCode::OutcomeUnknown))),
                _ => deliveries.disconnected(),
            }
        }
        prop_assert!(deliveries.is_empty());
        prop_assert_eq!(stored, (1..=20).collect::<Vec<_>>());
    }
}
