//! Clients that come, talk and go, in all the ways in which clients go: afterwards a node is as it was before.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use signalbox_client::{Client, ClientConfig};
use tokio::task::JoinSet;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{new_report, run_name};
use crate::cluster::Cluster;
use crate::dice::Dice;
use crate::holdings::Holdings;
use crate::options::Soak;
use crate::processes::check_open_files;
use crate::report::{Report, progress};

/// Topics that clients share.
const TOPICS: u64 = 50;

/// What one visit may take.
const VISIT_WITHIN: Duration = Duration::from_secs(30);

/// A node may keep so much more memory than it had, for its allocator's sake: one part of this many, and so many bytes.
const GROWTH: (u64, u64) = (4, 16 * 1024 * 1024);

pub(crate) async fn run(options: &Soak, cluster: &Cluster) -> anyhow::Result<Report> {
    check_open_files(2 * options.clients)?;
    let mut report = new_report("soak", cluster).await;
    report.setting("minutes", options.minutes.as_secs_f64() / 60.0);
    report.setting("clients", options.clients);
    report.setting("seed", options.seed);
    let start = held(cluster).await?;
    // What a node allocates once it keeps: it has seen everything in a tenth of the time.
    let mut visits = churn(options, cluster, options.minutes / 10).await;
    let warm = quiet(options, cluster, start).await?;
    visits.add(churn(options, cluster, options.minutes.mul_f64(0.9)).await);
    let end = quiet(options, cluster, start).await?;
    progress("");
    report.result("visits", visits.made);
    report.result("visits_failed", visits.failed);
    for (when, holdings) in [("start", start), ("warm", warm), ("end", end)] {
        holdings.note(when, &mut report);
    }
    judge([start, warm, end], cluster.nodes.len(), &mut report);
    if visits.failed > 0 {
        let why = visits.why.unwrap_or_default();
        report.failure(format!("{} of {} visits failed, the first: {why}", visits.failed, visits.made));
    }
    Ok(report)
}

/// What the cluster's nodes hold now.
async fn held(cluster: &Cluster) -> anyhow::Result<Holdings> {
    let addresses = cluster.nodes.iter().map(|node| node.address.as_str());
    Holdings::of(addresses, cluster.node_pids()).await
}

/// Waits until the nodes are as they were at the `start`, as long as that may take; answers what they hold then.
async fn quiet(options: &Soak, cluster: &Cluster, start: Holdings) -> anyhow::Result<Holdings> {
    let deadline = Instant::now() + options.settle_seconds;
    loop {
        let now = held(cluster).await?;
        if now.is_back_to(&start, cluster.nodes.len()) || Instant::now() >= deadline {
            return Ok(now);
        }
        sleep(Duration::from_millis(200)).await;
    }
}

fn judge([start, warm, end]: [Holdings; 3], nodes: usize, report: &mut Report) {
    if !end.is_back_to(&start, nodes) {
        report.failure(format!("something was left behind: {start:?} at the start, {end:?} at the end"));
    }
    let (part, bytes) = GROWTH;
    if end.resident_bytes > warm.resident_bytes + warm.resident_bytes / part + bytes {
        report.failure(format!("memory grew from {} to {} bytes", warm.resident_bytes, end.resident_bytes));
    }
}

/// Clients that came and went.
#[derive(Debug, Default)]
struct Visits {
    made: u64,
    failed: u64,
    /// Why the first of them failed.
    why: Option<String>,
}

impl Visits {
    fn add(&mut self, other: Self) {
        self.made += other.made;
        self.failed += other.failed;
        self.why = self.why.take().or(other.why);
    }

    fn count(&mut self, visited: Result<anyhow::Result<()>, Elapsed>) {
        self.made += 1;
        let why = match visited {
            Ok(Ok(())) => return,
            Ok(Err(error)) => format!("{error:#}"),
            Err(Elapsed { .. }) => format!("not over within {VISIT_WITHIN:?}"),
        };
        self.failed += 1;
        self.why.get_or_insert(why);
    }
}

/// Lets clients come and go for so long.
async fn churn(options: &Soak, cluster: &Cluster, time: Duration) -> Visits {
    let (stop, visits) = (CancellationToken::new(), Rc::new(RefCell::new(Visits::default())));
    let mut visitors = JoinSet::new();
    let run = run_name();
    let urls: Rc<[String]> = cluster.nodes.iter().map(|node| node.url.clone()).collect();
    for number in 0..options.clients {
        let (urls, visits, stop, run) = (Rc::clone(&urls), Rc::clone(&visits), stop.clone(), run.clone());
        let mut dice = Dice::new(options.seed.wrapping_mul(1_000_003).wrapping_add(number as u64));
        visitors.spawn_local(async move {
            while !stop.is_cancelled() {
                let url = &urls[dice.below(urls.len() as u64) as usize];
                let visited = timeout(VISIT_WITHIN, visit(url, &format!("{run}-{number}"), &mut dice)).await;
                visits.borrow_mut().count(visited);
            }
        });
    }
    let end = Instant::now() + time;
    while Instant::now() < end {
        sleep(Duration::from_secs(1).min(end - Instant::now())).await;
        progress(&format!("{} visits", visits.borrow().made));
    }
    stop.cancel();
    while visitors.join_next().await.is_some() {}
    visits.take()
}

/// One client: it comes, joins topics, sends, hears a while, and goes with or without a goodbye.
async fn visit(url: &str, name: &str, dice: &mut Dice) -> anyhow::Result<()> {
    let config = ClientConfig::new(url).query("tenant", Cluster::TENANT);
    let config = config.query("agent_type", "vehicle").query("agent_id", name);
    let client = Client::connect(config).await?;
    let _heard = client.on("vehicle:status_change");
    let topics: Vec<String> = (0..=dice.below(3)).map(|_| format!("zone:{}", dice.below(TOPICS))).collect();
    client.subscribe(topics.iter().map(String::as_str).collect::<Vec<_>>().as_slice()).await?;
    for number in 0..dice.below(5) {
        let durable = dice.percent(30);
        let message_type = if durable { "order:soak" } else { "vehicle:status_change" };
        client.emit_acked(message_type, json!({"number": number}), topics[0].as_str()).await?;
    }
    sleep(Duration::from_millis(dice.below(300))).await;
    if dice.percent(50) {
        client.close().await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holdings(files: u64, tasks: f64, resident_bytes: u64) -> Holdings {
        Holdings {
            resident_bytes,
            files,
            tasks,
            pooled: 0.0,
            connections: 0.0,
            topics: 0.0,
            queued_bytes: 0.0,
        }
    }

    #[test]
    fn what_is_left_behind_and_what_grows_is_found() {
        let mib = 1024 * 1024;
        let start = holdings(40, 20.0, 50 * mib);
        for (end, failures) in [
            (start, 0),
            (holdings(42, 22.0, 60 * mib), 0),
            (holdings(43, 20.0, 50 * mib), 1),
            (holdings(40, 23.0, 50 * mib), 1),
            (holdings(40, 20.0, 100 * mib), 1),
            (Holdings { connections: 1.0, ..start }, 1),
            (Holdings { topics: 1.0, ..start }, 1),
        ] {
            let mut report = Report::new("soak", String::new());
            judge([start, start, end], 2, &mut report);
            assert_eq!(report.failures().len(), failures, "{end:?}");
        }
    }
}
