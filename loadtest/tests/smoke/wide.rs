//! Runs whose clients several processes drive.

use std::time::Duration;

use signalbox_testkit::{RedisServer, eventually};
use tokio::time::sleep;

use crate::load::{Load, RUN_WITHIN, number};

#[tokio::test]
async fn connections_of_several_processes_are_weighed_and_each_gets_its_messages() {
    let line = "idle --connections 100 --processes 3 --nodes 3 --messages 2 --rate 400 --settle-seconds 3 --watch-hiccups";
    let results = Load::new().results(line).await;
    // 33 of 3 nodes are 11 each, 34 are up to 12: whoever is on a node with fewer gets one more.
    let sent = number(&results, "sent");
    assert!((200.0..=220.0).contains(&sent), "{results:#}");
    assert_eq!((number(&results, "delivered"), number(&results, "reached_connections")), (sent, 100.0));
    assert_eq!(number(&results, "registered_connections"), 100.0);
    assert_eq!((number(&results, "lost"), number(&results, "lost_connections")), (0.0, 0.0));
    for name in ["latency_p99_us", "cpu_us_per_message_redis", "redis_bytes_per_connection_messaged"] {
        assert!(number(&results, name) > 0.0, "{name}");
    }
}

#[tokio::test]
async fn pairs_of_several_processes_talk_at_full_speed_and_when_messages_are_due() {
    let line = "unicast --processes 2 --nodes 3 --pairs 7 --seconds 1 --warm-up-seconds 0.2";
    let results = Load::new().results(&format!("{line} --full-speed --window 8")).await;
    assert!(number(&results, "delivered") > 100.0, "{results:#}");
    assert!(number(&results, "delivered") == number(&results, "sent"));
    assert!(number(&results, "messages_per_second") > 100.0);
    let results = Load::new().results(&format!("{line} --rate 100 --no-baseline")).await;
    assert_eq!((number(&results, "sent"), number(&results, "delivered")), (120.0, 120.0));
}

#[tokio::test]
async fn a_process_of_the_generator_that_dies_fails_the_run() {
    let load = Load::new();
    let line = "idle --connections 20 --processes 2 --messages 5000 --rate 100 --settle-seconds 1";
    let child = load.spawn(line, &Load::binary());
    let mut workers = Vec::new();
    eventually("both are there", RUN_WITHIN, || {
        workers = load.processes("worker");
        std::future::ready(workers.len() == 2)
    })
    .await;
    let killed = std::process::Command::new("kill").args(["-KILL", &workers[1].to_string()]).status();
    assert!(killed.expect("there is a kill").success());
    let outcome = load.end(child).await;
    assert!(!outcome.success, "{}", outcome.output);
    assert!(outcome.output.contains("of the generator ended"), "{}", outcome.output);
    assert_eq!(load.left_behind(), 0);
}

#[tokio::test]
async fn what_can_not_fit_is_refused_before_anything_is_connected() {
    let load = Load::new();
    let outcome = load.end(load.spawn("idle --connections 1000000000 --processes 2", &Load::binary())).await;
    assert!(!outcome.success, "{}", outcome.output);
    assert!(outcome.output.contains("1000000000 connections need --processes "), "{}", outcome.output);
    assert_eq!(load.left_behind(), 0);
}

/// How long nothing of the tester runs.
const STOPPED: Duration = Duration::from_millis(300);

#[tokio::test]
async fn messages_of_a_moment_in_which_nothing_ran_are_left_out() {
    let (load, redis) = (Load::new(), RedisServer::start().await);
    let line = "unicast --pairs 4 --rate 500 --warm-up-seconds 0 --seconds 4 --no-baseline --watch-hiccups";
    let child = load.spawn(&format!("{line} --redis 127.0.0.1:{}", redis.port()), &Load::binary());
    let tester = child.id().expect("it runs").to_string();
    eventually("messages come", RUN_WITHIN, || {
        let calls = redis.cli(&["info", "commandstats"]);
        let calls = calls.split_once("cmdstat_publish:calls=").and_then(|(_, rest)| rest.split(',').next());
        std::future::ready(calls.and_then(|calls| calls.parse().ok()).is_some_and(|calls: u64| calls > 50))
    })
    .await;
    for (signal, lasts) in [("-STOP", STOPPED), ("-CONT", Duration::ZERO)] {
        let sent = std::process::Command::new("kill").args([signal, &tester]).status();
        assert!(sent.expect("there is a kill").success());
        sleep(lasts).await;
    }
    let outcome = load.end(child).await;
    assert!(outcome.success, "{}", outcome.output);
    let (results, stopped_us) = (&outcome.report.expect("a report")["results"], STOPPED.as_micros() as f64);
    assert!(number(results, "latency_max_us") > 0.8 * stopped_us, "{results:#}");
    if outcome.output.contains("hiccups are not watched: real-time priorities need root") {
        assert_eq!(results["undisturbed_percent"], serde_json::Value::Null);
        return;
    }
    assert!(number(results, "hiccups_max_us") > 0.8 * stopped_us, "{results:#}");
    assert!(number(results, "undisturbed_percent") < 93.0, "{results:#}");
    let undisturbed = number(results, "latency_undisturbed_max_us");
    assert!(undisturbed < 0.8 * number(results, "latency_max_us"), "{results:#}");
}
