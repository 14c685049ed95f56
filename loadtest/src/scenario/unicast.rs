//! One client to another on the next node: client, node A, Redis, node B, client.

mod wide;

use std::rc::Rc;

use anyhow::Context;

use super::pairs;
use super::{new_report, note_run, redis};
use crate::cluster::Cluster;
use crate::hiccups::Watch;
use crate::meter;
use crate::observed::{Observed, Timeline};
use crate::options::Unicast;
use crate::processes::check_open_files;
use crate::report::{Report, micros};
use crate::tally::Tally;
use crate::traffic::Traffic;

pub(crate) async fn run(options: &Unicast, cluster: &Cluster) -> anyhow::Result<Report> {
    let mut report = new_report("unicast", cluster).await;
    note_run(&mut report, &options.run);
    report.setting("payload_bytes", options.payload.bytes);
    report.setting("pairs", options.pairs);
    report.setting("processes", options.processes);
    if options.full_speed {
        report.setting("window", options.window);
    } else {
        report.setting("rate_per_second", options.rate.per_second());
    }
    let hop = match cluster.redis {
        Some(_) if !options.full_speed && !options.no_baseline => {
            Some(redis::measure(cluster, options.rate, &options.run, options.payload.bytes).await?)
        }
        Some(_) | None => None,
    };
    let watch = Watch::start(options.watch.watch_hiccups, &mut report);
    let tally = if options.processes > 1 {
        wide::exchange(options, cluster, watch.as_ref(), &mut report).await?
    } else {
        exchange(options, cluster, watch.as_ref(), &mut report).await?
    };
    tally.note(&mut report);
    if let Some(watch) = watch {
        watch.note(&mut report);
    }
    if let Some(hop) = hop {
        report.latencies("bare_hop", &hop.latencies);
        let [ours, bare] = [&tally.latencies, &hop.latencies].map(|l| micros(l.quantile(0.5)));
        report.figure("latency_p50_in_bare_hops", ours / bare);
    }
    Ok(report)
}

/// Connects the pairs, lets them talk, and notes the cost.
async fn exchange(
    options: &Unicast,
    cluster: &Cluster,
    watch: Option<&Watch>,
    report: &mut Report,
) -> anyhow::Result<Tally> {
    let pairs = options.pairs.max(1) as usize;
    check_open_files(2 * pairs)?;
    let connected = pairs::connect(cluster, pairs).await?;

    let timeline = Timeline::starting_now(options.run.warm_up_seconds, options.run.seconds);
    let observed = Observed::new(timeline, pairs, pairs);
    observed.borrow_mut().plant(options.planted.plant);
    observed.borrow_mut().leave_out(watch.map(Watch::path))?;
    let mut traffic = Traffic::new(Rc::clone(&observed), timeline, options.payload.bytes);
    let paced = pairs::start(&mut traffic, connected, options.window());
    let pacing =
        async { if paced.is_empty() { Ok(()) } else { Traffic::pace(timeline, options.rate, paced).await } };
    let (paced, spent) = tokio::join!(pacing, meter::measure(cluster, timeline, &*observed));
    traffic.finish(|sent| sent).await;
    if let Err(error) = paced {
        report.failure(error.to_string());
    }
    let spent = spent.context("the servers can't be measured")?;
    spent.note(report, "message", "messages");
    let lag = observed.borrow().send_lags().quantile(0.99);
    spent.judge(report, lag);
    let findings = observed.borrow().findings(|receiver| receiver);
    Ok(Tally::of(&mut observed.borrow_mut(), findings))
}
