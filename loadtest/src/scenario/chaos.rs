//! Durable traffic while something breaks: nothing acknowledged may be lost without a word.

use std::time::Duration;

use anyhow::Context;
use tokio::time::{Instant, sleep};

use super::run_name;
use crate::chaos::{Crowd, Nemesis, SlowReaders, Stage, Tally, Traffic, Verdict, slow_config};
use crate::options::{Chaos, Fault, word};
use crate::pace::Schedule;
use crate::processes::check_open_files;
use crate::procfs;
use crate::report::{Report, progress};

/// After a fault messages have to flow again within this time, or it is not waited for.
const FLOWS_WITHIN: Duration = Duration::from_secs(60);

/// Nodes have forgotten clients that have left within this time, and the heartbeat's.
const FORGOTTEN_WITHIN: Duration = Duration::from_secs(20);

pub(crate) async fn run(options: &Chaos) -> anyhow::Result<Report> {
    // Each client twice: it may be behind a path of the tester's own.
    check_open_files(3 * options.clients + options.topics + options.slow_readers)?;
    let mut report = new_report(options);
    let traffic = traffic(options)?;
    progress("starting Redis and nodes");
    let mut stage = Stage::open(options).await?;
    let run = run_name();
    let crowd = Crowd::open(options, traffic, &stage, &run).await?;
    let slow = slow_readers(options, &stage, &run).await?;
    let aftermath = suffer(options, &mut stage, &crowd).await?;
    progress("waiting for what is under way");
    let nodes_bytes: u64 = stage.pids().filter_map(|pid| procfs::resident_bytes(pid).ok()).sum();
    let (verdict, tally) = crowd.close(options.settle_seconds).await;
    report.result("slow_readers", slow.count());
    drop(slow);
    note(&mut report, &verdict, tally);
    match aftermath.flows_after {
        Some(time) => report.figure("flows_again_ms", time.as_secs_f64() * 1e3),
        None => report.failure(format!("nothing flowed within {FLOWS_WITHIN:?} after the fault")),
    }
    if let Some(time) = aftermath.unlisted_after {
        report.figure("node_unlisted_after_ms", time.as_secs_f64() * 1e3);
    }
    report.result("nodes_resident_bytes", nodes_bytes);
    judge(options.fault, &verdict, tally, &mut report);
    note_left_behind(&stage, &mut report).await;
    stage.close().await;
    progress("");
    Ok(report)
}

fn new_report(options: &Chaos) -> Report {
    let mut report = Report::new("chaos", procfs::machine());
    report.setting("fault", word(&options.fault));
    report.setting("nodes", options.servers.nodes.unwrap_or(3));
    report.setting("clients", options.clients);
    report.setting("topics", options.topics);
    report.setting("rate_per_second", options.rate.per_second());
    report.setting("seconds", options.seconds.as_secs_f64());
    report.setting("balancer", options.balancer.map_or("none".to_owned(), |balancer| word(&balancer)));
    report.setting("seed", options.seed);
    report
}

fn traffic(options: &Chaos) -> anyhow::Result<Traffic> {
    let each = options.rate.per_second() / options.topics.max(1) as f64;
    let schedule = Schedule::try_new(each).context("a rate is a positive number per second")?;
    Ok(Traffic { schedule, acknowledged_within: options.ack_seconds })
}

async fn slow_readers(options: &Chaos, stage: &Stage<'_>, run: &str) -> anyhow::Result<SlowReaders> {
    let number = if options.fault == Fault::SlowReaders { options.slow_readers } else { 0 };
    let topics = options.topics.max(1);
    let readers = (0..number).map(|n| (slow_config(stage, run, n), format!("order:{run}-{}", n % topics)));
    SlowReaders::open(readers).await
}

/// What was seen of a fault besides messages.
struct Aftermath {
    /// How long after its end messages flowed again.
    flows_after: Option<Duration>,
    /// How long after its beginning the others no longer listed the node that it hit.
    unlisted_after: Option<Duration>,
}

/// A third of the time in peace, the fault, and the rest, a third at least.
async fn suffer(options: &Chaos, stage: &mut Stage<'_>, crowd: &Crowd) -> anyhow::Result<Aftermath> {
    let (began, third) = (Instant::now(), options.seconds / 3);
    progress("messages flow");
    sleep(third).await;
    progress("the fault");
    let unlisted_after = Nemesis::new(options).strike(stage).await?;
    progress("the fault is over");
    let flows_after = crowd.flows_again(FLOWS_WITHIN).await;
    sleep(third.max(options.seconds.saturating_sub(began.elapsed()))).await;
    Ok(Aftermath { flows_after, unlisted_after })
}

fn note(report: &mut Report, verdict: &Verdict, tally: Tally) {
    for (name, count) in [
        ("sent", verdict.sent),
        ("acknowledged", verdict.acknowledged),
        ("unknown", verdict.unknown),
        ("refused", verdict.refused),
        ("delivered", verdict.delivered),
        ("duplicates", verdict.duplicates),
        ("duplicates_dropped_by_clients", tally.duplicates_dropped),
        ("out_of_order", verdict.out_of_order),
        ("lost", verdict.lost),
        ("declared_lost", verdict.declared_lost),
        ("declarations", verdict.declarations),
        ("gaps_seen_by_clients", tally.gaps),
        ("resent", tally.resent),
        ("reconnects", tally.reconnects),
        ("handshakes_per_second_peak", tally.handshakes_peak),
    ] {
        report.result(name, count);
    }
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
        report.figure(format!("blackout_{name}_ms"), verdict.blackouts.quantile(share).as_secs_f64() * 1e3);
    }
    report.latencies("latency", &verdict.latencies);
}

fn judge(fault: Fault, verdict: &Verdict, tally: Tally, report: &mut Report) {
    verdict.failures().into_iter().for_each(|failure| report.failure(failure));
    if verdict.acknowledged == 0 {
        report.failure("nothing was acknowledged");
    }
    if tally.ended > 0 {
        report.failure(format!("{} clients were told to stay away", tally.ended));
    }
    if !fault.loses_data() && verdict.declared_lost > 0 {
        report.warning(format!("{} messages were declared missing that Redis had", verdict.declared_lost));
    }
    if fault == Fault::RedisRestartEmpty && verdict.never_told > 0 {
        report.failure(format!("{} readers were not told that Redis lost their topic", verdict.never_told));
    }
}

/// All clients have left: no node may know of one.
async fn note_left_behind(stage: &Stage<'_>, report: &mut Report) {
    let deadline = Instant::now() + FORGOTTEN_WITHIN;
    let mut left = stage.metric("signalbox_connections").await;
    while left != Some(0.0) && Instant::now() < deadline {
        sleep(Duration::from_millis(200)).await;
        left = stage.metric("signalbox_connections").await;
    }
    match left {
        Some(left) => report.result("connections_left", left as u64),
        None => report.warning("no node tells how many connections are left"),
    }
    if left.is_some_and(|left| left > 0.0) {
        report.failure("nodes still hold connections of clients that have left");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(fault: Fault, verdict: &Verdict) -> usize {
        let mut report = Report::new("chaos", String::new());
        judge(fault, verdict, Tally::default(), &mut report);
        report.failures().len()
    }

    #[test]
    fn a_run_fails_for_what_was_promised() {
        let fine = || Verdict { acknowledged: 1, ..Verdict::default() };
        assert_eq!(failures(Fault::KillNode, &fine()), 0);
        assert_eq!(failures(Fault::KillNode, &Verdict::default()), 1, "nothing was acknowledged");
        assert_eq!(failures(Fault::KillNode, &Verdict { lost: 1, ..fine() }), 1);
        assert_eq!(failures(Fault::KillNode, &Verdict { duplicates: 1, out_of_order: 1, ..fine() }), 2);
        let untold = || Verdict { never_told: 1, ..fine() };
        assert_eq!(failures(Fault::RedisRestartEmpty, &untold()), 1);
        assert_eq!(failures(Fault::RedisRestartData, &untold()), 0);
    }
}
