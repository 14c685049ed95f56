//! Durable traffic while something breaks: nothing acknowledged may be lost without a word.

use std::time::Duration;

use anyhow::Context;
use tokio::time::{Instant, sleep};

use crate::chaos::{self, Crowd, Nemesis, SlowReaders, Stage, Tally, Traffic, Verdict};
use crate::holdings::Holdings;
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
    let start = stage.holdings().await?;
    let crowd = Crowd::open(options, traffic, &stage).await?;
    let slow = suffer(options, &mut stage, &crowd, &mut report).await?;
    progress("waiting for what is under way");
    let (verdict, tally) = crowd.close(options.settle_seconds).await;
    drop(slow);
    note(&mut report, &verdict, tally);
    judge(options.fault, &verdict, tally, &mut report);
    if !options.no_bounds {
        chaos::check(options, &mut report);
    }
    note_left_behind(&stage, start, &mut report).await?;
    for unwilling in stage.close().await {
        report.failure(format!("{unwilling} did not end when it was asked to"));
    }
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
    report.setting("bounds", !options.no_bounds);
    report.setting("seed", options.seed);
    report
}

fn traffic(options: &Chaos) -> anyhow::Result<Traffic> {
    let each = options.rate.per_second() / options.topics.max(1) as f64;
    let schedule = Schedule::try_new(each).context("a rate is a positive number per second")?;
    // Some have to be told while it lasts.
    let is_cut_off = options.fault == Fault::RedisBlackHole;
    let most = if is_cut_off { options.fault_seconds / 3 } else { Duration::MAX };
    Ok(Traffic { schedule, acknowledged_within: options.ack_seconds.min(most) })
}

/// A third of the time in peace, the fault, and the rest, a third at least. Notes what is seen of the fault besides
/// messages; answers the slow readers, who stay.
async fn suffer(
    options: &Chaos,
    stage: &mut Stage<'_>,
    crowd: &Crowd,
    report: &mut Report,
) -> anyhow::Result<SlowReaders> {
    let (began, third) = (Instant::now(), options.seconds / 3);
    progress("messages flow");
    sleep(third).await;
    let before = resident_bytes(stage);
    progress("the fault");
    let slow = slow_readers(options, stage, crowd, report).await?;
    let mut nemesis = Nemesis::new(options, stage);
    nemesis.strike(stage, report).await?;
    progress("the fault is over");
    match crowd.flows_again(FLOWS_WITHIN).await {
        Some(time) => report.figure("flows_again_ms", time.as_secs_f64() * 1e3),
        None => report.failure(format!("nothing flowed within {FLOWS_WITHIN:?} after the fault")),
    }
    sleep(third.max(options.seconds.saturating_sub(began.elapsed()))).await;
    nemesis.look_after(stage, report).await?;
    let after = resident_bytes(stage);
    report.result("nodes_resident_bytes", after);
    report.result("nodes_grown_bytes", after.saturating_sub(before));
    let overflown = stage.metric("signalbox_closes_total{code=\"4413\"}").await;
    report.result("closed_for_overflow", overflown.unwrap_or(0.0) as u64);
    Ok(slow)
}

fn resident_bytes(stage: &Stage<'_>) -> u64 {
    stage.pids().filter_map(|pid| procfs::resident_bytes(pid).ok()).sum()
}

/// Nobody, under any other fault. The latency of all others until then is noted, and that afterwards.
async fn slow_readers(
    options: &Chaos,
    stage: &Stage<'_>,
    crowd: &Crowd,
    report: &mut Report,
) -> anyhow::Result<SlowReaders> {
    if options.fault != Fault::SlowReaders {
        return Ok(SlowReaders::default());
    }
    report.latencies("latency_before", &crowd.take_latencies());
    let slow = SlowReaders::open(options, stage).await?;
    report.result("slow_readers", slow.count());
    crowd.take_latencies();
    Ok(slow)
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
    if fault == Fault::RedisBlackHole && verdict.unknown + verdict.refused == 0 {
        report.failure("no publisher was told that its message may not be stored");
    }
    if !fault.loses_data() && verdict.declared_lost > 0 {
        report.warning(format!("{} messages were declared missing that Redis had", verdict.declared_lost));
    }
    if fault.loses_everything() && verdict.never_told > 0 {
        report.failure(format!("{} readers were not told that Redis lost their topic", verdict.never_told));
    }
}

/// All clients have left: the nodes have to be as they were before.
async fn note_left_behind(stage: &Stage<'_>, start: Holdings, report: &mut Report) -> anyhow::Result<()> {
    let (nodes, deadline) = (stage.nodes.len(), Instant::now() + FORGOTTEN_WITHIN);
    let mut left = stage.holdings().await?;
    while !left.is_back_to(&start, nodes) && Instant::now() < deadline {
        sleep(Duration::from_millis(200)).await;
        left = stage.holdings().await?;
    }
    for (when, holdings) in [("start", start), ("end", left)] {
        holdings.note(when, report);
    }
    if !left.is_back_to(&start, nodes) {
        report.failure(format!("something was left behind: {start:?} at the start, {left:?} at the end"));
    }
    Ok(())
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
        assert_eq!(failures(Fault::RedisFlushall, &untold()), 1);
        assert_eq!(failures(Fault::RedisRestartData, &untold()), 0);
        assert_eq!(failures(Fault::RedisBlackHole, &fine()), 1, "nobody was told anything");
        assert_eq!(failures(Fault::RedisBlackHole, &Verdict { unknown: 1, ..fine() }), 0);
    }
}
