//! The checker and the lock server in the box: a right one is never blamed, a broken one always.

use proptest::prelude::*;

use super::Network;
use super::lock_clients::{Setting, history};
use super::lock_server::{Fences, Flaws};
use crate::checker::locks::judge;
use crate::checker::{Rule, Verdict};

fn settings() -> impl Strategy<Value = Setting> {
    let network = (1_000_u64..30_000_000, 0_u64..30)
        .prop_map(|(delay_ns_max, loss_percent)| Network { delay_ns_max, loss_percent });
    (any::<u64>(), 1_u32..12, 1_u32..4, 5_u32..80, network).prop_map(
        |(seed, clients, resources, ttl_ms, network)| Setting {
            seed,
            clients,
            resources,
            ttl_ms,
            network,
            flaws: Flaws::default(),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_right_server_is_never_blamed(setting in settings()) {
        let verdict = judge(&history(setting, 1_000));
        prop_assert!(verdict.violations == 0, "{:?}", verdict.named);
        prop_assert!(verdict.resolved <= verdict.unknown && verdict.unknown <= verdict.operations);
    }
}

/// The verdict on a busy server with these flaws, on a network that is quick compared with the locks' time.
fn verdict(seed: u64, flaws: Flaws) -> Verdict {
    let network = Network { delay_ns_max: 300_000, loss_percent: 2 };
    let setting = Setting { seed, clients: 8, resources: 2, ttl_ms: 20, network, flaws };
    judge(&history(setting, 3_000))
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
        assert!(verdict.resolved > 0);
    }
}

#[test]
fn get_then_set_is_found() {
    always_broken(Flaws { get_then_set: true, ..Flaws::default() }, Rule::OneHolder);
}

#[test]
fn deleting_without_looking_at_the_token_is_found() {
    let flaws = Flaws { delete_unchecked: true, ..Flaws::default() };
    always_broken(flaws, Rule::OneHolder);
    always_broken(flaws, Rule::OverIsOver);
}

#[test]
fn renewing_without_looking_at_the_token_is_found() {
    always_broken(Flaws { renew_unchecked: true, ..Flaws::default() }, Rule::OverIsOver);
}

#[test]
fn expiring_early_is_found() {
    always_broken(Flaws { expires_early: true, ..Flaws::default() }, Rule::OneHolder);
}

#[test]
fn bad_fences_are_found() {
    for (fences, rule) in [
        (Fences::Missing, Rule::FencesDiffer),
        (Fences::StartAgain, Rule::FencesDiffer),
        (Fences::CoarseClock, Rule::FencesDiffer),
        (Fences::OfTheClient, Rule::FencesGrow),
    ] {
        always_broken(Flaws { fences, ..Flaws::default() }, rule);
    }
}
