use tokio_util::task::TaskTracker;

use super::*;
use crate::peer::{Peer, answers};

#[tokio::test]
async fn who_is_not_ready_or_gone_is_passed_over() {
    let tasks = TaskTracker::new();
    let (a, b) = (Peer::start('a', &tasks).await, Peer::start('b', &tasks).await);
    let nginx = Nginx::start(&[a.port, b.port]).await;
    assert_eq!(answers(nginx.port()).await, "abab");
    a.says(503);
    assert_eq!(answers(nginx.port()).await, "bbbb");
    a.says(200);
    b.stop().await;
    assert_eq!(answers(nginx.port()).await, "aaaa");
}

#[tokio::test]
async fn a_reload_brings_other_servers_and_no_worker_is_left_at_the_end() {
    let tasks = TaskTracker::new();
    let (a, b) = (Peer::start('a', &tasks).await, Peer::start('b', &tasks).await);
    let nginx = Nginx::start(&[a.port]).await;
    assert_eq!(answers(nginx.port()).await, "aaaa");
    nginx.reload(&[b.port]).await;
    assert_eq!(answers(nginx.port()).await, "bbbb");
    let workers = nginx.workers();
    assert!(!workers.is_empty());
    drop(nginx);
    for id in &workers {
        let left = std::fs::read_to_string(format!("/proc/{id}/status"));
        assert!(left.is_err(), "{left:?}");
    }
}
