//! Hand-made histories, each with the violations that it holds. Times are in milliseconds.

use super::*;
use crate::checker::Rule;
use crate::history::locks::{Granted, LockAction};
use crate::history::{Answer, Span};

const TTL_MS: u32 = 5_000;

fn operation(request: u64, [invoked_ms, returned_ms]: [u64; 2], action: LockAction) -> LockOperation {
    let span = Span { invoked_ns: invoked_ms * 1_000_000, returned_ns: returned_ms * 1_000_000 };
    LockOperation { client: request as u32, resource: 7, request, span, action }
}

fn granted(request: u64, at: [u64; 2], fence: u64) -> LockOperation {
    operation(request, at, LockAction::Acquire(Answer::Ok(Granted { fence, ttl_ms: TTL_MS })))
}

fn denied(request: u64, at: [u64; 2]) -> LockOperation {
    operation(request, at, LockAction::Acquire(Answer::Refused(())))
}

fn unanswered(request: u64, at: [u64; 2]) -> LockOperation {
    operation(request, at, LockAction::Acquire(Answer::Unknown))
}

fn renew(request: u64, at: [u64; 2], fence: u64, answer: Answer<u32>) -> LockOperation {
    operation(request, at, LockAction::Renew { fence, answer })
}

fn release(request: u64, at: [u64; 2], fence: u64, answer: Answer<()>) -> LockOperation {
    operation(request, at, LockAction::Release { fence, answer })
}

fn released(request: u64, at: [u64; 2], fence: u64) -> LockOperation {
    release(request, at, fence, Answer::Ok(()))
}

#[track_caller]
fn expect(history: &[LockOperation], violations: &[(Rule, &[u32])]) {
    let verdict = judge(history);
    let found: Vec<(Rule, &[u32])> =
        verdict.named.iter().map(|named| (named.rule, named.operations.as_slice())).collect();
    assert_eq!(found, violations);
    assert_eq!((verdict.violations, verdict.operations), (found.len() as u64, history.len() as u64));
}

#[track_caller]
fn fine(history: &[LockOperation]) {
    expect(history, &[]);
}

#[test]
fn one_after_the_other_is_fine() {
    fine(&[]);
    fine(&[granted(1, [0, 10], 1), released(1, [20, 30], 1), granted(2, [31, 40], 2), denied(3, [32, 39])]);
}

#[test]
fn a_second_holder_is_found() {
    expect(&[granted(1, [0, 10], 1), granted(2, [5, 20], 2)], &[(Rule::OneHolder, &[0, 1])]);
    let other_resource = LockOperation { resource: 8, ..granted(2, [5, 20], 2) };
    fine(&[granted(1, [0, 10], 1), other_resource]);
}

#[test]
fn a_long_hold_overlaps_with_each_that_falls_into_it() {
    let history = [
        granted(1, [0, 10], 1),
        granted(2, [20, 30], 2),
        released(2, [40, 50], 2),
        granted(3, [60, 70], 3),
        released(3, [80, 90], 3),
        released(1, [100, 110], 1),
    ];
    expect(
        &history,
        &[(Rule::OneHolder, &[0, 1]), (Rule::OneHolder, &[0, 3]), (Rule::OverIsOver, &[0, 3, 5])],
    );
}

#[test]
fn a_hand_over_within_the_release_is_fine() {
    // The release is carried out at once; its answer is slow.
    fine(&[granted(1, [0, 10], 1), granted(2, [15, 30], 2), released(1, [29, 90], 1)]);
    // But not before the release began.
    let early = [granted(1, [0, 10], 1), granted(2, [15, 28], 2), released(1, [29, 90], 1)];
    expect(&early, &[(Rule::OneHolder, &[0, 1]), (Rule::OverIsOver, &[0, 1, 2])]);
}

#[test]
fn an_expired_holder_is_no_holder() {
    // The second grant was told when the first one may have expired: 5 s after it was asked for.
    fine(&[granted(1, [0, 4_900], 1), granted(2, [4_000, 5_000], 2)]);
    expect(&[granted(1, [0, 4_900], 1), granted(2, [4_000, 4_980], 2)], &[(Rule::OneHolder, &[0, 1])]);
}

#[test]
fn a_clock_may_differ_by_a_millisecond_and_a_thousandth() {
    let first = granted(1, [0, 10], 1);
    fine(&[first, granted(2, [4_000, 4_994], 2)]);
    expect(&[first, granted(2, [4_000, 4_993], 2)], &[(Rule::OneHolder, &[0, 1])]);
}

#[test]
fn an_answer_that_comes_after_the_expiry_says_nothing_about_holding() {
    fine(&[granted(1, [0, 6_000], 1), granted(2, [5_200, 5_300], 2)]);
}

#[test]
fn a_renewal_extends_the_hold_and_a_lost_one_does_not() {
    let with = |renewal| [granted(1, [0, 10], 1), renewal, granted(2, [5_000, 6_000], 2)];
    expect(&with(renew(1, [3_000, 3_010], 1, Answer::Ok(TTL_MS))), &[(Rule::OneHolder, &[0, 2])]);
    fine(&with(renew(1, [3_000, 3_010], 1, Answer::Unknown)));
    fine(&with(renew(1, [3_000, 3_010], 1, Answer::Refused(()))));
    // A renewal can shorten as well.
    fine(&with(renew(1, [3_000, 3_010], 1, Answer::Ok(2_000))));
}

#[test]
fn a_refusal_ends_what_is_certain_when_it_was_asked() {
    for refused in [
        renew(1, [100, 110], 1, Answer::Refused(())),
        release(1, [100, 110], 1, Answer::Refused(())),
        release(1, [100, 110], 1, Answer::Unknown),
    ] {
        fine(&[granted(1, [0, 10], 1), refused, granted(2, [90, 105], 2)]);
        expect(&[granted(1, [0, 10], 1), refused, granted(2, [90, 95], 2)], &[(Rule::OneHolder, &[0, 2])]);
    }
}

#[test]
fn a_grant_without_an_answer_is_no_violation() {
    fine(&[
        granted(1, [0, 10], 1),
        unanswered(2, [5, 20]),
        released(1, [30, 40], 1),
        granted(3, [41, 50], 3),
    ]);
}

#[test]
fn a_repeated_request_is_one_grant_that_began_with_the_first_attempt() {
    let history = [unanswered(1, [0, 100]), granted(1, [200, 210], 4), granted(1, [220, 230], 4)];
    fine(&history);
    // It may have expired 5 s after the first attempt.
    let expired = [history[0], history[1], granted(2, [4_000, 5_000], 5)];
    fine(&expired);
    let held = [history[0], history[1], granted(2, [4_000, 4_990], 5)];
    expect(&held, &[(Rule::OneHolder, &[1, 2])]);
}

#[test]
fn a_repeated_request_is_told_when_its_first_answer_comes() {
    let history =
        [granted(1, [0, 100], 4), granted(1, [10, 20], 4), released(1, [21, 22], 4), granted(2, [30, 40], 3)];
    expect(&history, &[(Rule::FencesGrow, &[1, 3])]);
}

#[test]
fn a_repetition_after_the_end_is_a_grant_of_its_own() {
    let again = [granted(1, [0, 10], 1), released(1, [20, 30], 1), granted(1, [40, 50], 2)];
    fine(&again);
    fine(&[again[0], again[1], again[2], released(1, [60, 70], 2), granted(2, [71, 80], 3)]);
}

#[test]
fn a_fence_that_falls_is_found() {
    let history = [granted(1, [0, 10], 9), released(1, [20, 30], 9), granted(2, [40, 50], 8)];
    expect(&history, &[(Rule::FencesGrow, &[0, 2])]);
    // Grants that were under way together have no order.
    fine(&[granted(1, [0, 10], 9), released(1, [20, 30], 9), granted(2, [5, 50], 8)]);
}

#[test]
fn a_fence_is_compared_with_the_greatest_before_it() {
    let history = [
        granted(1, [0, 10], 9),
        released(1, [11, 12], 9),
        granted(2, [5, 20], 5),
        released(2, [21, 22], 5),
        granted(3, [30, 40], 7),
    ];
    expect(&history, &[(Rule::FencesGrow, &[0, 4])]);
}

#[test]
fn a_fence_given_twice_is_found() {
    let history = [granted(1, [0, 10], 3), released(1, [11, 12], 3), granted(2, [5, 20], 3)];
    expect(&history, &[(Rule::FencesDiffer, &[0, 2])]);
}

#[test]
fn what_is_confirmed_to_a_superseded_holder_is_found() {
    let with = |late| [granted(1, [0, 10], 1), granted(2, [6_000, 6_010], 2), late];
    let over: &[(Rule, &[u32])] = &[(Rule::OverIsOver, &[0, 1, 2])];
    expect(&with(released(1, [6_020, 6_030], 1)), over);
    fine(&with(released(1, [6_005, 6_030], 1)));
    fine(&with(release(1, [6_020, 6_030], 1, Answer::Refused(()))));
    fine(&with(release(1, [6_020, 6_030], 1, Answer::Unknown)));
    // The renewal proves as well that the first was a holder all the time.
    let renewed = with(renew(1, [6_020, 6_030], 1, Answer::Ok(TTL_MS)));
    expect(&renewed, &[(Rule::OneHolder, &[0, 1]), (Rule::OverIsOver, &[0, 1, 2])]);
}

#[test]
fn a_repeated_release_may_be_confirmed_for_the_first_one() {
    fine(&[
        granted(1, [0, 10], 1),
        release(1, [20, 30], 1, Answer::Unknown),
        granted(2, [40, 50], 2),
        released(1, [60, 70], 1),
    ]);
}

#[test]
fn unknown_operations_are_counted_and_resolved_by_a_repetition() {
    let history = [
        unanswered(1, [0, 10]),
        granted(1, [20, 30], 1),
        renew(1, [40, 50], 1, Answer::Unknown),
        release(1, [60, 70], 1, Answer::Unknown),
        release(1, [80, 90], 1, Answer::Refused(())),
        unanswered(2, [0, 10]),
        unanswered(3, [0, 10]),
        denied(3, [20, 30]),
    ];
    let verdict = judge(&history);
    assert_eq!((verdict.violations, verdict.unknown, verdict.resolved), (0, 5, 3));
}
