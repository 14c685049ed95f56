//! Hand-made histories, each with the violations that it holds. Times are in milliseconds.

use super::*;
use crate::checker::{Manifest, PassengerEnd, PassengerState, Rule};
use crate::history::boardings::{BoardingAction, BoardingOperation};
use crate::history::{Answer, Span};

/// Vehicle 0 has one seat, vehicle 1 has two.
const CAPACITIES: [u32; 2] = [1, 2];

fn operation(
    passenger: u32,
    vehicle: u32,
    [invoked_ms, returned_ms]: [u64; 2],
    action: BoardingAction,
) -> BoardingOperation {
    let span = Span { invoked_ns: invoked_ms * 1_000_000, returned_ns: returned_ms * 1_000_000 };
    BoardingOperation { passenger, vehicle, span, action }
}

/// A boarding whose request is that of its vehicle and passenger.
fn board(passenger: u32, vehicle: u32, at: [u64; 2], answer: Answer<u64, Option<u32>>) -> BoardingOperation {
    let request = u64::from(vehicle) << 32 | u64::from(passenger);
    operation(passenger, vehicle, at, BoardingAction::Board { request, answer })
}

fn boarded(passenger: u32, vehicle: u32, at: [u64; 2], fence: u64) -> BoardingOperation {
    board(passenger, vehicle, at, Answer::Ok(fence))
}

fn alight(passenger: u32, at: [u64; 2], fence: u64, answer: Answer<()>) -> BoardingOperation {
    operation(passenger, 0, at, BoardingAction::Alight { fence, answer })
}

fn history(operations: &[BoardingOperation]) -> BoardingHistory {
    BoardingHistory { operations: operations.to_vec(), capacities: CAPACITIES.to_vec() }
}

#[track_caller]
fn expect_with(
    operations: &[BoardingOperation],
    outcome: Option<&Outcome>,
    violations: &[(Rule, &[u32])],
) -> Verdict {
    let verdict = judge(&history(operations), outcome);
    let found: Vec<(Rule, &[u32])> =
        verdict.named.iter().map(|named| (named.rule, named.operations.as_slice())).collect();
    assert_eq!(found, violations, "{:?}", verdict.named);
    verdict
}

#[track_caller]
fn expect(operations: &[BoardingOperation], violations: &[(Rule, &[u32])]) {
    expect_with(operations, None, violations);
}

#[test]
fn one_boards_and_the_others_are_refused() {
    expect(&[], &[]);
    expect(
        &[
            boarded(0, 0, [0, 10], 1),
            board(0, 1, [2, 8], Answer::Refused(Some(0))),
            board(0, 1, [20, 30], Answer::Refused(None)),
            boarded(1, 1, [0, 10], 2),
        ],
        &[],
    );
}

#[test]
fn a_passenger_boarded_twice_is_found() {
    let twice: &[(Rule, &[u32])] = &[(Rule::BoardedOnce, &[0, 1])];
    expect(&[boarded(0, 0, [0, 10], 1), boarded(0, 1, [5, 20], 2)], twice);
    expect(&[boarded(0, 1, [0, 10], 1), boarded(0, 1, [5, 20], 2)], twice);
    expect(&[boarded(0, 0, [0, 10], 1), boarded(0, 1, [50, 60], 1)], twice);
    // Even if the first one is over.
    let over =
        [boarded(0, 1, [0, 10], 1), alight(0, [20, 30], 1, Answer::Ok(())), boarded(0, 0, [40, 50], 2)];
    expect(&over, &[(Rule::BoardedOnce, &[0, 2])]);
}

#[test]
fn a_repeated_boarding_is_one() {
    expect(&[boarded(0, 0, [0, 10], 1), boarded(0, 0, [5, 20], 1), boarded(0, 0, [30, 40], 1)], &[]);
}

#[test]
fn a_boarding_without_an_answer_is_no_violation() {
    expect(&[board(0, 0, [0, 10], Answer::Unknown), boarded(0, 1, [5, 20], 1)], &[]);
    expect(&[board(0, 0, [0, 10], Answer::Unknown), boarded(1, 0, [20, 30], 1)], &[]);
}

#[test]
fn a_vehicle_that_is_over_full_is_found() {
    expect(&[boarded(0, 0, [0, 10], 1), boarded(1, 0, [5, 20], 2)], &[(Rule::SeatsSuffice, &[1])]);
    expect(
        &[boarded(0, 1, [0, 10], 1), boarded(1, 1, [0, 10], 2), boarded(2, 1, [0, 11], 3)],
        &[(Rule::SeatsSuffice, &[2])],
    );
}

#[test]
fn a_seat_may_be_taken_as_soon_as_its_passenger_may_have_alighted() {
    for answer in [Answer::Ok(()), Answer::Unknown] {
        let with = |told| [boarded(0, 0, [0, 10], 1), alight(0, [50, 90], 1, answer), boarded(1, 0, told, 2)];
        expect(&with([20, 50]), &[]);
        expect(&with([20, 49]), &[(Rule::SeatsSuffice, &[2])]);
    }
    let other_fence =
        [boarded(0, 0, [0, 10], 2), alight(0, [50, 90], 1, Answer::Refused(())), boarded(1, 0, [60, 70], 3)];
    expect(&other_fence, &[(Rule::SeatsSuffice, &[2])]);
}

#[test]
fn alighting_with_another_boardings_fence_is_found() {
    let with = |answer| [boarded(0, 0, [0, 10], 2), alight(0, [50, 90], 1, answer)];
    expect(&with(Answer::Ok(())), &[(Rule::AnswersAgree, &[0, 1])]);
    expect(&with(Answer::Refused(())), &[]);
    expect(&with(Answer::Unknown), &[]);
}

#[test]
fn a_refusal_to_alight_who_is_on_board_is_found() {
    let boarded = boarded(0, 0, [0, 10], 2);
    let refused = |at| alight(0, at, 2, Answer::Refused(()));
    expect(&[boarded, refused([50, 90])], &[(Rule::AnswersAgree, &[0, 1])]);
    // Unless the passenger may have alighted already.
    expect(&[boarded, refused([50, 90]), alight(0, [60, 70], 2, Answer::Ok(()))], &[]);
    expect(&[boarded, alight(0, [20, 30], 2, Answer::Unknown), refused([50, 90])], &[]);
    expect(&[boarded, refused([5, 90])], &[]);
    expect(&[boarded, alight(0, [50, 90], 1, Answer::Refused(()))], &[]);
}

#[test]
fn a_refusal_that_names_another_winner_is_found() {
    expect(
        &[boarded(0, 0, [0, 10], 2), board(0, 1, [3, 8], Answer::Refused(Some(1)))],
        &[(Rule::AnswersAgree, &[0, 1])],
    );
}

#[test]
fn a_repetition_that_is_refused_what_was_confirmed_is_found() {
    let refused = |at| board(0, 0, at, Answer::Refused(None));
    expect(&[boarded(0, 0, [0, 10], 2), refused([20, 30])], &[(Rule::AnswersAgree, &[0, 1])]);
    // A refusal that was under way meanwhile may have come first.
    expect(&[boarded(0, 0, [0, 10], 2), refused([5, 30])], &[]);
    expect(&[boarded(0, 0, [0, 10], 2), refused([20, 30]), alight(0, [25, 40], 2, Answer::Ok(()))], &[]);
}

#[test]
fn unknown_operations_are_counted_and_resolved_by_a_repetition() {
    let operations = [
        board(0, 0, [0, 10], Answer::Unknown),
        boarded(0, 0, [20, 30], 1),
        board(1, 1, [0, 10], Answer::Unknown),
        alight(0, [50, 60], 1, Answer::Unknown),
    ];
    let verdict = expect_with(&operations, None, &[]);
    assert_eq!((verdict.operations, verdict.unknown, verdict.resolved), (4, 3, 1));
}

fn end(state: PassengerState, vehicle: u32, fence: u64) -> PassengerEnd {
    PassengerEnd { state, vehicle: Some(vehicle), fence: Some(fence) }
}

const WAITING: PassengerEnd =
    PassengerEnd { state: PassengerState::NeverBoarded, vehicle: None, fence: None };

/// An outcome in which the manifests are as the passengers' ends say.
fn outcome(passengers: &[PassengerEnd]) -> Outcome {
    let manifest = |(vehicle, capacity): (usize, &u32)| {
        let on_board = passengers
            .iter()
            .enumerate()
            .filter(|(_, end)| end.state == PassengerState::Boarded && end.vehicle == Some(vehicle as u32));
        let passengers: Vec<u32> = on_board.map(|(number, _)| number as u32).collect();
        Manifest { seats_left: capacity - passengers.len() as u32, passengers }
    };
    let manifests = CAPACITIES.iter().enumerate().map(manifest).collect();
    Outcome { passengers: passengers.to_vec(), manifests }
}

#[test]
fn an_end_as_it_was_told_is_fine() {
    let operations = [
        boarded(0, 0, [0, 10], 1),
        boarded(1, 1, [0, 10], 2),
        alight(1, [20, 30], 2, Answer::Ok(())),
        boarded(2, 1, [0, 10], 3),
        alight(2, [20, 30], 3, Answer::Unknown),
    ];
    let ends = [
        end(PassengerState::Boarded, 0, 1),
        end(PassengerState::Alighted, 1, 2),
        end(PassengerState::Alighted, 1, 3),
        WAITING,
    ];
    let verdict = expect_with(&operations, Some(&outcome(&ends)), &[]);
    assert_eq!((verdict.unknown, verdict.resolved), (1, 1));
    let still_there = [ends[0], ends[1], end(PassengerState::Boarded, 1, 3), WAITING];
    expect_with(&operations, Some(&outcome(&still_there)), &[]);
    let forgotten = PassengerEnd { vehicle: None, fence: None, ..ends[1] };
    expect_with(&operations, Some(&outcome(&[ends[0], forgotten, ends[2], WAITING])), &[]);
}

#[test]
fn an_end_that_was_not_told_is_found() {
    let operations = [boarded(0, 1, [0, 10], 1)];
    for wrong in [
        WAITING,
        end(PassengerState::Alighted, 1, 1),
        end(PassengerState::Boarded, 1, 2),
        end(PassengerState::Boarded, 0, 1),
    ] {
        expect_with(&operations, Some(&outcome(&[wrong])), &[(Rule::EndAgrees, &[0])]);
    }
    let alighted = [operations[0], alight(0, [20, 30], 1, Answer::Ok(()))];
    let on_board = outcome(&[end(PassengerState::Boarded, 1, 1)]);
    expect_with(&alighted, Some(&on_board), &[(Rule::EndAgrees, &[0])]);
}

#[test]
fn a_boarding_that_nobody_was_told_of_needs_an_unanswered_request() {
    let on_board = outcome(&[end(PassengerState::Boarded, 1, 1)]);
    let unanswered = board(0, 1, [0, 10], Answer::Unknown);
    let verdict = expect_with(&[unanswered], Some(&on_board), &[]);
    assert_eq!((verdict.unknown, verdict.resolved), (1, 1));
    expect_with(&[board(0, 0, [0, 10], Answer::Unknown)], Some(&on_board), &[(Rule::EndAgrees, &[0])]);
    expect_with(&[board(0, 1, [0, 10], Answer::Refused(None))], Some(&on_board), &[(Rule::EndAgrees, &[0])]);
    expect_with(&[], Some(&on_board), &[(Rule::EndAgrees, &[])]);
    let alighted = outcome(&[end(PassengerState::Alighted, 1, 1)]);
    expect_with(&[unanswered], Some(&alighted), &[(Rule::EndAgrees, &[0])]);
}

#[test]
fn a_manifest_that_differs_from_its_passengers_is_found() {
    let operations = [boarded(0, 1, [0, 10], 1), boarded(1, 1, [0, 10], 2)];
    let ends = [end(PassengerState::Boarded, 1, 1), end(PassengerState::Boarded, 1, 2)];
    let changed = |change: fn(&mut Outcome)| {
        let mut outcome = outcome(&ends);
        change(&mut outcome);
        outcome
    };
    expect_with(&operations, Some(&changed(|outcome| outcome.manifests[1].passengers.reverse())), &[]);
    for wrong in [
        changed(|outcome| outcome.manifests[1].passengers.truncate(1)),
        changed(|outcome| outcome.manifests[1].seats_left += 1),
        changed(|outcome| outcome.manifests[0].passengers.push(0)),
        changed(|outcome| outcome.manifests.truncate(1)),
    ] {
        expect_with(&operations, Some(&wrong), &[(Rule::EndAgrees, &[])]);
    }
}
