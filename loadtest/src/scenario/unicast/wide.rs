//! The same from several processes, between all nodes.

use std::time::Duration;

use crate::cluster::Cluster;
use crate::hiccups::Watch;
use crate::options::Unicast;
use crate::report::Report;
use crate::scenario::run_name;
use crate::tally::Tally;
use crate::workers::{Load, Order, Plan, Workers};

/// Pairs are connected within this time.
const CONNECT_WITHIN: Duration = Duration::from_secs(120);

/// Connects the pairs, lets them talk, and notes the cost.
pub(super) async fn exchange(
    options: &Unicast,
    cluster: &Cluster,
    watch: Option<&Watch>,
    report: &mut Report,
) -> anyhow::Result<Tally> {
    let pairs = options.pairs.max(1) as usize;
    let processes = (options.processes as usize).min(pairs);
    // Each pair has two connections, to nodes that are next to each other.
    Plan { connections: 2 * pairs, processes, cluster }.check()?;
    let plan = Plan { connections: pairs, processes, cluster };
    let mut workers = Workers::start(processes)?;
    let pairing = |share| Order::Pair { share, window: options.window() };
    let pairing = plan.shares(&run_name(), 1).into_iter().map(pairing).collect();
    workers.ask(pairing, CONNECT_WITHIN, |_| {}).await?;
    let load = Load {
        per_second: options.rate.per_second() / processes as f64,
        warm_up: options.run.warm_up_seconds,
        measured: options.run.seconds,
        payload_bytes: options.payload.bytes,
        plant: options.planted.plant,
        hiccups: watch.map(|watch| watch.path().to_owned()),
    };
    let (tally, spent) = workers.talk(cluster, Order::Exchange, load).await?;
    workers.stop().await;
    spent.note(report, "message", "messages");
    spent.judge(report, tally.send_lags.quantile(0.99));
    Ok(tally)
}
