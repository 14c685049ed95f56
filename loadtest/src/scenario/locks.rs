//! Contenders for locks: how many grants, how soon, how fair, and whether the promises were kept.

mod contender;
mod fairness;
mod handovers;
mod line;
mod record;
mod words;

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::contender::{Contender, Terms};
use self::handovers::Handovers;
use self::record::{Record, Shared};
use self::words::Wording;
use super::{new_report, note_run, run_name};
use crate::asking::connect_askers;
use crate::baseline;
use crate::checker::locks::judge;
use crate::cluster::Cluster;
use crate::commandstats::CommandCounts;
use crate::crew;
use crate::meter::{self, Spent};
use crate::observed::Timeline;
use crate::options::Locks;
use crate::processes::check_open_files;
use crate::report::Report;
use crate::traffic::{DUE_MAX, Traffic};

/// Operations that a run is expected to do in a second at most; more only cost time when they come.
const OPERATIONS_PER_SECOND: f64 = 60_000.0;
const OPERATIONS_MAX: f64 = 4e6;

/// Whoever waits or holds when the run is over may go on for so long.
const GRACE: Duration = Duration::from_secs(3);

pub(crate) async fn run(options: &Locks, cluster: &Cluster) -> anyhow::Result<Report> {
    let mut report = new_report("locks", cluster).await;
    note_settings(&mut report, options);
    check_open_files(options.contenders as usize)?;
    let (record, spent, commands) = contend(options, cluster, &mut report).await?;
    // Not before the run: its keys take five seconds to expire.
    let baseline = match (options.baseline, &cluster.redis) {
        (true, Some(redis)) => Some(baseline::set_nx_per_second(redis).await?),
        (true, None) => bail!("where is Redis? Name it with --redis HOST:PORT"),
        (false, _) => None,
    };
    let mut record = record.borrow_mut();
    spent.note(&mut report, "operation", "operations");
    spent.judge(&mut report, record.start_lag_p99());
    record.note(&mut report);
    fairness::note(&record.grants, &mut report);
    Handovers::of(&record.history).note(&mut report);
    if let Some(commands) = commands {
        commands.note(&mut report, "grant", record.grants.iter().sum());
    }
    if let Some(baseline) = baseline {
        report.figure("redis_benchmark_per_second", baseline);
        report.figure("operations_in_redis_benchmarks", spent.rate() / baseline);
    }
    judge(&record.history).note(&mut report, |number| record.history[number as usize].to_string());
    Ok(report)
}

fn note_settings(report: &mut Report, options: &Locks) {
    note_run(report, &options.run);
    report.setting("contenders", options.contenders);
    report.setting("resources", if options.hot { 1 } else { options.resources });
    match options.closed {
        true => report.setting("loop", "closed"),
        false => report.setting("rate_per_second", options.rate.per_second()),
    }
    report.setting("wait_ms", options.wait_ms);
    report.setting("ttl_ms", options.ttl_ms);
    report.setting("hold_ms", options.hold_ms);
}

/// Connects the contenders and lets them contend.
async fn contend(
    options: &Locks,
    cluster: &Cluster,
    report: &mut Report,
) -> anyhow::Result<(Shared, Spent, Option<CommandCounts>)> {
    let run = run_name();
    let agent_id = |number| format!("{run}-{number}");
    let askers = connect_askers(cluster, options.contenders, 0, agent_id).await?;
    let timeline = Timeline::starting_now(options.run.warm_up_seconds, options.run.seconds);
    let operations = (OPERATIONS_PER_SECOND * timeline.end().as_secs_f64()).min(OPERATIONS_MAX);
    let record = Record::new(timeline, options.contenders, operations as usize);
    let terms = Rc::new(terms(options, format!("load-{run}-")));
    let (mut tasks, mut paced) = (JoinSet::new(), Vec::new());
    for (number, asker) in (0..).zip(askers) {
        let contender = Contender::new(number, asker, Rc::clone(&record), Rc::clone(&terms));
        if options.closed {
            tasks.spawn_local(contender.run());
        } else {
            let (due_sender, due_times) = mpsc::channel(DUE_MAX);
            paced.push(due_sender);
            tasks.spawn_local(contender.run_when_due(due_times));
        }
    }
    let pacing =
        async { if paced.is_empty() { Ok(()) } else { Traffic::pace(timeline, options.rate, paced).await } };
    let counting = async {
        match &cluster.redis {
            Some(redis) => CommandCounts::during(redis, timeline).await.map(Some),
            None => Ok(None),
        }
    };
    let (paced, spent, commands) =
        tokio::join!(pacing, meter::measure(cluster, timeline, &*record), counting);
    if let Err(error) = paced {
        report.failure(error.to_string());
    }
    let commands = commands.unwrap_or_else(|error| {
        report.warning(format!("the commands of Redis can't be counted: {error}"));
        None
    });
    crew::finish(tasks, GRACE, &terms.stop, report).await;
    Ok((record, spent.context("the servers can't be measured")?, commands))
}

fn terms(options: &Locks, prefix: String) -> Terms {
    Terms {
        wording: Wording { prefix, ttl_ms: options.ttl_ms, wait_ms: options.wait_ms },
        resources: if options.hot { 1 } else { options.resources.max(1) },
        hold: Duration::from_millis(options.hold_ms),
        retry_ms_max: options.retry_ms_max,
        stop: CancellationToken::new(),
    }
}
