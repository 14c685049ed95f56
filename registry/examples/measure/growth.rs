//! What a look-up costs when few connections are registered, and when many are.

use std::sync::Arc;
use std::time::Duration;

use signalbox_protocol::{Tenant, Topic};
use signalbox_registry::Cluster;
use signalbox_registry::redis::RedisConfig;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{CALLERS, node, redis, row};

/// Look-ups one after the other, for their latency.
const SINGLE: u64 = 20_000;

/// Look-ups by many callers at once, for their cost.
const MANY: u64 = 200_000;

/// How many rows there are, one after the other, unless the command line says otherwise.
const SIZES: [u64; 3] = [10_000, 100_000, 1_000_000];

/// Registers ever more rows, and looks some of them up at each size.
pub(super) async fn run(url: &str, mut sizes: Vec<u64>) {
    if sizes.is_empty() {
        sizes = SIZES.into();
    }
    let config = RedisConfig::new(url);
    let (a, _) = node("a", &config).await;
    let (b, _) = node("b", &config).await;
    let empty = info(url, "memory", "used_memory");
    let mut rows = 0;
    for size in sizes {
        rows = register(&a, rows, size).await;
        let bytes = (info(url, "memory", "used_memory") - empty) / rows as f64;
        let (p50, p99) = one_at_a_time(&b, rows).await;
        let before = cpu_seconds(url);
        let rate = at_once(&b, rows).await;
        let redis_us = (cpu_seconds(url) - before) * 1e6 / MANY as f64;
        println!(
            "{rows} rows, {bytes:.0} bytes of Redis each: a look-up p50 {p50:?} p99 {p99:?}; \
             {CALLERS} at once {rate:.0}/s, {redis_us:.2} us of Redis each"
        );
    }
}

/// Registers the rows from `from` to `to`; answers how many there are then.
async fn register(a: &Arc<Cluster>, from: u64, to: u64) -> u64 {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let a = Arc::clone(a);
        callers.spawn(async move {
            for number in (from + caller..to).step_by(CALLERS as usize) {
                a.directory.register(&row(&a, number), "x").await.unwrap();
            }
        });
    }
    callers.join_all().await;
    to
}

async fn one_at_a_time(b: &Cluster, rows: u64) -> (Duration, Duration) {
    let mut took = Vec::new();
    for number in 0..SINGLE {
        let begun = Instant::now();
        look_up(b, scattered(number, rows)).await;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    let at = |share: f64| took[(took.len() as f64 * share) as usize];
    (at(0.5), at(0.99))
}

/// How many look-ups per second many callers get answered.
async fn at_once(b: &Arc<Cluster>, rows: u64) -> f64 {
    let (begun, mut callers) = (Instant::now(), JoinSet::new());
    for caller in 0..CALLERS {
        let b = Arc::clone(b);
        callers.spawn(async move {
            for number in (caller..MANY).step_by(CALLERS as usize) {
                look_up(&b, scattered(number, rows)).await;
            }
        });
    }
    callers.join_all().await;
    MANY as f64 / begun.elapsed().as_secs_f64()
}

async fn look_up(b: &Cluster, number: u64) {
    let agent = Topic::of("vehicle", &format!("V{number}")).unwrap();
    let nodes = b.directory.nodes_of(&Tenant::try_new("default").unwrap(), &agent).await.unwrap();
    assert_eq!(nodes.len(), 1);
}

/// A row far from that of the number before, so that no cache of the processor helps.
fn scattered(number: u64, rows: u64) -> u64 {
    number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % rows
}

/// CPU seconds that Redis has used.
fn cpu_seconds(url: &str) -> f64 {
    info(url, "cpu", "used_cpu_user") + info(url, "cpu", "used_cpu_sys")
}

/// A number of a section of INFO.
fn info(url: &str, section: &str, field: &str) -> f64 {
    let text = redis(url, &["info", section]);
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap().trim().parse().unwrap()
}
