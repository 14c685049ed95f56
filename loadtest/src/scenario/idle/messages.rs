//! A few messages to each of many connections, through another node, in an open loop: each has to be found and reached.

use std::time::Duration;

use crate::cluster::Cluster;
use crate::hiccups::Watch;
use crate::options::Idle;
use crate::report::Report;
use crate::workers::{Load, Order, Share, Workers};

/// Sends them, and notes what came of it.
pub(super) async fn send(
    options: &Idle,
    cluster: &Cluster,
    workers: &mut Workers,
    shares: &[Share],
    report: &mut Report,
) -> anyhow::Result<()> {
    let per_second = options.rate.per_second() / shares.len() as f64;
    let most = shares.iter().map(|share| share.messages(options.messages)).max().unwrap_or(0);
    let watch = Watch::start(options.watch.watch_hiccups, report);
    let load = Load {
        per_second,
        warm_up: Duration::ZERO,
        measured: Duration::from_secs_f64(most as f64 / per_second),
        payload_bytes: options.payload.bytes,
        plant: None,
        hiccups: watch.as_ref().map(|watch| watch.path().to_owned()),
    };
    report.setting("messages_to_each", options.messages);
    report.setting("rate_per_second", options.rate.per_second());
    report.setting("payload_bytes", options.payload.bytes);
    let (tally, spent) = workers.talk(cluster, Order::Message, load).await?;
    spent.note(report, "message", "messages");
    spent.judge(report, tally.send_lags.quantile(0.99));
    tally.note(report);
    if let Some(watch) = watch {
        watch.note(report);
    }
    report.result("reached_connections", tally.reached);
    let connections: usize = shares.iter().map(|share| share.count).sum();
    let missed = (connections as u64).saturating_sub(tally.reached);
    if missed > 0 {
        report.failure(format!("{missed} connections got no message"));
    }
    Ok(())
}
