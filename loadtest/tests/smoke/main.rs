//! Every scenario once, small, against real nodes and a real Redis that the tester starts itself.
//!
//! What is checked is that figures come out and that nothing stays behind, not how good they are.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::load::{Load, RUN_WITHIN, number};

mod chaos;
mod load;
mod oracles;
mod peers;
mod report;
mod wide;

#[tokio::test]
async fn unicast_crosses_nodes_without_loss_and_tells_its_cost() {
    let load = Load::new();
    let line = "unicast --pairs 4 --rate 200 --seconds 1.5 --warm-up-seconds 0.5";
    let results = load.results(line).await;
    assert_eq!((number(&results, "sent"), number(&results, "delivered")), (400.0, 400.0));
    for name in ["latency_p50_us", "bare_hop_p50_us", "latency_p50_in_bare_hops", "cpu_us_per_message_redis"]
    {
        assert!(number(&results, name) > 0.0, "{name}");
    }
    assert!(number(&results, "messages_per_publish") >= 1.0);
}

#[tokio::test]
async fn full_speed_keeps_its_window_full() {
    let line = "unicast --full-speed --pairs 4 --window 8 --seconds 1 --warm-up-seconds 0.2";
    let results = Load::new().results(line).await;
    assert!(number(&results, "delivered") > 100.0, "{results:#}");
    assert!(number(&results, "delivered") == number(&results, "sent"));
}

#[tokio::test]
async fn fanout_reaches_every_subscriber() {
    let line = "fanout --subscribers 10 --rate 400 --seconds 1 --warm-up-seconds 0.5 --bare-seconds 1";
    let results = Load::new().results(line).await;
    assert_eq!((number(&results, "sent"), number(&results, "delivered")), (600.0, 6_000.0));
    for name in ["cpu_us_per_delivery", "bare_write_us_per_delivery", "cpu_per_delivery_in_bare_tungstenite"]
    {
        assert!(number(&results, name) > 0.0, "{name}: {results:#}");
    }
}

#[tokio::test]
async fn fanout_at_full_speed_waits_for_every_subscriber() {
    let line =
        "fanout --full-speed --subscribers 10 --window 4 --seconds 1 --warm-up-seconds 0.2 --bare-seconds 1";
    let results = Load::new().results(line).await;
    assert!(number(&results, "sent") > 100.0, "{results:#}");
    assert!(number(&results, "deliveries_in_bare_tungstenite") > 0.0, "{results:#}");
    assert!(number(&results, "delivered") == 10.0 * number(&results, "sent"));
}

#[tokio::test]
async fn a_mixed_fleet_hears_what_it_follows_and_nothing_else() {
    let line = "mixed --passengers 20 --processes 3 --vehicles 12 --dashboards 4 --routes 6 --routes-followed 2 --seconds 2 \
                --warm-up-seconds 0";
    for boardings in [0, 20] {
        let results = Load::new().results(&format!("{line} --boardings {boardings}")).await;
        // Each route has two vehicles; each dashboard follows two.
        assert_eq!((number(&results, "sent"), number(&results, "delivered")), (24.0, 32.0));
        assert_eq!((number(&results, "lost"), number(&results, "lost_connections")), (0.0, 0.0));
        if boardings == 0 {
            assert!(results["boardings"].is_null(), "{results:#}");
        } else {
            assert_eq!((number(&results, "boardings"), number(&results, "violations")), (40.0, 0.0));
            assert!(number(&results, "conflicts") > 0.0, "{results:#}");
        }
    }
}

#[tokio::test]
async fn a_storm_comes_and_comes_again_when_a_node_dies() {
    let results = Load::new().results("storm --connections 60").await;
    assert_eq!((number(&results, "arrival_clients"), number(&results, "return_clients")), (60.0, 30.0));
    assert_eq!(number(&results, "left_other_nodes"), 0.0);
    for name in ["arrival_p99_us", "return_p99_us", "node_resident_bytes_peak"] {
        assert!(number(&results, name) > 0.0, "{name}");
    }
}

#[tokio::test]
async fn idle_connections_are_weighed() {
    let results = Load::new().results("idle --connections 200 --settle-seconds 5").await;
    for name in ["connects_per_second", "bare_tungstenite_connects_per_second"] {
        assert!(number(&results, name) > 0.0, "{name}");
    }
    // How much it is depends on what else the machine does.
    assert!(results["kernel_bytes_per_connection"].is_number(), "{results:#}");
    assert!(number(&results, "redis_bytes_per_connection") > 0.0, "{results:#}");
    assert!(number(&results, "node_resident_bytes_after") > number(&results, "node_resident_bytes_before"));
}

#[tokio::test]
async fn locks_on_many_resources_are_granted_by_all_nodes_and_judged() {
    let line = "locks --closed --contenders 8 --resources 20 --seconds 1 --warm-up-seconds 0.2";
    let results = Load::new().results(line).await;
    for name in ["grants", "operations_per_second", "acquire_p50_us", "release_p50_us", "fairness_jain"] {
        assert!(number(&results, name) > 0.0, "{name}");
    }
    assert!(number(&results, "redis_evalsha_per_grant") > 1.5, "{results:#}");
    assert!(number(&results, "checked_operations") >= 2.0 * number(&results, "grants"));
    assert_eq!((number(&results, "violations"), number(&results, "connections_broken")), (0.0, 0.0));
}

#[tokio::test]
async fn one_lock_is_handed_from_waiter_to_waiter() {
    let line = "locks --closed --hot --wait-ms 5000 --contenders 8 --seconds 1 --warm-up-seconds 0.2";
    let results = Load::new().results(line).await;
    assert!(number(&results, "handovers") > 0.0 && number(&results, "handover_p50_us") > 0.0, "{results:#}");
    assert_eq!(number(&results, "violations"), 0.0);
}

#[tokio::test]
async fn a_lock_that_is_held_for_long_is_renewed_and_the_others_are_denied() {
    let line =
        "locks --hot --rate 9 --contenders 4 --hold-ms 900 --ttl-ms 1500 --seconds 2 --warm-up-seconds 0";
    let results = Load::new().results(line).await;
    assert!(number(&results, "renewals") > 0.0 && number(&results, "denials") > 0.0, "{results:#}");
    assert_eq!(number(&results, "violations"), 0.0);
}

#[tokio::test]
async fn answers_that_are_lost_are_asked_for_again_and_no_lock_is_granted_twice() {
    let line = "locks --closed --contenders 8 --resources 4 --wait-ms 3000 --seconds 6 --warm-up-seconds 0";
    Load::new().bears_lost_answers(line, "*:lock").await;
}

#[tokio::test]
async fn vehicles_board_every_passenger_once() {
    let line = "boarding --vehicles 6 --passengers 60 --rivals 4 --capacity 3 --nodes 3 --double-percent 30";
    let results = Load::new().results(line).await;
    // Somebody may find all that try full.
    assert!(number(&results, "boardings") > 50.0, "{results:#}");
    assert_eq!(number(&results, "violations"), 0.0);
    for name in ["conflicts", "alighted", "board_p50_us", "boardings_per_second", "asked_two_at_once"] {
        assert!(number(&results, name) > 0.0, "{name}");
    }
}

#[tokio::test]
async fn fifty_vehicles_race_for_five_hundred_passengers_of_two_pools_and_the_history_is_judged() {
    let line = "boarding --vehicles 50 --passengers 500 --pools 2 --nodes 3 --capacity 11";
    let results = Load::new().results(line).await;
    assert!(number(&results, "boardings") >= 450.0, "{results:#}");
    assert_eq!(number(&results, "violations"), 0.0);
}

#[tokio::test]
async fn nobody_boards_twice_when_answers_are_lost() {
    Load::new().bears_lost_answers("boarding --vehicles 6 --passengers 1000 --rivals 2", "*:on").await;
}

#[tokio::test]
async fn who_waits_near_is_answered_rightly_either_way() {
    for over in ["", " --http"] {
        let line =
            "queries --vehicles 8 --rate 200 --passengers 1000 --pools 2 --seconds 1 --warm-up-seconds 0";
        let results = Load::new().results(&format!("{line}{over}")).await;
        assert_eq!((number(&results, "answers"), number(&results, "wrong_answers")), (200.0, 0.0));
        assert!(number(&results, "passengers_per_answer") > 1.0, "{results:#}");
    }
}

#[tokio::test]
async fn the_bare_hop_is_measured_alone_too() {
    let results = Load::new().results("redis --rate 500 --seconds 1 --warm-up-seconds 0.2").await;
    assert_eq!(number(&results, "measured"), 500.0);
}

#[tokio::test]
async fn an_interrupted_run_leaves_nothing_behind() {
    let load = Load::new();
    let line = "fanout --subscribers 10 --rate 40 --seconds 60 --bare-seconds 60";
    let child = load.spawn(line, &Load::binary());
    // The tester, Redis, two nodes and a bare server.
    timeout(RUN_WITHIN, async {
        while load.left_behind() < 5 {
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("it starts its servers");
    let tester = child.id().expect("it runs").to_string();
    let sent = std::process::Command::new("kill").args(["-INT", &tester]).status();
    assert!(sent.expect("there is a kill").success());
    let outcome = load.end(child).await;
    assert!(!outcome.success && outcome.output.contains("interrupted"), "{}", outcome.output);
    assert_eq!(load.left_behind(), 0);
}

#[tokio::test]
async fn a_node_that_does_not_start_is_told_with_its_last_words() {
    let load = Load::new();
    let outcome =
        load.end(load.spawn("idle --connections 1 --server-arg --no-such-flag", &Load::binary())).await;
    assert!(!outcome.success, "{}", outcome.output);
    assert!(outcome.output.contains("node_1 ended at once"), "{}", outcome.output);
    assert!(outcome.output.contains("--no-such-flag"), "{}", outcome.output);
    assert_eq!(load.left_behind(), 0);
}

#[tokio::test]
async fn every_kind_of_hostile_client_ends_as_it_should_and_leaves_nothing_behind() {
    // A busy machine lets Redis answer late; that is not what this is about.
    let line = "hostile --pairs 4 --rate 40 --attackers 4 --seconds 3 --warm-up-seconds 0.1 --no-bounds \
                --server-arg --set --server-arg redis.command_timeout=4s";
    let results = Load::new().results(line).await;
    for (attack, word) in [
        ("slow handshake", "cut"),
        ("slow body", "408"),
        ("huge header", "431"),
        ("unmasked frame", "closed 1002"),
        ("bad UTF-8", "closed 1007"),
        ("endless message", "closed 1009"),
        ("half-open", "closed 4408"),
        ("empty fragments", "closed 4429"),
    ] {
        let endings = results[format!("{attack}: endings")].as_str().unwrap_or_default();
        assert!(endings.contains(word), "{attack}: {endings}");
    }
}
