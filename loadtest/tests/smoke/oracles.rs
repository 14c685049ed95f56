//! Every oracle is shown something wrong and has to find it: the run fails, and tells what it was and how much of it.

use std::future::ready;

use signalbox_testkit::{RedisServer, eventually};

use crate::load::{Load, Outcome, RUN_WITHIN, number};

const FLAWS: [(&str, [f64; 3]); 3] =
    [("lost", [1.0, 0.0, 0.0]), ("repeated", [0.0, 1.0, 0.0]), ("overtaken", [0.0, 0.0, 1.0])];

/// Plants each flaw of messages; exactly that one has to be found.
async fn finds_each_flaw(line: &str) {
    for (flaw, expected) in FLAWS {
        let outcome = run(&format!("{line} --warm-up-seconds 0 --plant {flaw}")).await;
        let [lost, duplicated, reordered] = expected;
        let told = format!("FAILED: {lost} messages lost, {duplicated} duplicated, {reordered} reordered");
        assert!(!outcome.success && outcome.output.contains(&told), "{flaw}: {}", outcome.output);
        let results = &outcome.report.expect("there is a report")["results"];
        let found = ["lost", "duplicated", "reordered"].map(|name| number(results, name));
        assert_eq!(found, expected, "{flaw}: {results:#}");
    }
}

/// Runs something that has to fail with these words.
async fn finds(line: &str, told: &str) {
    let outcome = run(line).await;
    assert!(!outcome.success && outcome.output.contains(told), "{line}: {}", outcome.output);
}

async fn run(line: &str) -> Outcome {
    let load = Load::new();
    let outcome = load.end(load.spawn(line, &Load::binary())).await;
    assert_eq!(load.left_behind(), 0, "{line}");
    outcome
}

#[tokio::test]
async fn flaws_of_unicast_are_found() {
    finds_each_flaw("unicast --pairs 2 --rate 40 --seconds 0.5 --no-baseline").await;
}

#[tokio::test]
async fn flaws_of_unicast_by_several_processes_are_found() {
    finds_each_flaw("unicast --pairs 4 --processes 2 --rate 40 --seconds 1 --no-baseline").await;
}

#[tokio::test]
async fn flaws_of_unicast_at_full_speed_are_found() {
    finds_each_flaw("unicast --pairs 2 --full-speed --seconds 0.5").await;
}

#[tokio::test]
async fn flaws_of_a_fan_out_are_found() {
    finds_each_flaw("fanout --subscribers 4 --rate 40 --seconds 0.5 --bare-seconds 0").await;
}

#[tokio::test]
async fn flaws_of_a_fan_out_at_full_speed_are_found() {
    finds_each_flaw("fanout --subscribers 4 --full-speed --seconds 0.5 --bare-seconds 0").await;
}

#[tokio::test]
async fn a_bare_server_that_loses_something_is_not_compared_with() {
    let outcome = run("fanout --subscribers 4 --rate 40 --seconds 0.5 --bare-seconds 0.5 --plant lost").await;
    for name in ["write", "tungstenite"] {
        let told = format!("the bare server ({name}) lost some of its messages");
        assert!(outcome.output.contains(&told), "{}", outcome.output);
    }
    assert!(!outcome.output.contains("in_bare"), "{}", outcome.output);
}

#[tokio::test]
async fn flaws_of_a_mixed_fleet_are_found() {
    let fleet = "--passengers 4 --vehicles 6 --dashboards 2 --routes 3 --routes-followed 2";
    // Each vehicle says something once a second, and the flaw is of its second message.
    finds_each_flaw(&format!("mixed {fleet} --seconds 3")).await;
}

#[tokio::test]
async fn flaws_of_the_bare_hop_are_found() {
    finds_each_flaw("redis --rate 40 --seconds 0.5").await;
}

#[tokio::test]
async fn wrong_answers_to_queries_are_found() {
    let line = "queries --vehicles 4 --rate 40 --passengers 400 --length-km 2 --nodes 1 --seconds 0.5 \
                --warm-up-seconds 0";
    for (flaw, wrong) in [
        ("lost", "it misses somebody who is near"),
        ("repeated", "it names somebody twice"),
        ("overtaken", "it does not begin with the nearest"),
    ] {
        for over in ["", " --http"] {
            let told = format!("FAILED: 1 wrong answers, the first: {wrong}");
            finds(&format!("{line}{over} --plant {flaw}"), &told).await;
        }
    }
}

#[tokio::test]
async fn lost_connections_are_found() {
    let line = "idle --connections 20 --settle-seconds 1 --bare-seconds 0 --plant-loss";
    finds(line, "FAILED: 1 connections ended by themselves").await;
    let line = "storm --connections 20 --plant-loss";
    finds(line, "FAILED: 1 connections to nodes that live ended: arrival_left").await;
}

#[tokio::test]
async fn a_storm_that_nobody_survives_is_found() {
    // Nothing listens on the discard port.
    let line = "storm --connections 20 --url ws://127.0.0.1:9/ws --no-kill --within-seconds 1";
    finds(line, "FAILED: arrival: 20 of 20 clients were not in").await;
}

#[tokio::test]
async fn a_redis_that_forgets_a_lock_is_found_out() {
    let (redis, load) = (RedisServer::start().await, Load::new());
    let line = "locks --closed --hot --hold-ms 1000 --contenders 4 --seconds 5 --warm-up-seconds 0";
    let child = load.spawn(&format!("{line} --redis 127.0.0.1:{}", redis.port()), &Load::binary());
    for _ in 0..3 {
        eventually("somebody holds the lock, who is forgotten", RUN_WITHIN, || {
            let lock = redis.cli(&["keys", "*:lock"]);
            ready(!lock.is_empty() && redis.cli(&["del", &lock]) == "1")
        })
        .await;
    }
    let outcome = load.end(child).await;
    assert!(!outcome.success, "{}", outcome.output);
    assert!(outcome.output.contains("FAILED: two holders at once: resource 0: client"), "{}", outcome.output);
}

#[tokio::test]
async fn a_redis_that_forgets_who_is_on_board_is_found_out() {
    let (redis, load) = (RedisServer::start().await, Load::new());
    let line = "boarding --vehicles 6 --passengers 1000 --rivals 2 --capacity 1000 --alight-percent 0";
    let child = load.spawn(&format!("{line} --redis 127.0.0.1:{}", redis.port()), &Load::binary());
    eventually("somebody is on board, who is forgotten", RUN_WITHIN, || {
        let on_board = redis.cli(&["--raw", "keys", "*:on"]);
        let vehicle = on_board.lines().next();
        ready(vehicle.is_some_and(|vehicle| !redis.cli(&["zpopmin", vehicle]).is_empty()))
    })
    .await;
    let outcome = load.end(child).await;
    assert!(!outcome.success, "{}", outcome.output);
    assert!(outcome.output.contains("FAILED: the end is not what was told: vehicle"), "{}", outcome.output);
    let results = &outcome.report.expect("there is a report")["results"];
    assert!(number(results, "violations") > 0.0, "{results:#}");
}

#[tokio::test]
async fn a_redis_that_puts_a_passenger_into_two_vehicles_of_a_mixed_fleet_is_found_out() {
    let (redis, load) = (RedisServer::start().await, Load::new());
    let line = "mixed --passengers 4 --vehicles 6 --dashboards 2 --routes 3 --boardings 40 --seconds 4 \
                --warm-up-seconds 0";
    let child = load.spawn(&format!("{line} --redis 127.0.0.1:{}", redis.port()), &Load::binary());
    eventually("somebody boards", RUN_WITHIN, || {
        let on_board = redis.cli(&["--raw", "keys", "*:on"]);
        let [one, other] = on_board.lines().take(2).collect::<Vec<_>>()[..] else { return ready(false) };
        let passenger = redis.cli(&["--raw", "zrange", one, "0", "0"]);
        ready(!passenger.is_empty() && redis.cli(&["zadd", other, "0", &passenger]) == "1")
    })
    .await;
    let outcome = load.end(child).await;
    assert!(!outcome.success, "{}", outcome.output);
    assert!(outcome.output.contains("FAILED: the end is not what was told: vehicle"), "{}", outcome.output);
}
