//! Faults in small: durable traffic of a few dozen clients, and what the run says about it.

use serde_json::Value;

use crate::load::{Load, number};

/// Runs a fault with `more` options; it has to keep every promise but those of time, which say nothing here.
async fn survive(fault: &str, more: &str) -> Value {
    let line =
        format!("chaos --fault {fault} --clients 24 --topics 6 --rate 60 --seconds 3 --no-bounds {more}");
    let results = Load::new().results(line.trim_end()).await;
    assert!(number(&results, "acknowledged") >= 60.0, "{results:#}");
    for promise in ["lost", "duplicates", "out_of_order", "end_connections"] {
        assert_eq!(number(&results, promise), 0.0, "{promise}: {results:#}");
    }
    results
}

#[tokio::test]
async fn without_a_fault_everybody_gets_everything() {
    let results = survive("none", "--fault-seconds 1").await;
    assert_eq!(number(&results, "delivered"), 4.0 * number(&results, "sent"), "four readers a topic");
    assert_eq!((number(&results, "reconnects"), number(&results, "declarations")), (0.0, 0.0));
}

#[tokio::test]
async fn readers_that_do_not_read_hold_nobody_up() {
    let results = survive("slow-readers", "--slow-readers 12 --fault-seconds 1").await;
    assert_eq!((number(&results, "slow_readers"), number(&results, "reconnects")), (12.0, 0.0));
    assert_eq!(number(&results, "delivered"), 4.0 * number(&results, "sent"));
}

#[tokio::test]
async fn a_client_behind_a_silent_link_notices_and_comes_back() {
    let results = survive("half-open", "--fault-seconds 6").await;
    // One of five readers is behind it.
    assert_eq!(number(&results, "reconnects"), 5.0, "{results:#}");
}

#[tokio::test]
async fn nothing_is_lost_when_all_nodes_are_restarted_in_turn() {
    let results = survive("rolling-restart", "--balancer tcp").await;
    assert!(number(&results, "reconnects") >= 24.0, "everybody has moved: {results:#}");
    assert_eq!(number(&results, "declared_lost"), 0.0, "{results:#}");
}

#[tokio::test]
async fn nothing_is_lost_when_a_node_is_killed() {
    let results = survive("kill-node", "--balancer nginx").await;
    assert!(number(&results, "reconnects") > 0.0, "somebody was there: {results:#}");
    assert_eq!(number(&results, "declared_lost"), 0.0, "{results:#}");
}

#[tokio::test]
async fn nothing_is_lost_when_the_bus_is_cut_again_and_again() {
    let results = survive("kill-pubsub", "--fault-seconds 5").await;
    assert_eq!((number(&results, "reconnects"), number(&results, "declared_lost")), (0.0, 0.0));
}

#[tokio::test]
async fn nothing_is_lost_when_a_node_is_paused_for_longer_than_its_lease() {
    let results = survive("pause-node", "--fault-seconds 6").await;
    assert!(number(&results, "node_unlisted_after_ms") > 0.0, "{results:#}");
    assert_eq!(number(&results, "declared_lost"), 0.0, "{results:#}");
}

#[tokio::test]
async fn nothing_is_lost_and_no_lock_haunts_when_redis_is_a_black_hole() {
    let results = survive("redis-black-hole", "--fault-seconds 4").await;
    assert!(number(&results, "locks_unavailable") + number(&results, "locks_unknown") > 0.0, "{results:#}");
    assert!(number(&results, "unknown") + number(&results, "refused") > 0.0, "{results:#}");
    for none in ["ghost_locks", "declared_lost"] {
        assert_eq!(number(&results, none), 0.0, "{results:#}");
    }
}

#[tokio::test]
async fn nothing_is_lost_when_redis_is_far_away_for_a_while() {
    let results = survive("redis-jitter", "--fault-seconds 3").await;
    assert!(number(&results, "latency_p99_us") > 40_000.0, "it was: {results:#}");
    assert_eq!((number(&results, "reconnects"), number(&results, "declared_lost")), (0.0, 0.0));
}

#[tokio::test]
async fn nothing_is_lost_when_answers_of_redis_break_off() {
    let results = survive("redis-cut", "--fault-seconds 3").await;
    assert_eq!((number(&results, "reconnects"), number(&results, "declared_lost")), (0.0, 0.0));
}

#[tokio::test]
async fn everybody_is_told_when_redis_comes_back_empty() {
    let results = survive("redis-restart-empty", "").await;
    assert!(number(&results, "declarations") >= 24.0, "{results:#}");
}

#[tokio::test]
async fn everybody_is_told_when_redis_is_emptied() {
    let results = survive("redis-flushall", "").await;
    assert!(number(&results, "declarations") >= 24.0, "{results:#}");
}

#[tokio::test]
async fn nothing_is_missing_without_a_word_when_redis_comes_back_with_its_data() {
    survive("redis-restart-data", "").await;
}

#[tokio::test]
async fn what_a_fail_over_loses_is_declared() {
    let results = survive("redis-failover", "").await;
    assert!(number(&results, "declarations") > 0.0, "{results:#}");
}

#[tokio::test]
async fn a_client_behind_a_trickle_is_given_up_and_comes_back() {
    let results = survive("trickle", "--fault-seconds 7").await;
    assert!(number(&results, "links_noticed") > 0.0, "{results:#}");
    assert!(number(&results, "reconnects") > 0.0, "{results:#}");
}

#[tokio::test]
async fn after_a_soak_nodes_are_as_they_were() {
    let results = Load::new().results("soak --minutes 0.1 --clients 12").await;
    assert!(number(&results, "visits") > 12.0, "{results:#}");
    assert_eq!((number(&results, "visits_failed"), number(&results, "end_connections")), (0.0, 0.0));
}
