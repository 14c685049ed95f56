//! The checker and the fleet in the box: a right one is never blamed, a broken one always.

use proptest::prelude::*;

use super::Network;
use super::fleet::Flaws;
use super::vehicles::{Setting, history};
use crate::checker::boardings::judge;
use crate::checker::{Rule, Verdict};

fn settings() -> impl Strategy<Value = Setting> {
    let network = (1_000_u64..30_000_000, 0_u64..30)
        .prop_map(|(delay_ns_max, loss_percent)| Network { delay_ns_max, loss_percent });
    (any::<u64>(), 1_u32..12, 1_u32..200, 1_u32..5, network).prop_map(
        |(seed, clients, passengers, capacity, network)| Setting {
            seed,
            clients,
            passengers,
            capacity,
            network,
            flaws: Flaws::default(),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_right_fleet_is_never_blamed(setting in settings()) {
        let (history, outcome) = history(setting, 500);
        for outcome in [None, Some(&outcome)] {
            let verdict = judge(&history, outcome);
            prop_assert!(verdict.violations == 0, "{:?}", verdict.named);
            prop_assert!(verdict.resolved <= verdict.unknown && verdict.unknown <= verdict.operations);
        }
    }
}

/// The verdict on a fleet with these flaws in which vehicles get in each other's way.
fn verdict(seed: u64, flaws: Flaws) -> Verdict {
    let network = Network { delay_ns_max: 300_000, loss_percent: 5 };
    let setting = Setting { seed, clients: 12, passengers: 300, capacity: 3, network, flaws };
    let (history, outcome) = history(setting, 3_000);
    judge(&history, Some(&outcome))
}

/// In every one of these runs the rule is found broken.
#[track_caller]
fn always_broken(flaws: Flaws, rule: Rule) {
    for seed in 0..8 {
        let verdict = verdict(seed, flaws);
        assert!(verdict.named.iter().any(|named| named.rule == rule), "seed {seed}: {:?}", verdict.named);
    }
}

#[test]
fn the_runs_in_which_flaws_are_found_are_fine_without_them() {
    for seed in 0..8 {
        let verdict = verdict(seed, Flaws::default());
        assert_eq!(verdict.violations, 0, "{:?}", verdict.named);
        assert!(verdict.unknown > 0);
    }
}

#[test]
fn get_then_board_is_found() {
    always_broken(Flaws { get_then_board: true, ..Flaws::default() }, Rule::BoardedOnce);
}

#[test]
fn seats_that_are_not_guarded_are_found() {
    always_broken(Flaws { seats_unguarded: true, ..Flaws::default() }, Rule::SeatsSuffice);
}

#[test]
fn alighting_without_looking_at_the_fence_is_found() {
    always_broken(Flaws { alight_unchecked: true, ..Flaws::default() }, Rule::AnswersAgree);
}

#[test]
fn a_request_that_is_forgotten_is_found() {
    always_broken(Flaws { forgets_requests: true, ..Flaws::default() }, Rule::AnswersAgree);
}

#[test]
fn a_refusal_that_names_the_wrong_winner_is_found() {
    always_broken(Flaws { wrong_winner: true, ..Flaws::default() }, Rule::AnswersAgree);
}

#[test]
fn a_boarding_that_is_not_kept_is_found() {
    always_broken(Flaws { forgets_boardings: true, ..Flaws::default() }, Rule::EndAgrees);
}
